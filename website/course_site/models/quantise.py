"""Smaller ONNX files: int8 where that cannot be seen, float16 where that loses nothing.

- int8, dynamic: weights become 8-bit integers, activations are rounded while the model runs. A
  quarter of the bytes, and about half the time on a CPU.
- int8 weights: each output channel of a convolution has its own step, and the weights are widened
  again when the model runs, which costs a little time; it computes in float32. A quarter of the
  bytes.
- float16 weights: the checkpoints are stored in float16, so most float32 weights of a graph are
  exactly representable. They are widened again when the model is loaded; it computes in float32.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

_SMALL = 64  # values: a conversion of its own would cost more bytes than it saves


def to_int8(model: onnx.ModelProto, keep: Sequence[str]) -> onnx.ModelProto:
    """The model with int8 weights and dynamically quantised activations.

    Args:
        model: in float32.
        keep: names of nodes that stay in float32.
    """
    # Imported here: onnxruntime takes a second, and most of the build needs nothing of it.
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        # Unsigned: the signed kernels saturate on CPUs without VNNI.
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=list(keep),
        )
        return onnx.load(target)


def optimise(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with nodes fused as onnxruntime does when it loads one.

    An int8 graph has three times as many nodes before as after, and a browser has better things to
    do than to fuse them at every visit. Fusions for one kind of CPU only are left out.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.graph_optimization_level = level
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "optimised.onnx")
        options.optimized_model_filepath = str(target)
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return onnx.load(target)


def to_int8_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the weights of its convolutions in int8; activations stay in float32."""
    smaller = onnx.ModelProto()
    smaller.CopyFrom(model)
    graph = smaller.graph
    read = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    widened = []
    for tensor in [tensor for tensor in graph.initializer if tensor.name in read]:
        values = numpy_helper.to_array(tensor)
        if values.size < _SMALL:
            continue
        steps = np.abs(values).reshape(len(values), -1).max(axis=1) / 127
        steps = np.maximum(steps, np.finfo(np.float32).tiny)  # a channel may have only zeros
        shape = (-1, *[1] * (values.ndim - 1))
        rounded = np.rint(values / steps.reshape(shape)).astype(np.int8)
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(rounded, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(steps.astype(np.float32), f"{name}.step"))
        inputs = [f"{name}.int8", f"{name}.step"]
        widened.append(onnx.helper.make_node("DequantizeLinear", inputs, [name], axis=0))
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return smaller


def to_fp16_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with those float32 weights in float16 that keep their exact values."""
    smaller = onnx.ModelProto()
    smaller.CopyFrom(model)
    graph = smaller.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halves: np.ndarray = values.astype(np.float16)
        if values.size < _SMALL or not np.array_equal(halves.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=1))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return smaller


def sensitive_nodes(model: onnx.ModelProto, last_part: str | None = None) -> list[str]:
    """The names of the nodes that int8 would harm most.

    The first and the last convolution see images or latents themselves; the fully connected layers
    of the time ("Gemm") have few weights on which everything depends. What the last layers round
    away no later layer can make up for.

    Args:
        model: in float32.
        last_part: what the name of a weight starts with; from the first node that reads such a
            weight on, all nodes are sensitive.
    """
    nodes = list(model.graph.node)
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    of_time = [node.name for node in nodes if node.op_type == "Gemm"]
    reads = [last_part and any(key.startswith(last_part) for key in node.input) for node in nodes]
    last = [node.name for node in nodes[reads.index(True) :]] if last_part else []
    return [*convolutions[:1], *convolutions[-1:], *of_time, *last]
