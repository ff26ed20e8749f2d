"""A LoRA gives the results of changed weights, in diffusers' models too, and can be taken back."""

from copy import deepcopy
from functools import cache

import pytest
import torch
from torch import nn

from course_lib.sd import lora
from course_lib.sd.lora import LoRAConv2d, LoRALinear
from tests.support.lora import TEXT, random_changes, with_changes
from tests.support.parity import (
    FLOAT32_TOLERANCE,
    FLOAT64_TOLERANCE,
    PRECISIONS,
    clip_pair,
    relative_error,
    unet_inputs,
    unet_pair,
)
from tests.support.small_sd import small_pipeline

# Attention; then all linear layers; then convolutions with and without a stride.
LAYERS = {
    "attention": lora.ATTENTION,
    "linear": (*lora.ATTENTION, "net.0.proj", "net.2", "time_emb_proj", "linear_1"),
    "convolutions": ("proj_in", "conv1", "conv_shortcut", "conv", "conv_in", "conv_out"),
}


@cache
def shared_unets(dtype):
    return unet_pair(dtype=dtype)


def own_unets(dtype=torch.float64):
    """Our U-Net for a test that changes it, and diffusers' with the same weights."""
    ours, theirs = shared_unets(dtype)
    return deepcopy(ours), theirs


def inject_random(model, names=lora.ATTENTION):
    """Our model with random LoRAs, and the same changes as tensors."""
    layers = lora.inject(model, 3, 2.0, names)
    changes = random_changes(model, layers)
    with torch.no_grad():
        for name, layer in layers.items():
            layer.lora_A.weight.copy_(changes[name].A)
            layer.lora_B.weight.copy_(changes[name].B)
    return changes


@pytest.mark.parametrize("dtype, limit", PRECISIONS)
@pytest.mark.parametrize("names", LAYERS.values(), ids=LAYERS)
def test_unet_matches_diffusers_with_changed_weights(names, dtype, limit):
    ours, theirs = own_unets(dtype)
    inputs = unet_inputs(height=8, width=8, dtype=dtype)
    with torch.no_grad():
        before = ours(*inputs)
        changes = inject_random(ours, names)
        expected = with_changes(theirs, changes)(*inputs).sample
        assert relative_error(ours(*inputs), expected) <= limit
        assert relative_error(before, expected) > 1e-2
        lora.merge(ours)
        assert relative_error(ours(*inputs), expected) <= limit


def test_text_encoder_matches_transformers_with_changed_weights():
    ours, theirs = clip_pair(TEXT)
    changes = inject_random(ours, (*lora.ATTENTION, "fc1", "fc2"))
    assert len(changes) == 2 * 6
    ids = torch.randint(50, (3, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = with_changes(theirs, changes)(ids).last_hidden_state
        assert relative_error(ours(ids), expected) <= FLOAT64_TOLERANCE


def test_new_lora_changes_nothing_and_is_small():
    ours, theirs = own_unets()
    inputs = unet_inputs()
    state = ours.state_dict()
    total = sum(parameter.numel() for parameter in ours.parameters())
    layers = lora.inject(ours, rank=2)
    with torch.no_grad():
        assert relative_error(ours(*inputs), theirs(*inputs).sample) <= FLOAT64_TOLERANCE
    assert len(layers) == 2 * 4 * (4 + 1 + 6)
    trainable = [parameter for parameter in ours.parameters() if parameter.requires_grad]
    assert {id(p) for p in trainable} == {id(p) for p in lora.parameters(ours)}
    sizes = [2 * (layer.in_features + layer.out_features) for layer in layers.values()]
    assert sum(parameter.numel() for parameter in trainable) == sum(sizes) < total / 20
    assert all(layer.scale == 1 and not layer.merged for layer in layers.values())
    # A and B have the published names; all other names are unchanged.
    new = {f"{name}.lora_{part}.weight" for name in layers for part in "AB"}
    assert ours.state_dict().keys() == state.keys() | new


@pytest.mark.parametrize("make", [lambda: nn.Linear(5, 4), lambda: nn.Conv2d(5, 4, 3, 2, 1)])
def test_gradients_are_those_of_the_low_rank_change(make):
    """With the gradient G of the weight, that of B is scale G A^T, that of A is scale B^T G."""
    torch.manual_seed(0)
    layer = make().double()
    kind = LoRAConv2d if isinstance(layer, nn.Conv2d) else LoRALinear
    adapted = kind(deepcopy(layer), 2, 3.0)
    nn.init.normal_(adapted.lora_B.weight)
    x = torch.randn(2, 5, 6, 6).double() if kind is LoRAConv2d else torch.randn(7, 5).double()
    adapted(x).square().sum().backward()
    A, B = adapted.lora_A.weight, adapted.lora_B.weight
    with torch.no_grad():
        layer.weight += adapted.change()
    layer(x).square().sum().backward()
    G = layer.weight.grad.flatten(1)
    assert relative_error(B.grad.flatten(1), 1.5 * G @ A.detach().flatten(1).T) <= FLOAT64_TOLERANCE
    assert relative_error(A.grad.flatten(1), 1.5 * B.detach().flatten(1).T @ G) <= FLOAT64_TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("names", [lora.ATTENTION, ("conv1", "conv")], ids=["linear", "conv"])
def test_unmerging_restores_the_weights_to_the_bit(names, dtype):
    ours, _ = own_unets(torch.float32)
    ours.to(dtype)
    before = deepcopy(ours.state_dict())
    inject_random(ours, names)
    for strength in (1.0, -0.7):
        lora.set_strength(ours, strength)
        lora.merge(ours)
        merged = ours.state_dict()
        assert not all(torch.equal(merged[key], value) for key, value in before.items())
        lora.unmerge(ours)
        restored = ours.state_dict()
        for key, value in before.items():
            assert torch.equal(restored[key], value), key
            assert restored[key].stride() == value.stride()
    lora.remove(ours)
    assert ours.state_dict().keys() == before.keys()


def test_strength_scales_the_change():
    ours, theirs = own_unets()
    inputs = unet_inputs()
    changes = inject_random(ours)
    with torch.no_grad():
        lora.set_strength(ours, 0.0)
        assert relative_error(ours(*inputs), theirs(*inputs).sample) <= FLOAT64_TOLERANCE
        lora.set_strength(ours, 0.25)
        weaker = {name: change._replace(alpha=change.alpha / 4) for name, change in changes.items()}
        expected = with_changes(theirs, weaker)(*inputs).sample
        assert relative_error(ours(*inputs), expected) <= FLOAT64_TOLERANCE
        lora.merge(ours)
        assert relative_error(ours(*inputs), expected) <= FLOAT64_TOLERANCE


def test_removing_puts_the_original_layers_back():
    ours, theirs = own_unets()
    inputs, originals = unet_inputs(), dict(ours.named_modules())
    changes = inject_random(ours)
    lora.remove(ours)
    assert dict(ours.named_modules()) == originals
    with torch.no_grad():
        assert relative_error(ours(*inputs), theirs(*inputs).sample) <= FLOAT64_TOLERANCE
        inject_random(ours)
        lora.merge(ours)
        lora.remove(ours)
        expected = with_changes(theirs, changes)(*inputs).sample
        assert relative_error(ours(*inputs), expected) <= FLOAT64_TOLERANCE


def test_removing_after_a_change_of_dtype_and_a_copy():
    ours, _ = own_unets()
    inject_random(ours)
    copy = deepcopy(ours).to(torch.float32)
    lora.remove(copy)
    assert {parameter.dtype for parameter in copy.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float64}
    latents, times, context = unet_inputs()
    with torch.no_grad():
        expected = shared_unets(torch.float64)[0](latents, times, context).float()
        found = copy(latents.float(), times, context.float())
    assert relative_error(found, expected) <= FLOAT32_TOLERANCE
    assert len(lora.find_layers(ours)) == 88 and not lora.find_layers(copy)


def test_training_changes_only_the_lora():
    ours, _ = own_unets(torch.float32)
    before = deepcopy(ours.state_dict())
    lora.inject(ours, 4)
    inputs = unet_inputs(dtype=torch.float32)
    target = torch.randn(2, 4, 12, 8, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(lora.parameters(ours), 1e-2)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(ours(*inputs), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    after = ours.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_pipeline_generates_with_loras_in_every_layer():
    """Downsampling reads the convolution's padding, the pipeline that of its first layer."""
    pipeline = small_pipeline()
    expected = pipeline.generate("a fox", steps=2, sampler="ddim")
    for model in (pipeline.unet, pipeline.text_encoder):
        layers = lora.inject(model, 2, layers=list(lora.adaptable_layers(model)))
        assert len(layers) == len(lora.adaptable_layers(model))
    with_loras = pipeline.generate("a fox", steps=2, sampler="ddim")
    assert relative_error(with_loras, expected) <= FLOAT32_TOLERANCE


def test_two_ranks_in_one_model():
    ours, _ = own_unets()
    lora.inject(ours, 2, layers=["attn1.to_q"])
    lora.inject(ours, 4, 8.0, layers=["attn2.to_k"])
    ranks = {name.rpartition("attn")[2]: x.rank for name, x in lora.find_layers(ours).items()}
    assert ranks == {"1.to_q": 2, "2.to_k": 4}
    assert all(parameter.requires_grad for parameter in lora.parameters(ours))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rank": 0}, "rank is 0: give at least 1"),
        ({"rank": 2, "alpha": 0.0}, "alpha is 0.0: give a number above 0"),
        ({"rank": 2, "alpha": float("nan")}, "alpha is nan"),
        ({"rank": 2, "layers": ["query"]}, "named query: choose among .*conv1"),
        ({"rank": 2, "layers": ["o_q"]}, "named o_q"),
    ],
)
def test_invalid_arguments_are_rejected(options, message):
    ours, _ = own_unets()
    with pytest.raises(ValueError, match=message):
        lora.inject(ours, **options)
    assert not lora.find_layers(ours) and ours.conv_in.weight.requires_grad


def test_calls_in_a_wrong_order_are_rejected():
    ours, _ = own_unets()
    lora.inject(ours, 2, layers=["attn2.to_q"])
    with pytest.raises(ValueError, match="attn2.to_q has a LoRA already: call remove first"):
        lora.inject(ours, 2)
    assert len(lora.find_layers(ours)) == 11
    with pytest.raises(ValueError, match="has a LoRA already"):
        lora.add_to(ours, next(iter(lora.find_layers(ours))), 2)
    with pytest.raises(ValueError, match="not merged: call merge first"):
        lora.unmerge(ours)
    lora.merge(ours)
    with pytest.raises(ValueError, match="merged already: call unmerge first"):
        lora.merge(ours)
    with pytest.raises(ValueError, match="merged with its strength: call unmerge first"):
        lora.set_strength(ours, 0.5)
    with pytest.raises(ValueError, match="2 groups: a LoRA needs a single one"):
        LoRAConv2d(nn.Conv2d(4, 4, 3, groups=2), 1)
