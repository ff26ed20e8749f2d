"""The operations of a running U-Net with their shapes, recorded by forward hooks, for lesson 5."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from course_lib.unet import DecoderStep, UNet

Shape = tuple[int, int, int]  # channels, height, width

# The kinds of operations. Upsampling is UP (a transposed convolution) or BILINEAR (interpolation
# and a convolution).
CONV, COPY, POOL, UP, BILINEAR, OUTPUT = "conv", "copy", "pool", "up", "bilinear", "output"


@dataclass(frozen=True)
class Operation:
    """An operation of the network, drawn as an arrow of the U.

    ``name`` is the module's path. ``input_shape`` and ``output_shape`` are the shapes of one
    image's feature maps; of a copy, before and after the crop. ``kernel`` is the kernel size, 0 if
    there is no kernel. ``followed_by`` names the normalisation and activation layers that follow;
    ``parameters`` includes their parameters.
    """

    kind: str
    name: str
    input_shape: Shape
    output_shape: Shape
    kernel: int = 0
    parameters: int = 0
    followed_by: tuple[str, ...] = ()


def trace(model: UNet, size: int) -> list[Operation]:
    """Run the model on an empty square image and record its operations in order.

    The tensors are on torch's ``meta`` device, where they have shapes but no values, so even a
    large model takes milliseconds. The model is left unchanged.

    Raises:
        ValueError: if the model can't take images of this size.
    """
    operations: list[Operation] = []
    hooks = [
        hook for name, module in model.named_modules() for hook in _hooks(name, module, operations)
    ]
    # The same modules, and so the hooks, run with these weights instead of their own.
    weights = {
        name: tensor.to("meta")
        for name, tensor in chain(model.named_parameters(), model.named_buffers())
    }
    training = model.training
    first = model.encoder[0].convolutions[0]
    image = torch.empty(1, first.in_channels, size, size, dtype=first.weight.dtype, device="meta")
    try:
        with torch.no_grad():
            functional_call(model.eval(), weights, image)
    except RuntimeError as error:  # a kernel larger than its input
        raise ValueError(
            f"An image of {size} x {size} pixels is too small for this U-Net: {error}"
        ) from error
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return operations


def _hooks(name: str, module: nn.Module, operations: list[Operation]) -> list[RemovableHandle]:
    """The hooks that record the operation of one module."""
    if ".up." in name:  # inside an upsampling, which is recorded as a whole
        return []
    if name.endswith(".up"):
        bilinear = isinstance(module, nn.Sequential)
        kernel = module[1].kernel_size[0] if bilinear else module.kernel_size[0]
        hook = _record(BILINEAR if bilinear else UP, name, kernel, operations)
    elif isinstance(module, nn.MaxPool2d):
        hook = _record(POOL, name, module.kernel_size, operations)
    elif isinstance(module, nn.Conv2d):
        kind = OUTPUT if name == "output" else CONV
        hook = _record(kind, name, module.kernel_size[0], operations)
    elif isinstance(module, (nn.BatchNorm2d, nn.ReLU)):
        hook = _record_follower(operations)
    elif isinstance(module, DecoderStep) and module.has_skip:
        return _copy_hooks(name, module, operations)
    else:
        return []
    return [module.register_forward_hook(hook)]


def _record(kind: str, name: str, kernel: int, operations: list[Operation]) -> Callable:
    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        operations.append(
            Operation(kind, name, _shape(args[0]), _shape(output), kernel, _count(module))
        )

    return hook


def _record_follower(operations: list[Operation]) -> Callable:
    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        last = operations[-1]
        operations[-1] = replace(
            last,
            followed_by=(*last.followed_by, type(module).__name__),
            parameters=last.parameters + _count(module),
        )

    return hook


def _copy_hooks(name: str, step: DecoderStep, operations: list[Operation]) -> list[RemovableHandle]:
    """The hooks that record a copy, which is not a module.

    Its input is the second argument of the decoder step; its output is what the step's convolutions
    get in addition to the upsampled feature map.
    """
    skip_shapes: list[Shape] = []

    def record_input(step: nn.Module, args: tuple[Tensor, ...]) -> None:
        skip_shapes[:] = [_shape(args[1])]

    def record_output(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        channels, height, width = _shape(args[0])
        output_shape = (channels - operations[-1].output_shape[0], height, width)
        operations.append(Operation(COPY, f"{name}.crop", skip_shapes[0], output_shape))

    return [
        step.register_forward_pre_hook(record_input),
        step.convolutions.register_forward_pre_hook(record_output),
    ]


def _shape(maps: Tensor) -> Shape:
    _, channels, height, width = maps.shape
    return channels, height, width


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def encoder_and_bottleneck(operations: Sequence[Operation]) -> list[Operation]:
    """The operations of the encoder and of the bottleneck."""
    return [
        operation
        for operation in operations
        if operation.name.startswith(("encoder", "bottleneck"))
    ]


def receptive_rows(operations: Sequence[Operation], row: int) -> range:
    """The receptive field of one output row (or column): the input rows that it depends on.

    Computed from the layers, backwards: a convolution adds neighbours, pooling doubles, upsampling
    halves, and a skip connection joins two paths (Araujo et al., 2019,
    https://doi.org/10.23915/distill.00021).

    Args:
        operations: what :func:`trace` returns, or its first operations.
        row: of the output.
    """
    low = high = row
    skip_rows: list[tuple[int, int]] = []  # of the copies whose encoder step is yet to come
    for operation in reversed(operations):
        kernel = operation.kernel
        input_side, output_side = operation.input_shape[1], operation.output_shape[1]
        if operation.kind == CONV:
            padding = (output_side + kernel - 1 - input_side) // 2
            low, high = low - padding, high - padding + kernel - 1
        elif operation.kind == COPY:
            shift = (input_side - output_side) // 2
            skip_rows.append((low + shift, high + shift))
        elif operation.kind == UP:
            low, high = low // 2, high // 2
        elif operation.kind == BILINEAR:
            # The convolution adds kernel - 1 rows; the interpolation reads the two nearest rows.
            low, high = (low - 1) // 2, (high + kernel) // 2
        elif operation.kind == POOL:
            low, high = low * kernel, high * kernel + kernel - 1
            if skip_rows:
                skip_low, skip_high = skip_rows.pop()
                low, high = min(low, skip_low), max(high, skip_high)
        if operation.kind != COPY:
            low, high = max(low, 0), min(high, input_side - 1)
    return range(low, high + 1)


def path_rows(operations: Sequence[Operation], level: int, row: int) -> range:
    """The receptive field of one output row through a single skip connection, in input rows.

    Args:
        operations: what :func:`trace` returns for a padded network that has this skip connection.
        level: of the skip connection; 0 has the highest resolution.
        row: of the output.
    """
    depth = sum(operation.kind == POOL for operation in operations)
    highest = depth - 1 - level  # the index of the decoder step that gets the copy
    path = []
    for operation in operations:
        part, step, *_ = operation.name.split(".") + [""]
        inside = part == "output" or (part == "encoder" and int(step) <= level)
        inside = inside or (part == "decoder" and int(step) >= highest)
        last = operation.kind == POOL and part == "encoder" and int(step) == level
        first = operation.kind in (UP, BILINEAR) and int(step) == highest
        if inside and not (last or first or operation.kind == COPY):
            path.append(operation)
    return receptive_rows(path, row)


def largest_valid_size(depth: int, padding: bool, max_size: int) -> int:
    """The largest image side up to ``max_size`` whose feature maps are even before every pooling.

    Raises:
        ValueError: if ``max_size`` is smaller than the smallest such side.
    """
    factor = 2**depth
    if padding:
        size = max_size // factor * factor
        smallest = factor
    else:
        # Each level loses 4 pixels before it is halved, so side + 4 must be divisible.
        size = (max_size + 4) // factor * factor - 4
        # The decoder loses as much again, and at least one pixel must remain.
        smallest = -(-(12 * factor - 3) // factor) * factor - 4
    if size < smallest:
        raise ValueError(
            f"A U-Net of depth {depth} needs images of at least {smallest} pixels, not {max_size}."
        )
    return size
