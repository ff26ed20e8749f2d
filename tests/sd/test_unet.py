"""The U-Net matches diffusers, has the published key names, and can keep its attention weights."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from course_lib.sd.unet import Attention, UNet2DConditionModel, UNetConfig, timestep_embedding
from tests.support.parity import (
    FLOAT32_TOLERANCE,
    FLOAT64_TOLERANCE,
    PRECISIONS,
    UNET,
    WITH_ATTENTION,
    WITHOUT_ATTENTION,
    diffusers_unet,
    gradient_error,
    relative_error,
    unet_inputs,
    unet_pair,
)

CONFIGS = {
    "three levels": UNET,
    "as published, narrow": UNetConfig(block_out_channels=(32, 64, 96, 96), cross_attention_dim=20),
    "one level, without attention": replace(
        UNET, down_block_types=(WITHOUT_ATTENTION,), block_out_channels=(16,)
    ),
    "attention only at the coarse level": UNetConfig(
        in_channels=9,
        down_block_types=(WITHOUT_ATTENTION, WITH_ATTENTION),
        block_out_channels=(16, 32),
        layers_per_block=3,
        cross_attention_dim=24,
        norm_num_groups=8,
    ),
    "one layer, one head, narrower at the coarse level": UNetConfig(
        out_channels=3,
        down_block_types=(WITH_ATTENTION, WITHOUT_ATTENTION),
        block_out_channels=(24, 16),
        layers_per_block=1,
        cross_attention_dim=24,
        attention_head_dim=1,
        norm_num_groups=8,
        norm_eps=1e-3,
    ),
    "like the course's text-to-image model": UNetConfig(
        sample_size=16,
        down_block_types=(WITHOUT_ATTENTION, WITH_ATTENTION, WITH_ATTENTION),
        block_out_channels=(64, 128, 128),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
    ),
}


@cache
def pair(name: str, dtype: torch.dtype = torch.float64):
    return unet_pair(CONFIGS[name], dtype)


def own_model() -> UNet2DConditionModel:
    """A copy of our tiny U-Net, for tests that modify it."""
    return deepcopy(pair("three levels")[0])


@pytest.mark.parametrize("dtype, limit", PRECISIONS)
@pytest.mark.parametrize("name", CONFIGS)
def test_prediction_matches_diffusers(name, dtype, limit):
    ours, theirs = pair(name, dtype)
    inputs = unet_inputs(CONFIGS[name], 8, 16, dtype)
    with torch.no_grad():
        assert relative_error(ours(*inputs), theirs(*inputs).sample) <= limit


@pytest.mark.parametrize(
    "name", ["three levels", "as published, narrow", "attention only at the coarse level"]
)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 8), (15, 13), (16, 9)])
def test_any_latent_size_works(name, size):
    """Sizes with odd sides match too: downsampling rounds up, and upsampling restores the size."""
    ours, theirs = pair(name)
    latents, times, context = unet_inputs(CONFIGS[name], *size)
    with torch.no_grad():
        predicted = ours(latents, times, context)
        assert predicted.shape[-2:] == latents.shape[-2:]
        assert (
            relative_error(predicted, theirs(latents, times, context).sample) <= FLOAT64_TOLERANCE
        )


@pytest.mark.parametrize(
    "name", ["three levels", "one layer, one head, narrower at the coarse level"]
)
def test_gradients_match_diffusers(name):
    config = CONFIGS[name]
    ours, theirs = unet_pair(config)
    latents, times, context = unet_inputs(config, 8, 12)
    our_latents, their_latents = (latents.clone().requires_grad_() for _ in range(2))
    our_context, their_context = (context.clone().requires_grad_() for _ in range(2))
    weight = torch.randn(2, config.out_channels, 8, 12, dtype=torch.float64)
    (ours(our_latents, times, our_context) * weight).sum().backward()
    (theirs(their_latents, times, their_context).sample * weight).sum().backward()
    inputs = {"latents": (our_latents, their_latents), "context": (our_context, their_context)}
    assert gradient_error(ours, theirs, inputs) <= FLOAT64_TOLERANCE


def test_default_is_the_published_architecture():
    """The default has 859,520,964 parameters in 686 tensors with diffusers' names."""
    with torch.device("meta"):
        ours, theirs = UNet2DConditionModel(), diffusers_unet(UNetConfig())
        noise = ours(torch.empty(2, 4, 64, 64), torch.tensor(999), torch.empty(2, 77, 768))
    our_shapes, their_shapes = (
        {key: value.shape for key, value in model.state_dict().items()} for model in (ours, theirs)
    )
    assert our_shapes == their_shapes and len(our_shapes) == 686
    assert sum(parameter.numel() for parameter in ours.parameters()) == 859_520_964
    assert noise.shape == (2, 4, 64, 64)
    eps = {
        name: module.eps
        for name, module in ours.named_modules()
        if isinstance(module, nn.GroupNorm)
    }
    with_small_eps = [name for name, value in eps.items() if value == 1e-6]
    assert len(with_small_eps) == 16 and all(".attentions." in name for name in with_small_eps)
    assert {value for name, value in eps.items() if name not in with_small_eps} == {1e-5}


def test_diffusers_weights_load_only_completely():
    torch.manual_seed(0)
    state = diffusers_unet(UNET).state_dict()
    UNet2DConditionModel(UNET).load_state_dict(state, strict=True)
    state.pop("mid_block.attentions.0.proj_in.bias")
    with pytest.raises(RuntimeError, match="mid_block.attentions.0.proj_in.bias"):
        UNet2DConditionModel(UNET).load_state_dict(state, strict=True)


def test_timestep_embedding_matches_diffusers():
    from diffusers.models.embeddings import get_timestep_embedding

    times = torch.tensor([0, 1, 500, 999])
    embedding = timestep_embedding(times, 320)
    theirs = get_timestep_embedding(times, 320, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert torch.equal(embedding, theirs)
    assert embedding[0].tolist() == [1.0] * 160 + [0.0] * 160
    assert embedding[1, 0] == pytest.approx(torch.tensor(1.0).cos())
    assert embedding.dtype == torch.float32


def test_one_timestep_for_all_latents():
    ours, _ = pair("three levels")
    latents, _, context = unet_inputs()
    with torch.no_grad():
        same_times = ours(latents, torch.tensor([921, 921]), context)
        assert torch.equal(same_times, ours(latents, 921, context))
        assert torch.equal(same_times, ours(latents, torch.tensor(921.0), context))
        other_times = ours(latents, torch.tensor([921, 3]), context)
    assert relative_error(other_times[:1], same_times[:1]) <= FLOAT64_TOLERANCE
    assert relative_error(other_times[1:], same_times[1:]) > 1e-3


def attention_layers(model: nn.Module, ending: str = "attn2") -> dict[str, Attention]:
    """Name -> attention layer; by default the cross-attention layers."""
    return {name: module for name, module in model.named_modules() if name.endswith(ending)}


def test_keeping_attention_weights_does_not_change_the_prediction():
    ours = own_model()
    latents, times, context = unet_inputs(height=8, width=12)
    layers = attention_layers(ours)
    assert len(layers) == 2 * 2 + 1 + 2 * 3
    with torch.no_grad():
        expected = ours(latents, times, context)
        assert all(layer.weights is None for layer in layers.values())
        for layer in layers.values():
            layer.keep_weights = True
        predicted = ours(latents, times, context)
    assert relative_error(predicted, expected) <= FLOAT64_TOLERANCE
    for layer in layers.values():
        assert layer.weights.shape[:2] == (2, 4) and layer.weights.shape[-1] == 7
        assert torch.allclose(layer.weights.sum(-1), torch.ones(()).double())
    fine = layers["down_blocks.0.attentions.0.transformer_blocks.0.attn2"]
    coarse = layers["mid_block.attentions.0.transformer_blocks.0.attn2"]
    assert fine.weights.shape[2] == 8 * 12 and coarse.weights.shape[2] == 2 * 3
    assert all(layer.weights is None for layer in attention_layers(ours, "attn1").values())


def test_attention_weights_follow_the_formula():
    torch.manual_seed(0)
    layer = Attention(8, 6, heads=2)
    layer.keep_weights = True
    x, context = torch.randn(1, 5, 8), torch.randn(1, 3, 6)
    layer(x, context)
    q, k = x[0] @ layer.to_q.weight.T, context[0] @ layer.to_k.weight.T
    # The second head has the last 4 channels.
    expected = torch.softmax(q[:, 4:] @ k[:, 4:].T / 2, dim=-1)
    assert torch.allclose(layer.weights[0, 1], expected, atol=1e-6)


def test_gradients_with_kept_attention_weights():
    ours = own_model()
    latents, times, context = unet_inputs()
    gradients = []
    for keep_weights in (False, True):
        layers = attention_layers(ours).values()
        for layer in layers:
            layer.keep_weights = keep_weights
        ours.zero_grad()
        ours(latents, times, context).square().sum().backward()
        gradients.append(ours.conv_in.weight.grad.clone())
        assert not any(
            layer.weights is not None and layer.weights.requires_grad for layer in layers
        )
    assert relative_error(gradients[1], gradients[0]) <= FLOAT64_TOLERANCE


def test_memory_format_is_channels_last_throughout():
    """Every layer keeps the channels_last memory format, so that no copy is needed."""
    ours = own_model()
    formats = {}

    def is_channels_last(x):
        return x.is_contiguous(memory_format=torch.channels_last)

    def record(name):
        def hook(module, args, output):
            formats[name] = is_channels_last(args[0]), is_channels_last(output)

        return hook

    for name, module in ours.named_modules():
        if isinstance(module, nn.Conv2d | nn.GroupNorm):
            module.register_forward_hook(record(name))
    ours(*unet_inputs())
    assert formats.pop("conv_in") == (False, True)  # latents arrive contiguous
    assert len(formats) > 50 and all(all(pair) for pair in formats.values())


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"block_out_channels": (16, 36, 48)},
            r"\[16, 36, 48\].*8 groups and 4 heads: choose multiples of 8",
        ),
        ({"attention_head_dim": 3}, "choose multiples of 24"),
        (
            {"down_block_types": (WITHOUT_ATTENTION, WITHOUT_ATTENTION)},
            r"for each of block_out_channels \[16, 32, 48\]",
        ),
        (
            {"down_block_types": (WITHOUT_ATTENTION, WITHOUT_ATTENTION, "AttnDownBlock2D")},
            "CrossAttnDownBlock2D or DownBlock2D",
        ),
    ],
)
def test_invalid_sizes_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        UNet2DConditionModel(replace(UNET, **options))


@pytest.mark.parametrize(
    "latents, times, context",
    [
        ((2, 3, 8, 8), (2,), (2, 7, 24)),
        ((2, 4, 8, 8), (3,), (2, 7, 24)),
        ((2, 4, 8, 8), (2,), (1, 7, 24)),
        ((2, 4, 8, 8), (2,), (2, 7, 32)),
    ],
)
def test_invalid_input_shapes_are_rejected(latents, times, context):
    with torch.device("meta"):
        model = UNet2DConditionModel(UNET)
        inputs = torch.empty(latents), torch.zeros(times), torch.empty(context)
    # With runtime shape checking, a TypeError is raised first for some of these.
    with pytest.raises(
        (ValueError, TypeError),
        match="give 4 channels, a time for each latent or one for all|context",
    ):
        model(*inputs)


@pytest.mark.slow
def test_full_size_matches_diffusers():
    """Predictions of the full-size model match in float32. Both models share their parameters, to
    save memory.
    """
    torch.manual_seed(0)
    ours = UNet2DConditionModel().eval()
    with torch.device("meta"):
        theirs = diffusers_unet(UNetConfig()).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
        theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)
        latents, context = torch.randn(1, 4, 32, 32), torch.randn(1, 77, 768)
        expected = theirs(latents, 500, context).sample
        assert relative_error(ours(latents, 500, context), expected) <= FLOAT32_TOLERANCE
