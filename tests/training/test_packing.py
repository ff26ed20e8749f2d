"""Checkpoints in 8 bits and as low-rank differences: errors, names, sizes and the way back."""

import pytest
import torch
from torch import nn

from course_lib.assets import checkpoints
from course_lib.sd import lora, lora_files
from course_lib.training import packing
from tests.support.small_sd import small_pipeline


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Flatten(), nn.Linear(8, 5))


def test_8_bits_are_within_half_a_unit():
    state = small_net().state_dict() | {"zeros": torch.zeros(2, 3), "count": torch.tensor(3)}
    packed = checkpoints.to_float32(checkpoints.to_fp16(packing.to_8_bits(state)))
    restored = packing.from_8_bits(packed)
    assert restored.keys() == state.keys() and restored["count"] == 3
    assert not restored["zeros"].any()
    for name in ("0.weight", "3.weight"):
        unit = packed[name + ".scale"].view(-1, *[1] * (state[name].ndim - 1))
        assert packed[name].dtype == torch.int8 and packed[name].abs().max() == 127
        # the scale itself is rounded to float16
        assert ((restored[name] - state[name]).abs() <= unit * (0.5 + 127 / 2048)).all()
    assert torch.equal(restored["0.bias"], state["0.bias"].half().float())


def test_8_bits_are_restored_exactly_once_rounded():
    once = packing.from_8_bits(packing.to_8_bits(small_net().state_dict()))
    twice = packing.from_8_bits(packing.to_8_bits(once))
    torch.testing.assert_close(once, twice)


def test_unchanged_weights_are_left_out_and_others_are_kept():
    base, model = small_net().state_dict(), small_net()
    with torch.no_grad():
        model[0].weight += torch.randn(8, 1, 1, 1) * torch.randn(1, 3, 3, 3)  # of rank 1
        model[1].bias += 1
    state = model.state_dict() | {"new": torch.ones(2)}
    packed = packing.to_difference(state, base, rank=1)
    assert set(packed) == {"0.lora_A.weight", "0.lora_B.weight", "1.bias", "new"}
    restored = packing.from_difference(packed, base)
    torch.testing.assert_close(restored, dict(state))


def test_error_falls_with_the_rank_and_ends_at_0():
    change = torch.randn(12, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    errors = []
    for rank in (1, 4, 12, 100):
        A, B = lora.factorise(change, rank)
        assert A.shape == (min(rank, 12), 3, 3, 3) and B.shape == (12, min(rank, 12), 1, 1)
        product = (B.flatten(1) @ A.flatten(1)).view_as(change)
        errors.append((product - change).square().sum().item())
    singular = torch.linalg.svdvals(change.flatten(1))
    assert errors[0] == pytest.approx(singular[1:].square().sum().item(), rel=1e-4)
    assert errors[0] > errors[1] > errors[2] and errors[2:] == pytest.approx([0, 0], abs=1e-6)
    with pytest.raises(ValueError, match="rank is 0"):
        lora.factorise(change, 0)


def test_a_difference_is_a_lora_file(tmp_path):
    base, trained = small_pipeline().unet, small_pipeline().unet
    torch.manual_seed(1)
    with torch.no_grad():
        for layer in lora.adaptable_layers(trained).values():
            layer.weight += 0.1 * torch.randn_like(layer.weight)
    packed = packing.to_difference(trained.state_dict(), base.state_dict(), 2, prefix="unet.")
    path = checkpoints.save("x", packed, dict.fromkeys(checkpoints.CARD_KEYS, ""), tmp_path)
    expected = packing.from_difference(checkpoints.read(path), base.state_dict(), prefix="unet.")
    lora_files.load(path, unet=base)
    lora.merge(base)
    lora.remove(base)
    torch.testing.assert_close(base.state_dict(), expected, check_layout=False)
