"""Mutation tests: the parity tests detect each known mistake in U-Nets and autoencoders.

A mistake alters a built model (a setting, a module, a hook) or replaces a function. Predictions are
compared in float64 with a limit of 1e-12, as in test_unet and test_vae_parity: a wrong epsilon
changes them by about 1e-6, too little to detect reliably in float32.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.sd import unet as unet_module
from course_lib.sd.layers import Downsample2D, ImageAttention, ResnetBlock2D
from course_lib.sd.unet import (
    Attention,
    BasicTransformerBlock,
    FeedForward,
    Transformer2DModel,
    UNet2DConditionModel,
    UNetConfig,
)
from course_lib.sd.vae import AutoencoderKL
from tests.support.mutations import replace, rewrite, wrap
from tests.support.parity import (
    FLOAT64_TOLERANCE,
    VAE,
    WITH_ATTENTION,
    WITHOUT_ATTENTION,
    diffusers_unet,
    diffusers_vae,
    randomise,
    relative_error,
    unet_inputs,
)

MARGIN = 100_000  # a mistake must cause an error of at least this multiple of FLOAT64_TOLERANCE
# All levels have the same width, so that skip connections in a wrong order have valid shapes.
UNET = UNetConfig(
    down_block_types=(WITH_ATTENTION, WITH_ATTENTION, WITHOUT_ATTENTION),
    block_out_channels=(16, 16, 16),
    cross_attention_dim=24,
    attention_head_dim=2,
    norm_num_groups=4,
)

Mistake = Callable[[nn.Module, pytest.MonkeyPatch], None]
UNET_MISTAKES: dict[str, Mistake] = {}
VAE_MISTAKES: dict[str, Mistake] = {}


def mistake(registry: dict[str, Mistake], name: str) -> Callable[[Mistake], Mistake]:
    """Register the decorated function as a mistake with this name."""

    def register(function: Mistake) -> Mistake:
        if name in registry:
            raise AssertionError(f"{name!r} is registered twice.")
        registry[name] = function
        return function

    return register


def modules(model: nn.Module, kind: type) -> Iterator[nn.Module]:
    return (module for module in model.modules() if isinstance(module, kind))


def set_eps(norms: Iterator[nn.Module] | list[nn.Module], eps: float) -> None:
    for norm in norms:
        norm.eps = eps


def change_input(module: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
    module.register_forward_pre_hook(lambda module, args: (change(args[0]), *args[1:]))


def change_output(module: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
    module.register_forward_hook(lambda module, args, output: change(output))


def record(module: nn.Module, argument: int | None = None) -> list[Tensor]:
    """A list that always contains the module's last output, or the last value of this argument."""
    latest: list[Tensor] = []

    def keep_input(module: nn.Module, args: tuple) -> None:
        latest[:] = [args[argument]]

    def keep_output(module: nn.Module, args: tuple, output: Tensor) -> None:
        latest[:] = [output]

    if argument is None:
        module.register_forward_hook(keep_output)
    else:
        module.register_forward_pre_hook(keep_input)
    return latest


def swap_halves(layer: nn.Module) -> None:
    """Swap the first and the second half of a layer's output channels."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter.roll(len(parameter) // 2, 0))


# The U-Net: normalisations and activations


@mistake(UNET_MISTAKES, "1e-6 in the residual blocks")
def _(model, monkeypatch):
    for block in modules(model, ResnetBlock2D):
        set_eps([block.norm1, block.norm2], 1e-6)


@mistake(UNET_MISTAKES, "1e-5 in the transformers' group norm")
def _(model, monkeypatch):
    set_eps([transformer.norm for transformer in modules(model, Transformer2DModel)], 1e-5)


@mistake(UNET_MISTAKES, "1e-6 in the last norm")
def _(model, monkeypatch):
    set_eps([model.conv_norm_out], 1e-6)


@mistake(UNET_MISTAKES, "1e-6 in a layer norm")
def _(model, monkeypatch):
    set_eps([block.norm3 for block in modules(model, BasicTransformerBlock)], 1e-6)


@mistake(UNET_MISTAKES, "layer norms swapped")
def _(model, monkeypatch):
    for block in modules(model, BasicTransformerBlock):
        block.norm1, block.norm2 = block.norm2, block.norm1


@mistake(UNET_MISTAKES, "half as many groups")
def _(model, monkeypatch):
    for transformer in modules(model, Transformer2DModel):
        transformer.norm.num_groups //= 2


@mistake(UNET_MISTAKES, "projected before normalised")
def _(model, monkeypatch):
    for transformer in modules(model, Transformer2DModel):
        transformer.norm, transformer.proj_in = transformer.proj_in, transformer.norm


@mistake(UNET_MISTAKES, "no SiLU at the end")
def _(model, monkeypatch):
    normalised = record(model.conv_norm_out)
    change_input(model.conv_out, lambda x: normalised[0])


# The U-Net: time


@mistake(UNET_MISTAKES, "sines before cosines")
def _(model, monkeypatch):
    def sines_first(original, timesteps, channels):
        return original(timesteps, channels).roll(channels // 2, 1)

    wrap(unet_module, "timestep_embedding", sines_first)(monkeypatch)


@mistake(UNET_MISTAKES, "lowest frequency as in the first transformers")
def _(model, monkeypatch):
    from diffusers.models.embeddings import get_timestep_embedding

    wrong = partial(get_timestep_embedding, flip_sin_to_cos=True, downscale_freq_shift=1)
    replace(unet_module, "timestep_embedding", wrong)(monkeypatch)


@mistake(UNET_MISTAKES, "no SiLU between the two layers of the time embedding")
def _(model, monkeypatch):
    model.time_embedding.silu = nn.Identity()


@mistake(UNET_MISTAKES, "no SiLU before the time projection")
def _(model, monkeypatch):
    for block in modules(model, ResnetBlock2D):
        time = record(block, argument=1)
        change_input(block.time_emb_proj, lambda x, time=time: time[0])


@mistake(UNET_MISTAKES, "time added after the second norm")
def _(model, monkeypatch):
    for block in modules(model, ResnetBlock2D):
        projected = record(block.time_emb_proj)
        change_output(block.time_emb_proj, torch.zeros_like)
        change_output(block.norm2, lambda x, late=projected: x + late[0][:, :, None, None])


# The U-Net: attention


@mistake(UNET_MISTAKES, "size of a head for the number of heads")
def _(model, monkeypatch):
    for attention in modules(model, Attention):
        attention.heads = attention.to_q.out_features // attention.heads


@mistake(UNET_MISTAKES, "heads interleaved")
def _(model, monkeypatch):
    for attention in modules(model, Attention):
        for layer in (attention.to_q, attention.to_k, attention.to_v):
            interleaved = layer.weight.data.unflatten(0, (-1, attention.heads)).transpose(0, 1)
            layer.weight.data = interleaved.flatten(0, 1).clone()


@mistake(UNET_MISTAKES, "heads not put back in order")
def _(model, monkeypatch):
    for attention in modules(model, Attention):
        heads = attention.heads
        change_input(
            attention.to_out[0],
            lambda x, heads=heads: x.unflatten(-1, (heads, -1)).transpose(1, 2).reshape(x.shape),
        )


@mistake(UNET_MISTAKES, "scaled by all channels")
def _(model, monkeypatch):
    def attend(original, q, k, v):
        return original(q, k, v, scale=(q.shape[1] * q.shape[-1]) ** -0.5)

    wrap(F, "scaled_dot_product_attention", attend)(monkeypatch)


@mistake(UNET_MISTAKES, "no bias after the heads")
def _(model, monkeypatch):
    for attention in modules(model, Attention):
        attention.to_out[0].bias = None


@mistake(UNET_MISTAKES, "keys and values not normalised")
def _(model, monkeypatch):
    for block in modules(model, BasicTransformerBlock):
        x = record(block, argument=0)
        block.attn1.register_forward_pre_hook(lambda module, args, x=x: (args[0], x[0]))


@mistake(UNET_MISTAKES, "cross-attention without the residual connection")
def _(model, monkeypatch):
    for block in modules(model, BasicTransformerBlock):
        residual = record(block.norm2, argument=0)
        change_output(block.attn2, lambda x, residual=residual: x - residual[0])


@mistake(UNET_MISTAKES, "positions not transposed back")
def _(model, monkeypatch):
    for transformer in modules(model, Transformer2DModel):
        change_input(transformer.proj_out, lambda x: x.flatten(2).transpose(1, 2).reshape(x.shape))


@mistake(UNET_MISTAKES, "GEGLU gated by the other half")
def _(model, monkeypatch):
    for feed_forward in modules(model, FeedForward):
        swap_halves(feed_forward.net[0]["proj"])


@mistake(UNET_MISTAKES, "GEGLU with GELU's approximation")
def _(model, monkeypatch):
    replace(F, "gelu", partial(F.gelu, approximate="tanh"))(monkeypatch)


# The U-Net: resolutions and skip connections


@mistake(UNET_MISTAKES, "skip connections of a level reversed")
def _(model, monkeypatch):
    rewrite(
        UNet2DConditionModel,
        "forward",
        "B(L, torch.cat([X, S.pop()], dim=1), T, C)",
        "B(L, torch.cat([X, S.pop(L - 3)], dim=1), T, C)",
    )(monkeypatch)


@mistake(UNET_MISTAKES, "skip connections in front")
def _(model, monkeypatch):
    rewrite(UNet2DConditionModel, "forward", "[X, S.pop()]", "[S.pop(), X]")(monkeypatch)


@mistake(UNET_MISTAKES, "downsampling pads two sides")
def _(model, monkeypatch):
    for downsample in modules(model, Downsample2D):
        downsample.conv.padding = (0, 0)


@mistake(UNET_MISTAKES, "bilinear upsampling")
@mistake(VAE_MISTAKES, "bilinear upsampling")
def _(model, monkeypatch):
    def interpolate(original, x, size, mode):
        return original(x, size, mode="bilinear")

    wrap(F, "interpolate", interpolate)(monkeypatch)


# The autoencoder


@mistake(VAE_MISTAKES, "1e-5 in the residual blocks")
def _(model, monkeypatch):
    for block in modules(model, ResnetBlock2D):
        set_eps([block.norm1, block.norm2], 1e-5)


@mistake(VAE_MISTAKES, "1e-5 in the attention")
def _(model, monkeypatch):
    set_eps([attention.group_norm for attention in modules(model, ImageAttention)], 1e-5)


@mistake(VAE_MISTAKES, "first norm twice")
def _(model, monkeypatch):
    for block in modules(model, ResnetBlock2D):
        if block.conv_shortcut is None:
            block.norm2 = block.norm1


@mistake(VAE_MISTAKES, "SiLU after the convolution")
def _(model, monkeypatch):
    for block in modules(model, ResnetBlock2D):
        normalised = record(block.norm1)
        change_input(block.conv1, lambda x, normalised=normalised: normalised[0])
        change_output(block.conv1, F.silu)


@mistake(VAE_MISTAKES, "attention not scaled")
def _(model, monkeypatch):
    wrong = partial(F.scaled_dot_product_attention, scale=1.0)
    replace(F, "scaled_dot_product_attention", wrong)(monkeypatch)


@mistake(VAE_MISTAKES, "attention without the residual connection")
def _(model, monkeypatch):
    for attention in modules(model, ImageAttention):
        residual = record(attention, argument=0)
        change_output(attention, lambda x, residual=residual: x - residual[0])


@mistake(VAE_MISTAKES, "1e-5 in the decoder's last norm")
def _(model, monkeypatch):
    set_eps([model.decoder.conv_norm_out], 1e-5)


@mistake(VAE_MISTAKES, "downsampling pads all sides")
def _(model, monkeypatch):
    for downsample in modules(model, Downsample2D):
        downsample.conv.padding = (1, 1)


@mistake(VAE_MISTAKES, "no quant_conv")
def _(model, monkeypatch):
    model.quant_conv = nn.Identity()


@mistake(VAE_MISTAKES, "no post_quant_conv")
def _(model, monkeypatch):
    model.post_quant_conv = nn.Identity()


@mistake(VAE_MISTAKES, "mean and log-variance swapped")
def _(model, monkeypatch):
    swap_halves(model.quant_conv)


# The tests


@cache
@torch.no_grad()
def expected_unet() -> tuple[dict[str, Tensor], Tensor]:
    """The weights of diffusers' U-Net, and its prediction."""
    torch.manual_seed(0)
    model = diffusers_unet(UNET)
    randomise(model)
    model.double().eval()
    return model.state_dict(), model(*unet_inputs(UNET)).sample


@cache
@torch.no_grad()
def expected_vae() -> tuple[dict[str, Tensor], tuple[Tensor, Tensor], tuple[Tensor, ...]]:
    """The weights of diffusers' autoencoder, its inputs (images, latents), and its outputs (mean,
    log-variance, images).
    """
    torch.manual_seed(0)
    model = diffusers_vae(VAE)
    randomise(model)
    model.double().eval()
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, 16, 24, dtype=torch.float64, generator=generator) * 2 - 1
    posterior = model.encode(images).latent_dist
    latents = posterior.sample(torch.Generator().manual_seed(2))
    expected = posterior.mean, posterior.logvar, model.decode(latents).sample
    return model.state_dict(), (images, latents), expected


@torch.no_grad()
def unet_error(monkeypatch: pytest.MonkeyPatch, make_mistake: Mistake | None = None) -> float:
    state, expected = expected_unet()
    model = UNet2DConditionModel(UNET).double().eval()
    model.load_state_dict(state, strict=True)
    if make_mistake:
        make_mistake(model, monkeypatch)
    return relative_error(model(*unet_inputs(UNET)), expected)


@torch.no_grad()
def vae_error(monkeypatch: pytest.MonkeyPatch, make_mistake: Mistake | None = None) -> float:
    state, (images, latents), expected = expected_vae()
    model = AutoencoderKL(VAE).double().eval()
    model.load_state_dict(state, strict=True)
    if make_mistake:
        make_mistake(model, monkeypatch)
    posterior = model.encode(images)
    results = posterior.mean, posterior.logvar, model.decode(latents)
    return max(map(relative_error, results, expected))


def test_models_without_a_mistake_agree(monkeypatch):
    assert unet_error(monkeypatch) <= FLOAT64_TOLERANCE
    assert vae_error(monkeypatch) <= FLOAT64_TOLERANCE


@pytest.mark.parametrize("name", UNET_MISTAKES)
def test_mistake_in_the_unet_is_detected(name, monkeypatch):
    assert unet_error(monkeypatch, UNET_MISTAKES[name]) >= MARGIN * FLOAT64_TOLERANCE


@pytest.mark.parametrize("name", VAE_MISTAKES)
def test_mistake_in_the_autoencoder_is_detected(name, monkeypatch):
    assert vae_error(monkeypatch, VAE_MISTAKES[name]) >= MARGIN * FLOAT64_TOLERANCE
