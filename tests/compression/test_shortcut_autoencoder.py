"""The class of lesson 4's autoencoder: shapes, linear code, untrained network, noise, errors."""

import pytest
import torch
from torch.nn import functional as F

from course_lib.compression.pca import BlockPCA
from course_lib.compression.shortcut_autoencoder import (
    ShortcutAutoencoder,
    ShortcutAutoencoderConfig,
)

TINY = ShortcutAutoencoderConfig(
    block_out_channels=(8, 16), encoder_blocks=(1, 1), decoder_blocks=(1, 1), latent_std=0.5
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ShortcutAutoencoder(TINY)


def test_shapes(model):
    images = torch.rand(2, 3, 24, 40)
    latents = model.encode(images).mean
    assert latents.shape == (2, 4, 3, 5)
    assert model.decode(latents).shape == images.shape


def test_default_has_about_2_6_million_parameters():
    with torch.device("meta"):
        model = ShortcutAutoencoder()
    assert 2.5e6 < sum(parameter.numel() for parameter in model.parameters()) < 2.9e6


def test_untrained_network_adds_nothing_to_the_linear_code(model):
    images, latents = torch.rand(1, 3, 16, 16), torch.randn(1, 4, 2, 2)
    assert torch.equal(model.encode(images).mean, model.linear_encoder(images))
    assert torch.equal(model.decode(latents), model.linear_decoder(latents))


def test_linear_code_is_block_pca_in_scaled_coefficients(model):
    generator = torch.Generator().manual_seed(0)
    components = torch.linalg.qr(torch.randn(192, 4, generator=generator)).Q.T
    code = BlockPCA(torch.rand(192, generator=generator), components, torch.ones(4) / 4)
    scales = torch.tensor([3.0, 1.0, 0.5, 0.25])
    model.set_linear_code(code, scales)
    image = torch.rand(3, 16, 24, generator=generator)
    latents = model.encode(image[None] * 2 - 1).mean
    coefficients = code.encode(image)
    torch.testing.assert_close(latents[0] * scales[:, None, None], coefficients, atol=1e-5, rtol=0)
    decoded = (model.decode(latents)[0] / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(decoded, code.decode(coefficients), atol=1e-5, rtol=0)


def test_gradients_reach_the_network_and_not_the_linear_code(model):
    images = torch.rand(1, 3, 16, 16)
    F.mse_loss(model.decode(model.encode(images).sample()), images).backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith("linear_"), name
        assert (parameter.grad is None) == name.startswith("linear_"), name


def test_samples_have_the_configured_noise(model):
    images = torch.rand(1, 3, 256, 256)
    posterior = model.encode(images)
    noise = (posterior.sample(torch.Generator().manual_seed(0)) - posterior.mean).detach()
    assert noise.std() == pytest.approx(TINY.latent_std, rel=0.05)


def test_sides_must_be_multiples_of_8(model):
    with pytest.raises(ValueError, match=r"\(16, 20\) pixels: both sides must be multiples of 8"):
        model.encode(torch.rand(1, 3, 16, 20))
