"""A model stored as a difference to another one has the other weights, within the rounding."""

import json

import numpy as np
import onnx
import pytest
from course_site.models import difference
from onnx import helper, numpy_helper


def weights(seed: int) -> dict[str, np.ndarray]:
    """Two linear layers of equal shapes and a convolution, as torch stores them."""
    rng = np.random.default_rng(seed)
    shapes = {"first": (6, 6), "second": (6, 6), "conv": (4, 3, 3, 3), "bias": (4,)}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def changed(old: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    step = weights(1)
    return {name: value + 0.1 * step[name] * (name != "bias") for name, value in old.items()}


def exported(state: dict[str, np.ndarray], ranges: dict[str, np.ndarray]) -> bytes:
    """An ONNX file with the linear layers transposed and quantised, under other names.

    ``ranges``: the weights whose ranges are those of a byte.
    """
    tensors = [numpy_helper.from_array(state["conv"], "conv")]
    for name, layer in (("val_1", "first"), ("val_2", "second")):
        low, high = ranges[layer].min(), ranges[layer].max()
        scale = (high - low) / 255
        zero = np.rint(-low / scale)
        units = np.clip(np.rint(state[layer].T / scale) + zero, 0, 255).astype(np.uint8)
        tensors.append(numpy_helper.from_array(units, f"{name}_quantized"))
        tensors.append(numpy_helper.from_array(zero.astype(np.uint8), f"{name}_zero_point"))
    graph = helper.make_graph([], "model", [], [], tensors)
    return helper.make_model(graph).SerializeToString(deterministic=True)


def add(contents: bytes, packed: bytes) -> dict[str, np.ndarray]:
    """The sum's tensors by name, as ``web/runtime/difference.js`` computes them."""
    length = int.from_bytes(packed[:4], "little")
    units = np.frombuffer(packed, np.int8, offset=4 + length)
    result = bytearray(contents)
    for part in json.loads(packed[4 : 4 + length]):
        kind = np.dtype("<f4" if part["step"] else np.uint8)
        here = slice(part["offset"], part["offset"] + kind.itemsize * part["count"])
        numbers = np.frombuffer(bytes(result[here]), kind)
        change, units = units[: part["count"]], units[part["count"] :]
        result[here] = (numbers + change * (part["step"] or 1)).astype(kind).tobytes()
    assert not len(units)
    graph = onnx.load_from_string(bytes(result)).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def test_sum_is_the_other_model_quantised():
    old = weights(0)
    new = changed(old)
    packed = difference.make_difference(exported(old, old), old, new)
    actual = add(exported(old, old), packed)
    direct = onnx.load_from_string(exported(new, old)).graph.initializer
    for tensor in direct:
        if tensor.name == "conv":
            largest = np.abs(new["conv"] - old["conv"]).max()
            assert np.abs(actual["conv"] - new["conv"]).max() <= 0.51 * largest / 127
        else:
            np.testing.assert_array_equal(actual[tensor.name], numpy_helper.to_array(tensor))


def test_weight_that_is_not_in_the_file_is_reported():
    old = weights(0)
    new = changed(old) | {"bias": old["bias"] + 1}
    with pytest.raises(ValueError, match="not in the exported model: .*bias"):
        difference.make_difference(exported(old, old), old, new)
