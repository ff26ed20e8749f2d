"""Quantising weights to int8 keeps a model's outputs close."""

import numpy as np
import onnx
import pytest
from course_site.models import quantise
from onnx import TensorProto, helper, numpy_helper

onnxruntime = pytest.importorskip("onnxruntime")
SHAPE = (8, 3, 3, 3)


def convolution(weights: np.ndarray) -> onnx.ModelProto:
    """A model with one convolution."""
    node = helper.make_node("Conv", ["image", "weights"], ["features"], pads=[1, 1, 1, 1])
    values = [("image", weights.shape[1]), ("features", weights.shape[0])]
    image, features = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 16, 16])
        for name, channels in values
    )
    tensor = numpy_helper.from_array(weights, "weights")
    graph = helper.make_graph([node], "model", [image], [features], [tensor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"image": image})[0]


def test_quantisation_is_per_channel():
    rng = np.random.default_rng(0)
    # The scales of the channels differ: a per-tensor scale would round the small ones to zero.
    scale = 10.0 ** np.arange(-4, 4).reshape(-1, 1, 1, 1)
    weights = (rng.normal(size=SHAPE) * scale).astype(np.float32)
    model = convolution(weights)
    quantised = quantise.to_int8_weights(model)
    onnx.checker.check_model(quantised)
    stored = {tensor.name: tensor for tensor in quantised.graph.initializer}
    assert stored["weights.int8"].data_type == TensorProto.INT8
    assert "weights" not in stored and len(model.graph.initializer) == 1
    image = rng.random((1, 3, 16, 16), dtype=np.float32)
    exact, rounded = run(model, image), run(quantised, image)
    largest = np.abs(exact).max(axis=(0, 2, 3))
    assert (np.abs(rounded - exact).max(axis=(0, 2, 3)) < 0.02 * largest).all()


def test_channel_of_zeros_stays_zero():
    weights = np.ones(SHAPE, np.float32)
    weights[2] = 0
    quantised = quantise.to_int8_weights(convolution(weights))
    features = run(quantised, np.ones((1, 3, 16, 16), np.float32))
    assert np.isfinite(features).all() and (features[:, 2] == 0).all()
    assert np.allclose(features[:, 1, 8, 8], 27)


def test_small_tensors_are_not_quantised():
    model = convolution(np.full((1, 3, 3, 3), 0.1, np.float32))
    assert quantise.to_int8_weights(model) == model
