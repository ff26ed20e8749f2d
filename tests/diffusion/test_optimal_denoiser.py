"""The optimal denoiser predicts the posterior mean, and no denoiser has a smaller error."""

import torch

from course_lib.diffusion import small_denoiser
from course_lib.diffusion.optimal_denoiser import OptimalDenoiser

SCHEDULE = small_denoiser.SCHEDULE


def latents(count: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_single_image_is_restored_exactly():
    denoiser = OptimalDenoiser(latents(1), SCHEDULE)
    clean, noise = latents(1).expand(3, -1, -1, -1), latents(3, seed=1)
    x, _ = SCHEDULE.add_noise(clean, noise, 600)
    torch.testing.assert_close(denoiser.predict_x0(x, 600), clean)
    torch.testing.assert_close(denoiser(x, 600), noise, atol=1e-5, rtol=1e-5)


def test_prediction_is_the_posterior_mean():
    clean, alpha_bar = latents(), float(SCHEDULE.alphas_cumprod[800])
    x = latents(2, seed=3)
    squared_distances = ((x[:, None] - alpha_bar**0.5 * clean) ** 2).sum((2, 3, 4))
    likelihoods = torch.exp(-squared_distances / (2 * (1 - alpha_bar)))
    posterior = likelihoods / likelihoods.sum(1, keepdim=True)
    denoiser = OptimalDenoiser(clean, SCHEDULE)
    torch.testing.assert_close(denoiser.posterior(x, 800), posterior, atol=1e-5, rtol=1e-4)
    mean = torch.einsum("bp,pchw->bchw", posterior, clean)
    torch.testing.assert_close(denoiser.predict_x0(x, 800), mean, atol=1e-5, rtol=1e-4)


def test_no_other_denoiser_has_a_smaller_error():
    optimal, clean = OptimalDenoiser(latents(), SCHEDULE), latents().repeat(200, 1, 1, 1)
    minimum = small_denoiser.error_at(optimal, clean, 700)
    for denoiser in (
        lambda x, t: 0.97 * optimal(x, t),
        lambda x, t: optimal(x, t) + 0.1,
        OptimalDenoiser(latents(4), SCHEDULE),
    ):
        assert small_denoiser.error_at(denoiser, clean, 700) > minimum


def test_dtype_of_the_input_is_kept():
    denoiser, x = OptimalDenoiser(latents(), SCHEDULE), latents(2, seed=3)
    noise_pred = denoiser(x.double(), 400)
    assert noise_pred.dtype == torch.float64
    assert torch.allclose(noise_pred.float(), denoiser(x, 400), atol=1e-4)


def test_sampling_copies_the_training_images():
    denoiser = OptimalDenoiser(latents(), SCHEDULE)
    samples = small_denoiser.sample(denoiser, latents(6, seed=7), steps=100)
    nearest = torch.cdist(samples.flatten(1), latents().flatten(1)).min(1).values
    assert nearest.max() < 0.2 < torch.pdist(latents().flatten(1)).min()
