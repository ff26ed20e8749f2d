"""The autoencoder has the published architecture, and its parts work as documented."""

import pytest
import torch

from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL, DiagonalGaussian

TINY = AutoencoderConfig(block_out_channels=(8, 16, 16, 24), layers_per_block=1, norm_num_groups=4)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return AutoencoderKL(TINY)


def test_default_is_the_published_architecture():
    """The default has 83,653,863 parameters in 248 tensors, as in the official checkpoint."""
    with torch.device("meta"):
        model = AutoencoderKL()
        latents = model.encode(torch.empty(1, 3, 512, 512)).mean
        image = model.decode(latents)
    assert sum(parameter.numel() for parameter in model.parameters()) == 83_653_863
    assert len(model.state_dict()) == 248
    assert latents.shape == (1, 4, 64, 64) and image.shape == (1, 3, 512, 512)
    for key in (
        "encoder.down_blocks.1.resnets.0.conv_shortcut.weight",
        "encoder.down_blocks.2.downsamplers.0.conv.bias",
        "encoder.mid_block.attentions.0.to_out.0.weight",
        "decoder.up_blocks.3.resnets.2.norm2.bias",
        "decoder.up_blocks.0.upsamplers.0.conv.weight",
        "post_quant_conv.weight",
    ):
        assert key in model.state_dict()
    assert all(
        module.eps == 1e-6 for module in model.modules() if isinstance(module, torch.nn.GroupNorm)
    )


def test_sides_must_be_multiples_of_8(tiny):
    posterior = tiny.encode(torch.rand(2, 3, 16, 40) * 2 - 1)
    assert posterior.mean.shape == posterior.logvar.shape == (2, 4, 2, 5)
    assert tiny.decode(posterior.mean).shape == (2, 3, 16, 40)
    with pytest.raises(ValueError, match="multiples of 8"):
        tiny.encode(torch.rand(1, 3, 16, 20))


def test_invalid_number_of_groups_is_rejected():
    with pytest.raises(ValueError, match=r"\[24\] cannot be split into 16 groups"):
        AutoencoderKL(AutoencoderConfig(block_out_channels=(16, 24), norm_num_groups=16))


def test_downsampling_pads_only_below_and_on_the_right(tiny):
    """Pixel (0, 0) is multiplied by the kernel's first weight, so there is no padding before it."""
    down = tiny.encoder.down_blocks[0].downsamplers[0]
    image = torch.zeros(1, 8, 4, 4)
    image[0, 0, 0, 0] = 1
    change = down(image) - down(torch.zeros_like(image))
    assert torch.allclose(change[0, :, 0, 0], down.conv.weight[:, 0, 0, 0], atol=1e-6)
    assert change[0, :, 1:, 1:].abs().max() == 0


def test_attention_reaches_every_position(tiny):
    attention = tiny.encoder.mid_block.attentions[0]
    torch.manual_seed(1)
    x = torch.randn(1, 24, 3, 3)
    x.requires_grad_()
    attention(x)[0, :, 0, 0].sum().backward()
    assert (x.grad.abs().sum(1) > 0).all()


def test_sample_has_the_given_mean_and_variance():
    mean, logvar = torch.full((1, 1, 100, 100), 3.0), torch.full((1, 1, 100, 100), 2.0)
    posterior = DiagonalGaussian(mean, logvar)
    sample = posterior.sample(torch.Generator().manual_seed(0))
    assert sample.mean().item() == pytest.approx(3, abs=0.1)
    # exp(logvar / 2), not exp(logvar)
    assert sample.std().item() == pytest.approx(torch.e, abs=0.1)
    assert torch.equal(sample, posterior.sample(torch.Generator().manual_seed(0)))


def test_kl_divergence_matches_torch():
    torch.manual_seed(0)
    mean, logvar = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3)
    ours = DiagonalGaussian(mean, logvar).kl()
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(
        normal(mean, (logvar / 2).exp()), normal(0.0, 1.0)
    ).mean()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_gradients_reach_every_weight(tiny):
    posterior = tiny.encode(torch.rand(2, 3, 16, 16))
    (tiny.decode(posterior.sample()).square().mean() + posterior.kl()).backward()
    assert [name for name, parameter in tiny.named_parameters() if parameter.grad is None] == []
