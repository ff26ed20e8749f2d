"""The autoencoder matches diffusers: means, log-variances, images and gradients."""

from functools import cache

import pytest
import torch

from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL
from tests.support.parity import (
    FLOAT32_TOLERANCE,
    FLOAT64_TOLERANCE,
    PRECISIONS,
    VAE,
    diffusers_vae,
    gradient_error,
    relative_error,
    vae_pair,
)

CONFIGS = {
    "three levels": VAE,
    "as published, narrow": AutoencoderConfig(block_out_channels=(32, 64, 96, 96)),
    "one level": AutoencoderConfig(
        in_channels=1, out_channels=1, block_out_channels=(8,), norm_num_groups=2
    ),
    "one layer, eight latent channels": AutoencoderConfig(
        latent_channels=8, block_out_channels=(16, 8), layers_per_block=1, norm_num_groups=8
    ),
}


@cache
def pair(name: str, dtype: torch.dtype = torch.float64):
    return vae_pair(CONFIGS[name], dtype)


def random_images(
    config: AutoencoderConfig, height: int, width: int, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    shape = (2, config.in_channels, height, width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)).to(dtype) * 2 - 1


@pytest.mark.parametrize("dtype, limit", PRECISIONS)
@pytest.mark.parametrize("size", [(8, 8), (24, 16), (8, 40)])
@pytest.mark.parametrize("name", CONFIGS)
def test_encoding_and_decoding_match_diffusers(name, size, dtype, limit):
    ours, theirs = pair(name, dtype)
    images = random_images(CONFIGS[name], *size, dtype)
    with torch.no_grad():
        posterior, expected = ours.encode(images), theirs.encode(images).latent_dist
        assert relative_error(posterior.mean, expected.mean) <= limit
        assert relative_error(posterior.logvar, expected.logvar) <= limit
        restored = ours.decode(posterior.mean)
        assert relative_error(restored, theirs.decode(posterior.mean).sample) <= limit


def test_log_variances_are_clamped_as_in_diffusers():
    ours, theirs = vae_pair()
    images = random_images(VAE, 16, 16)
    with torch.no_grad():
        for model in (ours, theirs):
            model.quant_conv.weight *= 1000
        posterior, expected = ours.encode(images), theirs.encode(images).latent_dist
        assert (posterior.logvar == -30).any() and (posterior.logvar == 20).any()
        assert relative_error(posterior.logvar, expected.logvar) <= FLOAT64_TOLERANCE
        assert relative_error(posterior.logvar.exp().sqrt(), expected.std) <= FLOAT64_TOLERANCE


def test_gradients_match_diffusers():
    ours, theirs = vae_pair()
    our_images = random_images(VAE, 16, 24).requires_grad_()
    their_images = random_images(VAE, 16, 24).requires_grad_()
    noise = torch.randn(2, 4, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    posterior, expected = ours.encode(our_images), theirs.encode(their_images).latent_dist
    for model, distribution in ((ours, posterior), (theirs, expected)):
        latents = distribution.mean + (0.5 * distribution.logvar).exp() * noise
        restored = model.decode(latents)
        restored = getattr(restored, "sample", restored)
        (restored - our_images.detach()).square().sum().backward()
    assert gradient_error(ours, theirs, {"images": (our_images, their_images)}) <= FLOAT64_TOLERANCE


def test_default_has_the_keys_and_shapes_of_diffusers():
    with torch.device("meta"):
        models = AutoencoderKL(), diffusers_vae(AutoencoderConfig())
    ours, theirs = (
        {key: value.shape for key, value in model.state_dict().items()} for model in models
    )
    assert ours == theirs and len(ours) == 248


@pytest.mark.slow
def test_full_size_matches_diffusers():
    """Means, log-variances and images of the full-size model match in float32. Both models share
    their parameters, to save memory.
    """
    torch.manual_seed(0)
    ours = AutoencoderKL().eval()
    with torch.device("meta"):
        theirs = diffusers_vae(AutoencoderConfig()).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
        theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)
        images = random_images(AutoencoderConfig(), 256, 256, torch.float32)[:1]
        posterior, expected = ours.encode(images), theirs.encode(images).latent_dist
        assert relative_error(posterior.mean, expected.mean) <= FLOAT32_TOLERANCE
        assert relative_error(posterior.logvar, expected.logvar) <= FLOAT32_TOLERANCE
        latents = torch.randn(1, 4, 32, 32)
        assert (
            relative_error(ours.decode(latents), theirs.decode(latents).sample) <= FLOAT32_TOLERANCE
        )
