"""The autoencoder computes what diffusers' does: means, log-variances, images and gradients."""

from functools import cache

import pytest
import torch

from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL
from tests.support.parity import EXACT, SINGLE, VAE, apart, gradients_apart, peer_vae, vaes

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
pair = cache(lambda name, dtype=torch.float64: vaes(CONFIGS[name], dtype=dtype))


def images(
    config: AutoencoderConfig, height: int, width: int, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    shape = (2, config.in_channels, height, width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)).to(dtype) * 2 - 1


@pytest.mark.parametrize("dtype, bar", [(torch.float64, EXACT), (torch.float32, SINGLE)])
@pytest.mark.parametrize("size", [(8, 8), (24, 16), (8, 40)])
@pytest.mark.parametrize("name", CONFIGS)
def test_it_encodes_and_decodes_as_the_peer_does(name, size, dtype, bar):
    ours, theirs = pair(name, dtype)
    given = images(CONFIGS[name], *size, dtype)
    with torch.no_grad():
        found, expected = ours.encode(given), theirs.encode(given).latent_dist
        assert apart(found.mean, expected.mean) <= bar
        assert apart(found.logvar, expected.logvar) <= bar
        assert apart(ours.decode(found.mean), theirs.decode(found.mean).sample) <= bar


def test_variances_beyond_all_reason_are_cut_as_the_peers_are():
    ours, theirs = vaes()
    with torch.no_grad():
        for model in (ours, theirs):
            model.quant_conv.weight *= 1000
        found, expected = (
            ours.encode(images(VAE, 16, 16)),
            theirs.encode(images(VAE, 16, 16)).latent_dist,
        )
        assert (found.logvar == -30).any() and (found.logvar == 20).any()
        assert apart(found.logvar, expected.logvar) <= EXACT
        assert apart(found.logvar.exp().sqrt(), expected.std) <= EXACT


def test_its_gradients_are_the_peers():
    ours, theirs = vaes()
    given = [images(VAE, 16, 24).requires_grad_() for _ in range(2)]
    noise = torch.randn(2, 4, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found, expected = ours.encode(given[0]), theirs.encode(given[1]).latent_dist
    for model, said in ((ours, found), (theirs, expected)):
        latents = said.mean + (0.5 * said.logvar).exp() * noise
        restored = model.decode(latents)
        (getattr(restored, "sample", restored) - given[0].detach()).square().sum().backward()
    assert gradients_apart(ours, theirs, {"images": tuple(given)}) <= EXACT


def test_the_default_has_the_peers_keys_and_shapes():
    with torch.device("meta"):
        models = AutoencoderKL(), peer_vae(AutoencoderConfig())
    ours, theirs = (
        {key: value.shape for key, value in model.state_dict().items()} for model in models
    )
    assert ours == theirs and len(ours) == 248


@pytest.mark.slow
def test_the_full_size_encodes_and_decodes_as_the_peer_does():
    """In float32, 83,653,863 random parameters, held in memory once: theirs are ours."""
    torch.manual_seed(0)
    ours = AutoencoderKL().eval()
    with torch.device("meta"):
        theirs = peer_vae(AutoencoderConfig()).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
        theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)
        given = images(AutoencoderConfig(), 256, 256, torch.float32)[:1]
        found, expected = ours.encode(given), theirs.encode(given).latent_dist
        assert (
            apart(found.mean, expected.mean) <= SINGLE
            and apart(found.logvar, expected.logvar) <= SINGLE
        )
        latents = torch.randn(1, 4, 32, 32)
        assert apart(ours.decode(latents), theirs.decode(latents).sample) <= SINGLE
