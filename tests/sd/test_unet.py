"""The denoiser computes what diffusers' does, has the published sizes and names, and shows its
attention.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import nn

from course_lib.sd.unet import Attention, UNet2DConditionModel, UNetConfig, timestep_embedding
from tests.support.parity import (
    ATTENDING,
    EXACT,
    PLAIN,
    SINGLE,
    UNET,
    apart,
    gradients_apart,
    peer_unet,
    unet_inputs,
    unets,
)

CONFIGS = {
    "three levels": UNET,
    "as published, narrow": UNetConfig(block_out_channels=(32, 64, 96, 96), cross_attention_dim=20),
    "one level, no attention on the way": replace(
        UNET, down_block_types=(PLAIN,), block_out_channels=(16,)
    ),
    "attention below only": UNetConfig(
        in_channels=9,
        down_block_types=(PLAIN, ATTENDING),
        block_out_channels=(16, 32),
        layers_per_block=3,
        cross_attention_dim=24,
        norm_num_groups=8,
    ),
    "one layer, one head, narrower below": UNetConfig(
        out_channels=3,
        down_block_types=(ATTENDING, PLAIN),
        block_out_channels=(24, 16),
        layers_per_block=1,
        cross_attention_dim=24,
        attention_head_dim=1,
        norm_num_groups=8,
        norm_eps=1e-3,
    ),
    "the tiny Stable Diffusion's": UNetConfig(
        sample_size=16,
        down_block_types=(PLAIN, ATTENDING, ATTENDING),
        block_out_channels=(64, 128, 128),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
    ),
}


pair = cache(lambda name, dtype=torch.float64: unets(CONFIGS[name], dtype=dtype))


@pytest.mark.parametrize("dtype, bar", [(torch.float64, EXACT), (torch.float32, SINGLE)])
@pytest.mark.parametrize("name", CONFIGS)
def test_it_predicts_what_the_peer_predicts(name, dtype, bar):
    ours, theirs = pair(name, dtype)
    latents, times, context = unet_inputs(CONFIGS[name], 8, 16, dtype)
    with torch.no_grad():
        assert apart(ours(latents, times, context), theirs(latents, times, context).sample) <= bar


@pytest.mark.parametrize("name", ["three levels", "as published, narrow", "attention below only"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 8), (15, 13), (16, 9)])
def test_any_size_of_latents_goes_through(name, size):
    """Odd sides too: half of one is rounded up, and on the way back cut to what it was."""
    ours, theirs = pair(name)
    latents, times, context = unet_inputs(CONFIGS[name], *size)
    with torch.no_grad():
        predicted = ours(latents, times, context)
        assert predicted.shape[-2:] == latents.shape[-2:]
        assert apart(predicted, theirs(latents, times, context).sample) <= EXACT


@pytest.mark.parametrize("name", ["three levels", "one layer, one head, narrower below"])
def test_its_gradients_are_the_peers(name):
    config = CONFIGS[name]
    ours, theirs = unets(config)
    latents, times, context = unet_inputs(config, 8, 12)
    given = [[x.clone().requires_grad_() for x in (latents, context)] for _ in range(2)]
    weight = torch.randn(2, config.out_channels, 8, 12, dtype=torch.float64)
    (ours(given[0][0], times, given[0][1]) * weight).sum().backward()
    (theirs(given[1][0], times, given[1][1]).sample * weight).sum().backward()
    names = ("latents", "context")
    assert (
        gradients_apart(ours, theirs, dict(zip(names, zip(*given, strict=True), strict=True)))
        <= EXACT
    )


def test_the_default_is_the_published_architecture():
    """859,520,964 parameters under 686 keys, all of them the peer's, of the same shapes: on the
    meta device.
    """
    with torch.device("meta"):
        ours, theirs = UNet2DConditionModel(), peer_unet(UNetConfig())
        noise = ours(torch.empty(2, 4, 64, 64), torch.tensor(999), torch.empty(2, 77, 768))
    shapes, peers = (
        {key: value.shape for key, value in model.state_dict().items()} for model in (ours, theirs)
    )
    assert shapes == peers and len(shapes) == 686
    assert sum(parameter.numel() for parameter in ours.parameters()) == 859_520_964
    assert noise.shape == (2, 4, 64, 64)
    eps = {
        name: module.eps
        for name, module in ours.named_modules()
        if isinstance(module, nn.GroupNorm)
    }
    small = [name for name, value in eps.items() if value == 1e-6]
    assert len(small) == 16 and all(".attentions." in name for name in small)
    assert {value for name, value in eps.items() if name not in small} == {1e-5}


def test_a_peers_weights_load_strictly_and_a_part_of_them_does_not():
    torch.manual_seed(0)
    theirs = peer_unet(UNET).state_dict()
    UNet2DConditionModel(UNET).load_state_dict(theirs, strict=True)
    theirs.pop("mid_block.attentions.0.proj_in.bias")
    with pytest.raises(RuntimeError, match="mid_block.attentions.0.proj_in.bias"):
        UNet2DConditionModel(UNET).load_state_dict(theirs, strict=True)


def test_times_are_cosines_then_sines():
    times = torch.tensor([0, 1, 500, 999])
    found = timestep_embedding(times, 320)
    assert torch.equal(
        found, get_timestep_embedding(times, 320, flip_sin_to_cos=True, downscale_freq_shift=0)
    )
    assert found[0].tolist() == [1.0] * 160 + [0.0] * 160
    assert found[1, 0] == pytest.approx(torch.tensor(1.0).cos()) and found.dtype == torch.float32


def test_one_time_does_for_all():
    ours, _ = unets()
    latents, _, context = unet_inputs()
    with torch.no_grad():
        each = ours(latents, torch.tensor([921, 921]), context)
        assert torch.equal(each, ours(latents, 921, context))
        assert torch.equal(each, ours(latents, torch.tensor(921.0), context))
        other = ours(latents, torch.tensor([921, 3]), context)
    assert apart(other[:1], each[:1]) <= EXACT and apart(other[1:], each[1:]) > 1e-3


def attentions(model: nn.Module, ending: str = "attn2") -> dict[str, Attention]:
    """The layers that lesson 7 looks at, by name."""
    return {name: module for name, module in model.named_modules() if name.endswith(ending)}


def test_attention_is_shown_on_demand_and_changes_nothing():
    ours, _ = unets()
    latents, times, context = unet_inputs(height=8, width=12)
    layers = attentions(ours)
    assert len(layers) == 2 * 2 + 1 + 2 * 3
    with torch.no_grad():
        plain = ours(latents, times, context)
        assert all(layer.weights is None for layer in layers.values())
        for layer in layers.values():
            layer.keep_weights = True
        shown = ours(latents, times, context)
    assert apart(shown, plain) <= EXACT
    for layer in layers.values():
        assert layer.weights.shape[:2] == (2, 4) and layer.weights.shape[-1] == 7
        assert torch.allclose(layer.weights.sum(-1), torch.ones(()).double())
    assert (
        layers["down_blocks.0.attentions.0.transformer_blocks.0.attn2"].weights.shape[2] == 8 * 12
    )
    assert layers["mid_block.attentions.0.transformer_blocks.0.attn2"].weights.shape[2] == 2 * 3
    assert all(layer.weights is None for layer in attentions(ours, "attn1").values())


def test_attention_by_hand():
    """One head of one layer, written out: what it took of each token is what the formula says."""
    torch.manual_seed(0)
    layer = Attention(8, 6, heads=2)
    layer.keep_weights = True
    x, context = torch.randn(1, 5, 8), torch.randn(1, 3, 6)
    layer(x, context)
    q, k = x[0] @ layer.to_q.weight.T, context[0] @ layer.to_k.weight.T
    # the second head has the last 4 channels
    by_hand = torch.softmax(q[:, 4:] @ k[:, 4:].T / 2, dim=-1)
    assert torch.allclose(layer.weights[0, 1], by_hand, atol=1e-6)


def test_gradients_pass_through_shown_attention():
    ours, _ = unets()
    latents, times, context = unet_inputs()
    found = []
    for keep in (False, True):
        for layer in attentions(ours).values():
            layer.keep_weights = keep
        ours.zero_grad()
        ours(latents, times, context).square().sum().backward()
        found.append(ours.conv_in.weight.grad.clone())
        assert all(
            layer.weights is None or not layer.weights.requires_grad
            for layer in attentions(ours).values()
        )
    assert apart(found[1], found[0]) <= EXACT


def test_values_lie_channels_last_all_the_way():
    """No layer changes the order in memory, which would be a copy."""
    ours, _ = unets()
    orders = {}
    for name, module in ours.named_modules():
        if isinstance(module, nn.Conv2d | nn.GroupNorm):
            module.register_forward_hook(
                lambda module, given, result, name=name: orders.update(
                    {
                        name: [
                            x.is_contiguous(memory_format=torch.channels_last)
                            for x in (given[0], result)
                        ]
                    }
                )
            )
    ours(*unet_inputs())
    first = orders.pop("conv_in")
    assert first == [False, True]  # latents come as they are
    assert len(orders) > 50 and all(all(order) for order in orders.values())


@pytest.mark.parametrize(
    "options, said",
    [
        (
            {"block_out_channels": (16, 36, 48)},
            r"\[16, 36, 48\].*8 groups and 4 heads: choose multiples of 8",
        ),
        ({"attention_head_dim": 3}, "choose multiples of 24"),
        ({"down_block_types": (PLAIN, PLAIN)}, r"for each of \[16, 32, 48\]"),
        (
            {"down_block_types": (PLAIN, PLAIN, "AttnDownBlock2D")},
            "CrossAttnDownBlock2D or DownBlock2D",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
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
def test_inputs_that_do_not_fit_are_refused(latents, times, context):
    with torch.device("meta"):
        model = UNet2DConditionModel(UNET)
        given = torch.empty(latents), torch.zeros(times), torch.empty(context)
    # The second where annotations are checked, which see some of it before.
    with pytest.raises(
        (ValueError, TypeError),
        match="give 4 channels, a time for each latent or one for all|context",
    ):
        model(*given)


@pytest.mark.slow
def test_the_full_size_predicts_what_the_peer_predicts():
    """In float32, 859,520,964 random parameters, held in memory once: theirs are ours."""
    torch.manual_seed(0)
    ours = UNet2DConditionModel().eval()
    with torch.device("meta"):
        theirs = peer_unet(UNetConfig()).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
        theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)
        latents, context = torch.randn(1, 4, 32, 32), torch.randn(1, 77, 768)
        assert apart(ours(latents, 500, context), theirs(latents, 500, context).sample) <= SINGLE
