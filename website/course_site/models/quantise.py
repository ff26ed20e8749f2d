"""Make ONNX models smaller: weights in 8-bit integers, or in float16 where that is exact.

- dynamic: weights become unsigned 8-bit integers; activations are quantised at run time. A quarter
  of the bytes, and about half the time on a CPU.
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

_MIN_VALUES = 64  # for a smaller tensor the conversion node needs more bytes than it saves


def to_uint8_dynamic(model: onnx.ModelProto, keep_float32: Sequence[str]) -> onnx.ModelProto:
    """The model with uint8 weights and dynamically quantised activations.

    Args:
        model: in float32.
        keep_float32: names of nodes that stay in float32.
    """
    # Imported here: onnxruntime takes a second to import, and most of the build does not use it.
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "fp32.onnx"), Path(folder, "uint8.onnx")
        onnx.save(model, source)
        # Unsigned: the signed kernels saturate on CPUs without VNNI.
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=list(keep_float32),
        )
        return onnx.load(target)


def fuse_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Apply onnxruntime's graph fusions ahead of time.

    They cut the number of nodes of a dynamically quantised graph to a third; otherwise they would
    run on every page visit. Fusions that depend on the CPU are left out.
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
    """The model with the weights of its convolutions in int8; activations stay in float32.

    Tensors with fewer than ``_MIN_VALUES`` values are unchanged.
    """
    smaller = onnx.ModelProto()
    smaller.CopyFrom(model)
    graph = smaller.graph
    conv_weight_names = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    dequantise_nodes = []
    for tensor in [tensor for tensor in graph.initializer if tensor.name in conv_weight_names]:
        values = numpy_helper.to_array(tensor)
        if values.size < _MIN_VALUES:
            continue
        scales = np.abs(values).reshape(len(values), -1).max(axis=1) / 127
        # a channel may have only zeros
        scales = np.maximum(scales, np.finfo(np.float32).tiny).astype(np.float32)
        shape = (-1, *[1] * (values.ndim - 1))
        rounded = np.rint(values / scales.reshape(shape)).astype(np.int8)
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(rounded, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}.scale"))
        inputs = [f"{name}.int8", f"{name}.scale"]
        dequantise_nodes.append(onnx.helper.make_node("DequantizeLinear", inputs, [name], axis=0))
    nodes = [*dequantise_nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return smaller


def to_fp16_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its float32 weights stored as float16, except where that is inexact.

    Tensors with fewer than ``_MIN_VALUES`` values are unchanged too.
    """
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
        if values.size < _MIN_VALUES or not np.array_equal(halves.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=1))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return smaller


def sensitive_nodes(model: onnx.ModelProto, last_part_prefix: str | None = None) -> list[str]:
    """The names of the nodes that are most sensitive to 8-bit weights.

    The first and last convolutions work on images or latents directly. The fully connected layers
    ("Gemm") have few weights; in the U-Net they are those of the time embedding, which affect every
    layer. No layer follows the last ones to correct their rounding errors.

    Args:
        model: in float32.
        last_part_prefix: of weight names: the first node that reads such a weight, and all after
            it, count as sensitive. None if no node does.
    """
    nodes = list(model.graph.node)
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    fully_connected = [node.name for node in nodes if node.op_type == "Gemm"]
    last_part: list[str] = []
    if last_part_prefix:
        reads_last_part = [
            any(name.startswith(last_part_prefix) for name in node.input) for node in nodes
        ]
        last_part = [node.name for node in nodes[reads_last_part.index(True) :]]
    return [*convolutions[:1], *convolutions[-1:], *fully_connected, *last_part]
