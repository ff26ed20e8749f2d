"""What a checkpoint stores instead of a model's weights, where these would take too much space.

Recipes name these functions as ``pack`` and ``unpack``. What remains is stored in float16.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from course_lib.sd import lora

State = Mapping[str, Tensor]

_SCALE = ".scale"  # the end of the name of the scales of a tensor in 8 bits
_A, _B = ".lora_A.weight", ".lora_B.weight"


def to_8_bits(state: State) -> dict[str, Tensor]:
    """Weights as int8, in units of a scale for each output: half the size of float16.

    Biases and normalisations, which have one dimension, stay as they are. A unit is a 127th of the
    output's largest weight.
    """
    packed = {}
    for name, value in state.items():
        if value.ndim < 2 or not value.is_floating_point():
            packed[name] = value
            continue
        scale = value.abs().flatten(1).amax(1).clamp(min=torch.finfo(torch.float16).tiny) / 127
        scale = scale.half().float()  # as it is stored
        units = value / scale.view(-1, *[1] * (value.ndim - 1))
        packed[name] = units.round().clamp(-127, 127).to(torch.int8)
        packed[name + _SCALE] = scale
    return packed


def from_8_bits(packed: State) -> dict[str, Tensor]:
    """The weights that :func:`to_8_bits` rounded, in float32."""
    state = {}
    for name, value in packed.items():
        if value.dtype == torch.int8:
            scale = packed[name + _SCALE].view(-1, *[1] * (value.ndim - 1))
            state[name] = value.float() * scale
        elif not name.endswith(_SCALE):
            state[name] = value
    return state


def to_difference(state: State, base: State, rank: int, prefix: str = "") -> dict[str, Tensor]:
    """The changes of a trained model's weights as LoRAs of a low rank.

    Args:
        state: of the trained model.
        base: of the model from which it was trained.
        rank: of each change; lower where a side of the weight is smaller.
        prefix: of the names of the LoRAs. With ``"unet."`` and if nothing but linear layers and
            convolutions was trained, :mod:`course_lib.sd.lora_files` reads the result.

    Returns:
        A and B of each changed weight; unchanged ones are left out. Other changed tensors, and
        those that ``base`` does not have, are kept as they are.
    """
    packed = {}
    for name, value in state.items():
        value = value.detach().cpu()
        if name not in base:
            packed[name] = value
        elif not torch.equal(value, base[name]):
            if value.ndim < 2:
                packed[name] = value
                continue
            layer = prefix + name.removesuffix(".weight")
            packed[layer + _A], packed[layer + _B] = lora.factorise(value - base[name], rank)
    return packed


def from_difference(packed: State, base: State, prefix: str = "") -> dict[str, Tensor]:
    """The state that :func:`to_difference` approximated; ``base`` and ``prefix`` as there."""
    state = {**base, **{name: value for name, value in packed.items() if "lora_" not in name}}
    for name, B in packed.items():
        if name.endswith(_B):
            A = packed[name.removesuffix(_B) + _A]
            weight = name.removesuffix(_B).removeprefix(prefix) + ".weight"
            state[weight] = base[weight] + (B.flatten(1) @ A.flatten(1)).view_as(base[weight])
    return state
