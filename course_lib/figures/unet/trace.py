"""What a running U-Net does: every operation with the shapes that its forward hooks saw. Lesson 5
draws from this.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call

from course_lib.unet.model import DecoderStep, UNet

Shape = tuple[int, int, int]  # channels, height, width

# The kinds of operations. Up-sampling is "up" (transposed convolution) or "bilinear"
# (interpolation, convolution).
CONV, COPY, POOL, UP, BILINEAR, OUTPUT = "conv", "copy", "pool", "up", "bilinear", "output"


@dataclass(frozen=True)
class Operation:
    """One arrow of the U.

    ``name`` is the module's path. ``before`` and ``after`` are the shapes of one picture's maps; of
    a copy, before and after the crop. ``kernel`` is the side of its window, 0 where there is none.
    ``then`` names the modules that follow at once and belong to it; ``parameters`` counts theirs
    too.
    """

    kind: str
    name: str
    before: Shape
    after: Shape
    kernel: int = 0
    parameters: int = 0
    then: tuple[str, ...] = ()


def trace(model: UNet, size: int) -> list[Operation]:
    """Send an empty square picture through the model, and write down what is done to it, in order.

    The tensors are on torch's ``meta`` device: they have shapes and no numbers, so even a large
    model takes milliseconds. The model is left as it was.

    Raises:
        ValueError: if the model can't take pictures of this size; the message is the model's own.
    """
    done: list[Operation] = []
    hooks = [hook for name, module in model.named_modules() for hook in _hooks(name, module, done)]
    # what the hooks see is the same module, run on these in place of its own
    weights = {
        name: tensor.to("meta")
        for name, tensor in chain(model.named_parameters(), model.named_buffers())
    }
    training = model.training
    first = model.encoder[0].convolutions[0]
    picture = torch.empty(1, first.in_channels, size, size, dtype=first.weight.dtype, device="meta")
    try:
        with torch.no_grad():
            functional_call(model.eval(), weights, picture)
    except RuntimeError as error:  # a kernel that is larger than what is left of the map
        raise ValueError(
            f"A picture of {size} x {size} pixels is too small for this U-Net: {error}"
        ) from error
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return done


def _hooks(name: str, module: nn.Module, done: list[Operation]) -> list:
    """The hooks that write down what one module does."""

    def note(kind: str, kernel: int):
        def write(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            done.append(
                Operation(kind, name, _shape(given[0]), _shape(output), kernel, _count(module))
            )

        return [module.register_forward_hook(write)]

    def follow(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        last = done[-1]
        then = (*last.then, type(module).__name__)
        done[-1] = replace(last, then=then, parameters=last.parameters + _count(module))

    if ".up." in name:  # the parts of what is noted as a whole
        return []
    if name.endswith(".up"):
        bilinear = isinstance(module, nn.Sequential)
        kernel = module[1].kernel_size[0] if bilinear else module.kernel_size[0]
        return note(BILINEAR if bilinear else UP, kernel)
    if isinstance(module, nn.MaxPool2d):
        return note(POOL, module.kernel_size)
    if isinstance(module, nn.Conv2d):
        return note(OUTPUT if name == "output" else CONV, module.kernel_size[0])
    if isinstance(module, (nn.BatchNorm2d, nn.ReLU)):
        return [module.register_forward_hook(follow)]
    if isinstance(module, DecoderStep) and module.skip:
        return _copy_hooks(name, module, done)
    return []


def _copy_hooks(name: str, step: DecoderStep, done: list[Operation]) -> list:
    """A copy is no module: what is kept goes into the decoder's step, and comes out beside what was
    up-sampled.
    """
    kept: list[Shape] = []

    def given_to_step(step: nn.Module, given: tuple[Tensor, ...]) -> None:
        kept[:] = [_shape(given[1])]

    def given_to_convolutions(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        channels, height, width = _shape(given[0])
        done.append(
            Operation(COPY, f"{name}.crop", kept[0], (channels - done[-1].after[0], height, width))
        )

    return [
        step.register_forward_pre_hook(given_to_step),
        step.convolutions.register_forward_pre_hook(given_to_convolutions),
    ]


def _shape(maps: Tensor) -> Shape:
    _, channels, height, width = maps.shape
    return channels, height, width


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def down_to_bottleneck(operations: Sequence[Operation]) -> list[Operation]:
    """The operations of the encoder and of the bottleneck."""
    return [one for one in operations if one.name.startswith(("encoder", "bottleneck"))]


def seen(operations: Sequence[Operation], place: int) -> range:
    """The rows (or columns) of the input that the last operation's output at one row depends on.

    Worked out from the layers, backwards: a convolution adds its neighbours, pooling doubles,
    up-sampling halves, and at a skip connection two ways meet (Araujo et al., 2019,
    https://doi.org/10.23915/distill.00021).

    Args:
        operations: what :func:`trace` returns, or its first part.
        place: the row of the output.
    """
    low = high = place
    waiting: list[
        tuple[int, int]
    ] = []  # what the copies need, until the step that kept it is reached
    for one in reversed(operations):
        before, after = one.before[1], one.after[1]
        if one.kind == CONV:
            padding = (after + one.kernel - 1 - before) // 2
            low, high = low - padding, high - padding + one.kernel - 1
        elif one.kind == COPY:
            shift = (before - after) // 2
            waiting.append((low + shift, high + shift))
        elif one.kind == UP:
            low, high = low // 2, high // 2
        elif (
            one.kind == BILINEAR
        ):  # the 2x2 convolution looks one further, the interpolation at both neighbours
            low, high = (low - 1) // 2, (high + one.kernel) // 2
        elif one.kind == POOL:
            low, high = low * one.kernel, high * one.kernel + one.kernel - 1
            if waiting:
                other = waiting.pop()
                low, high = min(low, other[0]), max(high, other[1])
        if one.kind != COPY:
            low, high = max(low, 0), min(high, before - 1)
    return range(low, high + 1)


def fitting(depth: int, padding: bool, near: int) -> int:
    """The largest side of a picture, not above ``near``, that stays even down to the bottleneck.

    Raises:
        ValueError: if ``near`` is too small for any.
    """
    whole = 2**depth
    # Padded, the side is halved depth times. Unpadded, 4 pixels go before each halving: side + 4 is
    # what halves.
    side = near // whole * whole if padding else (near + 4) // whole * whole - 4
    # Unpadded, the way up takes as much again, and at least one pixel must be left of it.
    least = whole if padding else -(-(12 * whole - 3) // whole) * whole - 4
    if side < least:
        raise ValueError(
            f"A U-Net of depth {depth} needs pictures of at least {least} pixels, not {near}."
        )
    return side
