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
        scale, zero = _find_scale(tensor, tensors)
        stored = numpy_helper.to_array(tensor)
        name, transposed = _find_weight((stored - zero) * scale, scale, missing, old)
        if not name:
            continue
        missing.remove(name)
        target, source = (state[name].T if transposed else state[name] for state in (new, old))
        if tensor.data_type == TensorProto.UINT8:
            step = 0.0
            part = np.clip(np.rint(target / scale) + zero, 0, 255) - stored
        else:
            step = float(np.float32(np.abs(target - source).max() / 127))
            part = np.rint((target - source) / step)
        units.append(np.clip(part, -127, 127).astype(np.int8).ravel())
        parts.append({"offset": _find_offset(contents, tensor), "count": part.size, "step": step})
    if missing:
        raise ValueError(f"these weights are not in the exported model: {sorted(missing)}")
    header = json.dumps(parts, separators=(",", ":")).encode()
    return len(header).to_bytes(4, "little") + header + np.concatenate(units).tobytes()


def _find_scale(tensor: TensorProto, tensors: Mapping[str, TensorProto]) -> tuple[float, int]:
    """Scale and zero point of a tensor; 1 and 0 if it is not quantised."""
    name = tensor.name.removesuffix("_quantized")
    if tensor.data_type != TensorProto.UINT8 or f"{name}_scale" not in tensors:
        return 1.0, 0
    scale, zero = (
        numpy_helper.to_array(tensors[f"{name}_{end}"]).item() for end in ("scale", "zero_point")
    )
    return scale, zero


def _find_weight(
    values: np.ndarray, scale: float, names: set[str], state: State
) -> tuple[str, bool]:
    """The name of the weight with these values, and whether it is transposed; "" if there is none.

    By value: the exporter renames and transposes the weights of linear layers.
    """
    tolerance = 1e-6 if scale == 1 else 0.51 * scale
    for name in sorted(names):
        for transposed in (False, True) if state[name].ndim == 2 else (False,):
            weight = state[name].T if transposed else state[name]
            if weight.shape == values.shape and np.abs(weight - values).max() <= tolerance:
                return name, transposed
    return "", False


def _find_offset(contents: bytes, tensor: TensorProto) -> int:
    """Where the tensor's numbers begin in the file."""
    message = tensor.SerializeToString(deterministic=True)
    start = contents.index(message)
    return start + message.rindex(tensor.raw_data)
