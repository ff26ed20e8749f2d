"""Quantise ONNX models: to int8 where the loss is not visible, to float16 where it is zero.

- int8, dynamic: weights become 8-bit integers, activations are quantised at run time. A quarter of
  the bytes, and about half the time on a CPU.
- int8 weights: one scale per output channel of a convolution. The weights are dequantised at run
  time, which takes a little time, and the model computes in float32. A quarter of the bytes.
- float16 weights: the checkpoints are stored in float16, so most float32 weights of a graph are
  exactly representable. They are cast back when the model is loaded; it computes in float32.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

_SMALL = 64  # values: for smaller tensors the conversion node needs more bytes than it saves


def to_int8(model: onnx.ModelProto, keep: Sequence[str]) -> onnx.ModelProto:
    """The model with int8 weights and dynamically quantised activations.

    Args:
        model: in float32.
        keep: names of nodes that stay in float32.
    """
    # Imported here: onnxruntime takes a second to import, and most of the build does not use it.
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
    """Apply onnxruntime's graph fusions ahead of time.

    They reduce the nodes of an int8 graph to a third, and would otherwise run at every visit of a
    page. Fusions that depend on the CPU are left out.
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
    dequantised = []
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
        dequantised.append(onnx.helper.make_node("DequantizeLinear", inputs, [name], axis=0))
    nodes = [*dequantised, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return smaller


def to_fp16_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with float32 weights in float16 where that is exact."""
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
    """The names of the nodes that are most sensitive to int8.

    The first and last convolutions work on images or latents directly. The fully connected layers
    of the time embedding ("Gemm") have few weights, but affect every layer. Rounding errors of the
    last layers cannot be corrected by later layers.

    Args:
        model: in float32.
        last_part: a prefix of weight names; all nodes from the first that reads such a weight on
            count as sensitive.
    """
    nodes = list(model.graph.node)
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    time_embedding = [node.name for node in nodes if node.op_type == "Gemm"]
    reads = [last_part and any(key.startswith(last_part) for key in node.input) for node in nodes]
    last = [node.name for node in nodes[reads.index(True) :]] if last_part else []
    return [*convolutions[:1], *convolutions[-1:], *time_embedding, *last]
