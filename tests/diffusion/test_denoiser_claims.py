"""Lesson 6's claims about denoisers, losses and the convergence order of samplers hold."""

from itertools import pairwise

import pytest
import torch

from course_lib.diffusion import reference, small_denoiser
from course_lib.diffusion.optimal_denoiser import GaussianDenoiser, OptimalDenoiser
from course_lib.sd.samplers import DDIM

SCHEDULE = small_denoiser.SCHEDULE
ALPHA_BARS = SCHEDULE.alphas_cumprod.float()


def test_gaussian_denoiser_agrees_with_many_samples():
    generator = torch.Generator().manual_seed(0)
    clean = 0.5 + 0.3 * torch.randn(20_000, 1, generator=generator)
    many = OptimalDenoiser(clean, SCHEDULE)
    x = torch.tensor([[0.2], [1.0]])
    for t in (300, 700):
        torch.testing.assert_close(
            GaussianDenoiser(0.5, 0.3, SCHEDULE)(x, t), many(x, t), atol=0.02, rtol=0
        )


def _exact_solution(x, bar):
    """The exact solution of the sampling ODE for Gaussian images (mean 0.5, standard deviation
    0.3).
    """
    before, after = ((b * 0.3**2 + 1 - b) ** 0.5 for b in (ALPHA_BARS[999], bar))
    return bar**0.5 * 0.5 + (x - ALPHA_BARS[999] ** 0.5 * 0.5) * after / before


def _errors(extrapolate, counts):
    """The RMS errors for each number of steps: at timestep 40, and of the clean image predicted
    there.
    """
    denoiser = GaussianDenoiser(0.5, 0.3, SCHEDULE)
    start = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    log_snrs = (ALPHA_BARS / (1 - ALPHA_BARS)).log() / 2
    errors = []
    for steps in counts:
        targets = torch.linspace(float(log_snrs[999]), float(log_snrs[40]), steps + 1)
        times = [int((log_snrs - target).abs().argmin()) for target in targets]
        x, previous = start, None
        for t, next_t in pairwise(times):
            x0 = reference.predict_x0(x, denoiser(x, t), float(ALPHA_BARS[t]), "noise")
            x0_pred = x0 + (x0 - previous) / 2 if extrapolate and previous is not None else x0
            noise = (x - ALPHA_BARS[t] ** 0.5 * x0_pred) / (1 - ALPHA_BARS[t]) ** 0.5
            x, previous = (
                reference.ddim_step(x, noise, float(ALPHA_BARS[t]), float(ALPHA_BARS[next_t])),
                x0,
            )
        end = reference.predict_x0(x, denoiser(x, 40), float(ALPHA_BARS[40]), "noise")
        pairs = (
            (x, _exact_solution(start, ALPHA_BARS[40])),
            (end, _exact_solution(start, torch.tensor(1.0))),
        )
        errors.append([float((a - b).square().mean().sqrt()) for a, b in pairs])
    return torch.tensor(errors).T


def test_doubling_the_steps_halves_ddims_error_and_extrapolation_more_than_quarters_the_error():
    counts = (8, 16, 32)
    ddim, _ = _errors(False, counts)
    assert ((ddim[:-1] / ddim[1:] - 2).abs() < 0.3).all()
    dpm, _ = _errors(True, counts)
    assert (dpm[:-1] / dpm[1:] > 4).all()


@pytest.mark.parametrize("extrapolate", [False, True])
def test_error_of_the_last_step_does_not_fall_with_more_steps(extrapolate):
    _, ends = _errors(extrapolate, (8, 16, 32))
    assert ends[0] / ends[-1] < 1.5 and ends[-1] > 0.03


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_samples_have_the_cluster_proportions_of_the_data(sampler, seed):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[-1.2, -0.5], [1.2, -0.5], [0.0, 1.3]])
    proportions = torch.tensor([0.6, 0.3, 0.1])
    cluster = torch.multinomial(proportions, 400, replacement=True, generator=generator)
    points = centres[cluster] + 0.15 * torch.randn(400, 2, generator=generator)
    x = torch.randn(500, 2, generator=generator)
    ends = small_denoiser.sample(OptimalDenoiser(points, SCHEDULE), x, sampler=sampler, steps=50)
    found = torch.cdist(ends, centres).argmin(1).bincount(minlength=3) / 500
    torch.testing.assert_close(found, cluster.bincount() / 400, atol=0.1, rtol=0)


def test_lessons_loss_equals_the_librarys():
    torch.manual_seed(0)
    denoiser, clean = GaussianDenoiser(0, 1, SCHEDULE), torch.randn(8, 4, 4, 4)
    torch.manual_seed(1)
    expected = small_denoiser.loss(denoiser, clean)
    torch.manual_seed(1)
    t, noise = torch.randint(1000, (8,)), torch.randn_like(clean)
    torch.testing.assert_close(
        reference.diffusion_loss(denoiser, clean, noise, t, ALPHA_BARS), expected
    )


def test_zero_terminal_snr_schedule_ends_without_signal():
    rescaled = reference.zero_terminal_snr(ALPHA_BARS)
    assert rescaled[-1] == 0 and float(rescaled[0]) == pytest.approx(float(ALPHA_BARS[0]))


@pytest.mark.parametrize("index", [20, 100, 160])
@pytest.mark.extended
def test_intermediate_samples_are_distributed_like_noisy_data(index):
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[-1.2, -0.5], [1.2, -0.5], [0.0, 1.3]])
    cluster = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), 400, True, generator=generator)
    points = centres[cluster] + 0.15 * torch.randn(400, 2, generator=generator)
    sampler, x = DDIM(SCHEDULE, 200), torch.randn(500, 2, generator=generator)
    denoiser = OptimalDenoiser(points, SCHEDULE)
    for t in sampler.timesteps[:index]:
        x = sampler.step(denoiser(x, t), t, x)
    many = points.repeat(10, 1)
    noise = torch.randn(many.shape, generator=generator)
    noisy, _ = SCHEDULE.add_noise(many, noise, sampler.timesteps[index])
    levels = torch.linspace(0.05, 0.95, 19)
    quantiles = torch.quantile(noisy[:, 0], levels)
    found = (x[:, :1] < quantiles).float().mean(0)
    torch.testing.assert_close(found, levels, atol=0.08, rtol=0)


def test_lessons_posterior_mean_equals_the_optimal_denoisers():
    generator = torch.Generator().manual_seed(0)
    images, x = (torch.randn(n, 6, generator=generator) for n in (5, 3))
    torch.testing.assert_close(
        reference.posterior_mean(x, images, float(ALPHA_BARS[700])),
        OptimalDenoiser(images, SCHEDULE).predict_x0(x, 700),
    )
