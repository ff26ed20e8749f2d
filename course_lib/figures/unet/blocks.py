"""Lesson 5's detailed drawings of the U-Net's four block types, recorded from a forward pass."""

from collections.abc import Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.style import INK, MUTED, course_style
from course_lib.figures.unet.drawing import (
    ARROW_STYLES,
    Arrow,
    Box,
    blank_axes,
    describe_operations,
    draw_arrow,
    draw_box,
    map_height,
    map_width,
    shape_labels,
)
from course_lib.figures.unet.trace import COPY, POOL, Operation, Shape, trace
from course_lib.unet import UNet

PARTS = ("encoder step", "bottleneck", "decoder step", "output layer")
_ARROW_LENGTH, _LEFT_MARGIN = 1.95, 0.5  # inches; an arrow has room for text below it


def block_diagram(model: UNet, size: int, part: str, step: int = 0) -> Figure:
    """One block in detail: each operation with its module, its output shape and its parameters.

    Args:
        model: any U-Net.
        size: the side of the whole network's input in pixels.
        part: one of ``PARTS``.
        step: the index of the encoder or decoder step, in execution order.

    Raises:
        ValueError: if there is no such part or step.
    """
    if part not in PARTS:
        raise ValueError(f"There is no part {part!r}: choose one of {', '.join(PARTS)}.")
    prefix = part.split()[0] + (f".{step}." if "step" in part else "")
    operations = trace(model, size)
    block_operations = [operation for operation in operations if operation.name.startswith(prefix)]
    if not block_operations:
        raise ValueError(
            f"There is no {part} {step}: this U-Net has {model.depth} of them, counted from 0."
        )
    with course_style():
        return _draw_block(
            operations, block_operations, f"{part} {step}" if "step" in part else part
        )


def _draw_block(
    operations: Sequence[Operation], block_operations: Sequence[Operation], title: str
) -> Figure:
    """Draw the block's operations from left to right."""
    boxes, arrows = _layout(block_operations, operations[0].input_shape[1])
    half_height = max(box.height for box in boxes) / 2
    half_height = max(half_height, 0.45)  # room for the text below the arrows
    right, top, bottom = boxes[-1].right + 0.5, half_height + 1.15, -half_height - 0.45
    bottom = min([bottom, *(y - 0.15 for arrow in arrows for _, y in arrow.via)])
    figure = plt.figure(figsize=(right, top - bottom))
    axes = blank_axes(figure, (0, right), (bottom, top))
    axes.text(0.1, top - 0.1, title, weight="bold", va="top", fontsize=12)
    for arrow in arrows:
        draw_arrow(axes, arrow.operation.kind, arrow.start, arrow.end, zorder=4, via=arrow.via)
        _draw_description(axes, arrow)
    for box in boxes:
        draw_box(axes, box, font_size=10)
    # The skip connections that start in this block, at the feature map before its pooling.
    sources = [operation.input_shape for operation in block_operations if operation.kind == POOL]
    for copy in operations:
        if copy.kind == COPY and copy.input_shape in sources:
            source = next(box for box in boxes if box.shape == copy.input_shape)
            y = half_height + 0.3
            draw_arrow(axes, COPY, (source.x, y), (source.x, y + 0.5))
            label = f"copied to {copy.name.rsplit('.', 1)[0]}"
            axes.text(source.x + 0.12, y + 0.3, label, va="center", fontsize=9, color=MUTED)
    return figure


def _layout(block_operations: Sequence[Operation], max_side: int) -> tuple[list[Box], list[Arrow]]:
    """Boxes and arrows. Heights are relative to the network's input, as in
    :func:`course_lib.figures.unet.architecture.architecture`.
    """
    shapes = [
        shape for member in block_operations for shape in (member.input_shape, member.output_shape)
    ]
    max_channels = max(shape[0] for shape in shapes)

    def box(shape: Shape, left: float) -> Box:
        width, height = map_width(shape[0], max_channels) * 1.6, map_height(shape[1], max_side)
        return Box(shape, left + width / 2, 0.0, width, height, *shape_labels(shape))

    current = box(block_operations[0].input_shape, _LEFT_MARGIN)
    boxes = [current]
    arrows: list = []
    for operation in block_operations:
        if operation.kind == COPY:
            copy = box(operation.output_shape, current.left)
            copy.above = copy.below = ""
            copy.is_copy = True
            current.x = copy.right + current.width / 2
            current.above = f"{copy.shape[0]} + {current.shape[0]}"
            current.label_x = copy.right
            # The copy is drawn to the left of the upsampled channels (the order of concatenation),
            # so the arrow of the up-convolution goes around it, from below.
            below, end = current.bottom - 0.42, (current.right - 0.1, current.bottom - 0.05)
            corners = ((copy.left - 0.12, 0.0), (copy.left - 0.12, below), (end[0], below))
            arrows[-1] = replace(arrows[-1], end=end, via=corners)
            start, end = (copy.x, copy.top + 0.85), (copy.x, copy.top + 0.3)
            arrows.append(Arrow(operation, start, end))
            boxes.insert(-1, copy)  # the last box stays the rightmost
            continue
        new = box(operation.output_shape, current.right + _ARROW_LENGTH)
        arrows.append(Arrow(operation, (current.right + 0.05, 0.0), (new.left - 0.05, 0.0)))
        boxes.append(new)
        current = new
    return boxes, arrows


def _draw_description(axes: Axes, arrow: Arrow) -> None:
    """Write an arrow's operation above it, and its module and parameters below it."""
    operation, (x, y) = arrow.operation, arrow.start
    colour = ARROW_STYLES[operation.kind].colour
    if operation.kind == COPY:
        channels, side, _ = operation.input_shape
        text = f"copied from the encoder: {channels} × {side}²"
        if operation.input_shape != operation.output_shape:
            text += f", cropped to {operation.output_shape[1]}²"
        axes.text(x + 0.12, y - 0.2, text, fontsize=9, color=colour, va="center")
        return
    description = describe_operations([operation])[operation.kind].replace(", ", ",\n", 1)
    axes.text(
        arrow.middle_x,
        0.14,
        description,
        ha="center",
        va="bottom",
        fontsize=9.5,
        color=colour,
        weight="bold",
    )
    count = f"{operation.parameters:,}" if operation.parameters else "no"
    axes.text(
        arrow.middle_x,
        -0.14,
        f"{operation.name}\n{count} parameters",
        ha="center",
        va="top",
        fontsize=8.5,
        linespacing=1.4,
        color=INK,
    )
