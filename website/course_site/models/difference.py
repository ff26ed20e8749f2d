"""A model of the site stored as its difference to another one with the same graph.

Lesson 8's one-step model is the U-Net of ``tiny-sd`` with slightly different weights. The site has
no room for a second U-Net. The difference is several times smaller, because most weights change by
one or two of the 255 steps of their 8 bits, or not at all. The sum is the one-step model quantised
with the scales of the U-Net. Adding the model's LoRA in the page would round twice, first the
U-Net, then the sum; as branches of the graph it would cost time in every picture.

A difference is a file: the length of a JSON text as a 32-bit integer, little-endian; the text, a
list of parts; and the units of all parts as 8-bit integers. A part changes ``count`` numbers at
``offset`` of the other model's file. Where ``step`` is 0 they are bytes, which change by whole
units; else they are float32, which change by ``step`` times the units.
``web/runtime/difference.js`` adds it.
"""

import json
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

State = Mapping[str, np.ndarray]


def make_difference(contents: bytes, old: State, new: State) -> bytes:
    """What to add to a model.

    Args:
        contents: the model's ONNX file, some of its weights dynamically quantised to uint8.
        old: the weights from which it was exported, by their names in torch.
        new: weights of the same shapes.

    Raises:
        ValueError: if the file does not hold each changed weight once.
    """
    missing = {name for name, value in old.items() if not np.array_equal(value, new[name])}
    graph = onnx.load_from_string(contents).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    parts, units = [], []
    for tensor in tensors.values():
        stored = numpy_helper.to_array(tensor).astype(np.float32)
        zero = _find_zero_point(tensor, tensors)
        name, transposed = _find_weight(stored, zero, missing, old)
        if not name:
            continue
        missing.remove(name)
        source, target = (state[name].T if transposed else state[name] for state in (old, new))
        if zero is None:
            step = float(np.float32(np.abs(target - source).max() / 127))
            part = np.rint((target - source) / step)
        else:
            step = 0.0
            part = np.clip(np.rint(target / _scale(source)) + zero, 0, 255) - stored
        units.append(np.clip(part, -127, 127).astype(np.int8).ravel())
        parts.append({"offset": _find_offset(contents, tensor), "count": part.size, "step": step})
    if missing:
        raise ValueError(f"these weights are not in the exported model: {sorted(missing)}")
    header = json.dumps(parts, separators=(",", ":")).encode()
    return len(header).to_bytes(4, "little") + header + np.concatenate(units).tobytes()


def _find_zero_point(tensor: TensorProto, tensors: Mapping[str, TensorProto]) -> int | None:
    """The byte that stands for 0 in a quantised tensor; None for others."""
    name = tensor.name.removesuffix("_quantized") + "_zero_point"
    if tensor.data_type != TensorProto.UINT8 or name not in tensors:
        return None
    return numpy_helper.to_array(tensors[name]).item()


def _scale(weight: np.ndarray) -> float:
    """The step of ``quantize_dynamic``: the range of the weight, extended to 0, has 255 steps."""
    return (max(weight.max(), 0) - min(weight.min(), 0)) / 255


def _find_weight(
    stored: np.ndarray, zero: int | None, names: set[str], state: State
) -> tuple[str, bool]:
    """The name of the weight with these values, and whether it is transposed; "" if there is none.

    By value: the exporter renames and transposes the weights of linear layers.
    """
    for name in sorted(names):
        weight = state[name]
        # Half a step from rounding the values, and as much from rounding the zero point.
        scale, tolerance = (1.0, 1e-6) if zero is None else (_scale(weight), 1.01)
        for transposed in (False, True) if weight.ndim == 2 else (False,):
            units = (weight.T if transposed else weight) / scale
            if units.shape != stored.shape:
                continue
            if np.abs(units - (stored - (zero or 0))).max() <= tolerance:
                return name, transposed
    return "", False


def _find_offset(contents: bytes, tensor: TensorProto) -> int:
    """Where the tensor's numbers begin in the file."""
    message = tensor.SerializeToString(deterministic=True)
    start = contents.index(message)
    return start + message.rindex(tensor.raw_data)
