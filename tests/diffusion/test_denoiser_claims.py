"""What lesson 6 claims about denoisers, losses and the order of samplers."""

from itertools import pairwise

import pytest
import torch

from course_lib.diffusion import reference, small_denoiser
from course_lib.diffusion.optimal_denoiser import GaussianDenoiser, OptimalDenoiser
from course_lib.profiling.cost import fit_power_law
from course_lib.sd.samplers import DDIM

SCHEDULE = small_denoiser.SCHEDULE
BARS = SCHEDULE.alphas_cumprod.float()


def test_gaussian_denoiser_agrees_with_many_samples():
    generator = torch.Generator().manual_seed(0)
    clean = 0.5 + 0.3 * torch.randn(20_000, 1, generator=generator)
    many = OptimalDenoiser(clean, SCHEDULE)
    x = torch.tensor([[0.2], [1.0]])
    for t in (300, 700):
        torch.testing.assert_close(
            GaussianDenoiser(0.5, 0.3, SCHEDULE)(x, t), many(x, t), atol=0.02, rtol=0
        )


def _exact(x, bar):
    """The trajectory of Gaussian images of mean 0.5 and standard deviation 0.3."""
    before, after = ((b * 0.3**2 + 1 - b) ** 0.5 for b in (BARS[999], bar))
    return bar**0.5 * 0.5 + (x - BARS[999] ** 0.5 * 0.5) * after / before


def _errors(extrapolate, counts):
    """By number of steps, the errors at timestep 40, and one step later, without noise."""
    denoiser = GaussianDenoiser(0.5, 0.3, SCHEDULE)
    start = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    ratios = (BARS / (1 - BARS)).log() / 2
    errors = []
    for steps in counts:
        targets = torch.linspace(float(ratios[999]), float(ratios[40]), steps + 1)
        times = [int((ratios - target).abs().argmin()) for target in targets]
        x, previous = start, None
        for t, next_t in pairwise(times):
            x0 = reference.predict_x0(x, denoiser(x, t), float(BARS[t]), "noise")
            guess = x0 + (x0 - previous) / 2 if extrapolate and previous is not None else x0
            noise = (x - BARS[t] ** 0.5 * guess) / (1 - BARS[t]) ** 0.5
            x, previous = reference.ddim_step(x, noise, float(BARS[t]), float(BARS[next_t])), x0
        end = reference.predict_x0(x, denoiser(x, 40), float(BARS[40]), "noise")
        pairs = ((x, _exact(start, BARS[40])), (end, _exact(start, torch.tensor(1.0))))
        errors.append([float((a - b).square().mean().sqrt()) for a, b in pairs])
    return torch.tensor(errors).T


def test_ddim_is_of_first_order_and_extrapolation_gains_more_than_fourfold():
    counts = (8, 16, 32)
    ddim, _ = _errors(False, counts)
    assert -1.2 < fit_power_law(counts, ddim.tolist())[0] < -0.8
    dpm, _ = _errors(True, counts)
    assert (dpm[:-1] / dpm[1:] > 4).all()


@pytest.mark.parametrize("extrapolate", [False, True])
def test_a_last_step_from_timestep_40_has_an_error_that_more_steps_do_not_remove(extrapolate):
    _, ends = _errors(extrapolate, (8, 16, 32))
    assert ends[0] / ends[-1] < 1.5 and ends[-1] > 0.03


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_samples_have_the_shares_of_the_data(sampler, seed):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[-1.2, -0.5], [1.2, -0.5], [0.0, 1.3]])
    shares = torch.tensor([0.6, 0.3, 0.1])
    cluster = torch.multinomial(shares, 400, replacement=True, generator=generator)
    points = centres[cluster] + 0.15 * torch.randn(400, 2, generator=generator)
    x = torch.randn(500, 2, generator=generator)
    ends = small_denoiser.sample(OptimalDenoiser(points, SCHEDULE), x, sampler=sampler, steps=50)
    found = torch.cdist(ends, centres).argmin(1).bincount(minlength=3) / 500
    torch.testing.assert_close(found, cluster.bincount() / 400, atol=0.1, rtol=0)


def test_loss_of_the_lesson_is_that_of_the_library():
    torch.manual_seed(0)
    denoiser, clean = GaussianDenoiser(0, 1, SCHEDULE), torch.randn(8, 4, 4, 4)
    torch.manual_seed(1)
    expected = small_denoiser.loss(denoiser, clean)
    torch.manual_seed(1)
    t, noise = torch.randint(1000, (8,)), torch.randn_like(clean)
    torch.testing.assert_close(reference.diffusion_loss(denoiser, clean, noise, t, BARS), expected)


def test_a_cured_schedule_ends_without_signal():
    cured = reference.zero_terminal_snr(BARS)
    assert cured[-1] == 0 and float(cured[0]) == pytest.approx(float(BARS[0]))


@pytest.mark.parametrize("index", [20, 100, 160])
def test_paths_are_distributed_like_noisy_data_on_the_way(index):
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[-1.2, -0.5], [1.2, -0.5], [0.0, 1.3]])
    cluster = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), 400, True, generator=generator)
    points = centres[cluster] + 0.15 * torch.randn(400, 2, generator=generator)
    sampler, x = DDIM(SCHEDULE, 200), torch.randn(500, 2, generator=generator)
    toy = OptimalDenoiser(points, SCHEDULE)
    for t in sampler.timesteps[:index]:
        x = sampler.step(toy(x, t), t, x)
    many = points.repeat(10, 1)
    noise = torch.randn(many.shape, generator=generator)
    noisy, _ = SCHEDULE.add_noise(many, noise, sampler.timesteps[index])
    levels = torch.linspace(0.05, 0.95, 19)
    places = torch.quantile(noisy[:, 0], levels)
    found = (x[:, :1] < places).float().mean(0)
    torch.testing.assert_close(found, levels, atol=0.08, rtol=0)


def test_posterior_mean_of_the_lesson_is_that_of_the_optimal_denoiser():
    generator = torch.Generator().manual_seed(0)
    images, x = (torch.randn(n, 6, generator=generator) for n in (5, 3))
    torch.testing.assert_close(
        reference.posterior_mean(x, images, float(BARS[700])),
        OptimalDenoiser(images, SCHEDULE).predict_x0(x, 700),
    )
