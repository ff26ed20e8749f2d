"""Lesson 6's denoiser: initial prediction, training, pixel space, sampling and latents."""

import pytest
import torch

from course_lib.compression import autoencoder
from course_lib.diffusion import small_denoiser
from course_lib.diffusion.optimal_denoiser import OptimalDenoiser
from course_lib.sd.unet import UNetConfig

SCHEDULE = small_denoiser.SCHEDULE
TINY = UNetConfig(
    sample_size=16,
    in_channels=4,
    out_channels=4,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    block_out_channels=(8, 16),
    layers_per_block=1,
    cross_attention_dim=8,
    attention_head_dim=2,
    norm_num_groups=4,
)


@pytest.mark.extended
def test_initial_prediction_is_v_0_and_training_reduces_the_error():
    torch.manual_seed(0)
    denoiser, clean = small_denoiser.Denoiser(TINY), torch.randn(1, 4, 8, 8).expand(16, -1, -1, -1)
    alpha_bar, variance = float(SCHEDULE.alphas_cumprod[500]), float(clean.square().mean())
    initial = small_denoiser.error_at(denoiser, clean, 500)
    assert initial == pytest.approx(alpha_bar * (1 - alpha_bar) * variance + alpha_bar**2, rel=0.1)
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=5e-3, fused=True)
    for _ in range(35):
        optimizer.zero_grad()
        small_denoiser.loss(denoiser, clean).backward()
        optimizer.step()
    assert small_denoiser.error_at(denoiser, clean, 500) < 0.6 * initial


def test_denoiser_works_on_pixels():
    denoiser = small_denoiser.Denoiser(small_denoiser.pixel_config(TINY))
    assert denoiser(torch.zeros(2, 3, 16, 16), torch.tensor([3, 999])).shape == (2, 3, 16, 16)
    channels = small_denoiser.pixel_config().block_out_channels
    assert channels == small_denoiser.CONFIG.block_out_channels


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "euler", "dpm++"])
def test_sampling_with_the_optimal_denoiser_of_one_image_returns_it(sampler):
    target = torch.randn(1, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(2))
    denoiser = OptimalDenoiser(target, SCHEDULE)
    samples = small_denoiser.sample(denoiser, noise, sampler=sampler, steps=30)
    assert (samples - target).abs().max() < 0.2


def test_decode_inverts_encode():
    vae = autoencoder.load()
    images = torch.stack([example.image for example in small_denoiser.examples(2)])
    latents = small_denoiser.encode(vae, images)
    assert latents.shape == (2, 4, 16, 16)
    decoded = small_denoiser.decode(vae, latents)
    assert decoded.shape == images.shape and (decoded - images).abs().mean() < 0.1


def test_latents_are_scaled():
    vae = autoencoder.load()
    images = small_denoiser.examples(1)[0].image[None]
    with torch.no_grad():
        means = vae.encode(images * 2 - 1).mean
    expected = means * vae.config.scaling_factor
    torch.testing.assert_close(small_denoiser.encode(vae, images), expected)


def test_examples_show_the_given_objects():
    names = {example.name for example in small_denoiser.examples(12)}
    assert names <= set(small_denoiser.OBJECTS)
