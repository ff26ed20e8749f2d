"""The recorded trajectory matches the sampling run."""

import pytest
import torch

from course_lib.diffusion import trajectory
from course_lib.sd.samplers import DDIM, NoiseSchedule, gaussian
from tests.support.small_sd import small_pipeline

PROMPT = "a red apple on a blue background"


@pytest.fixture(scope="module")
def model():
    return small_pipeline()


def test_trajectory_starts_with_the_noise_and_ends_with_the_generated_image(model):
    frames = trajectory.record_trajectory(model, PROMPT, steps=3, guidance=5.0, seed=4)
    assert [frame.t for frame in frames] == [*model.schedule.timesteps(3), 0]
    noise = gaussian((1, 4, 8, 8), [torch.Generator().manual_seed(4)])[0]
    assert torch.equal(frames[0].latent, noise)
    image = model.generate(PROMPT, sampler="ddim", steps=3, guidance=5.0, seed=4)[0]
    torch.testing.assert_close(frames[-1].image, image)


def test_solve_x0_inverts_a_ddim_step():
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 5, 4, 2, 2, generator=generator, dtype=torch.float64)
    ddim = DDIM(NoiseSchedule(timestep_spacing="trailing"), 5)
    for t in ddim.timesteps:
        alpha, sigma = ddim.alpha_sigma(t)
        x = alpha * x0 + sigma * eps
        solved = trajectory.solve_x0(
            x,
            ddim.step(eps, t, x),
            ddim.alpha_sigma(t),
            ddim.alpha_sigma(ddim.next_timestep[t]),
        )
        torch.testing.assert_close(solved, x0)
