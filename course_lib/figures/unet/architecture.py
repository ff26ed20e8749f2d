"""Lesson 5's drawing of a whole U-Net, as in figure 1 of the paper.

It is drawn from the trace of the running model. Lengths are inches.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.style import course_style
from course_lib.figures.unet.drawing import (
    ARROW_STYLES,
    MAX_HEIGHT,
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
from course_lib.figures.unet.trace import (
    BILINEAR,
    CONV,
    COPY,
    OUTPUT,
    POOL,
    UP,
    Operation,
    Shape,
    trace,
)
from course_lib.unet import UNet

_ARROW_LENGTH, _ROW_GAP = 0.38, 1.0
_FONT_SIZE = 11.5  # a page shows the paper's network at about 60 % of its size


def architecture(model: UNet, size: int) -> Figure:
    """The whole network as a U: a box for every feature map, an arrow for every operation.

    The number above a box is its number of channels, the number below is its side in pixels. Boxes
    are wider with more channels and taller with higher resolution, but not in proportion, so that
    small boxes stay visible.

    Args:
        model: any U-Net; only its shapes matter.
        size: the side of the input in pixels.

    Raises:
        ValueError: if the model can't take images of this size.
    """
    operations = trace(model, size)
    boxes, arrows = _layout(operations)
    left, right = min(box.left for box in boxes) - 0.35, max(box.right for box in boxes) + 0.45
    top, bottom = MAX_HEIGHT / 2 + 0.5, min(box.bottom for box in boxes) - 1.25
    descriptions = describe_operations(operations)
    width = max(right - left, 2.35 * len(descriptions))
    middle = (left + right) / 2
    with course_style():
        figure = plt.figure(figsize=(width, top - bottom))
        axes = blank_axes(figure, (middle - width / 2, middle + width / 2), (bottom, top))
        for arrow in arrows:
            draw_arrow(axes, arrow.operation.kind, arrow.start, arrow.end)
            _draw_arrow_label(axes, arrow)
        for box in boxes:
            draw_box(axes, box, _FONT_SIZE)
        _draw_part_names(axes, boxes, arrows)
        _draw_legend(
            axes, descriptions, middle - width / 2 + 0.15, bottom + 0.3, width / len(descriptions)
        )
    return figure


def _layout(operations: Sequence[Operation]) -> tuple[list[Box], list[Arrow]]:
    """The positions of boxes and arrows: a row per level, the highest-resolution level on top."""
    levels = _levels(operations)
    max_side = operations[0].input_shape[1]
    max_channels = max(operation.output_shape[0] for operation in operations)
    row_y = _row_positions(operations, levels, max_side)

    def box(shape: Shape, level: int) -> Box:
        width, height = map_width(shape[0], max_channels), map_height(shape[1], max_side)
        return Box(shape, 0.0, row_y[level], width, height, *shape_labels(shape))

    current = box(operations[0].input_shape, 0)
    boxes, arrows = [current], []
    skip_sources: dict[int, Box] = {}  # by level
    for operation, level in zip(operations, levels, strict=True):
        new = box(operation.output_shape, level)
        boxes.append(new)
        if operation.kind == COPY:
            new.x = current.left - new.width / 2
            new.is_copy = True
            new.above = new.below = ""
            start = (skip_sources[level].right + 0.04, new.y)
            arrows.append(Arrow(operation, start, (new.left - 0.03, new.y)))
            current.above = f"{new.shape[0]} +\n{current.shape[0]}"
            current.label_x = (new.left + current.right) / 2
            continue
        if operation.kind in (CONV, OUTPUT):
            # Longer arrows in the lowest row make room to label the skip connection above.
            stretch = 1.35 if level == max(levels) else 1
            new.x = current.right + _ARROW_LENGTH * stretch + new.width / 2
            start = (current.right + 0.03, current.y)
            arrows.append(Arrow(operation, start, (new.left - 0.03, new.y)))
            if new.shape[1] == current.shape[1] and operation.kind != OUTPUT:
                new.below = ""
        else:
            new.x = current.x
            arrows.append(_vertical_arrow(operation, current, new))
            if operation.kind == POOL:
                skip_sources[level - 1] = current
        current = new
    return boxes, arrows


def _levels(operations: Sequence[Operation]) -> list[int]:
    """The level of each operation's output: pooling goes one down, upsampling one up."""
    level, levels = 0, []
    for operation in operations:
        level += {POOL: 1, UP: -1, BILINEAR: -1}.get(operation.kind, 0)
        levels.append(level)
    return levels


def _row_positions(
    operations: Sequence[Operation], levels: Sequence[int], max_side: int
) -> list[float]:
    """The y coordinate of each level."""
    heights = [0.0] * (max(levels) + 1)
    for operation, level in zip(operations, levels, strict=True):
        heights[level] = max(heights[level], map_height(operation.output_shape[1], max_side))
    heights[0] = MAX_HEIGHT
    return [
        -sum(heights[:level]) - level * _ROW_GAP - (height - heights[0]) / 2
        for level, height in enumerate(heights)
    ]


def _vertical_arrow(operation: Operation, current: Box, new: Box) -> Arrow:
    """The arrow of a pooling or an upsampling, with room for the labels of both boxes."""
    if operation.kind == POOL:
        start = current.bottom - 0.27 + (0 if current.below else 0.2)
        end = new.top + 0.27
    else:
        start, end = current.top + 0.27, new.bottom - 0.27
    return Arrow(operation, (current.x, start), (new.x, end))


def _draw_arrow_label(axes: Axes, arrow: Arrow) -> None:
    """Label an arrow, so that its meaning does not depend on colour."""
    operation, (x, y) = arrow.operation, arrow.start
    input_side, output_side = operation.input_shape[1], operation.output_shape[1]
    colour = ARROW_STYLES[operation.kind].colour
    text_style: dict[str, Any] = {"color": colour, "fontsize": _FONT_SIZE, "ha": "center"}
    if operation.kind == COPY:
        axes.text(arrow.middle_x, y + 0.05, "copy", va="bottom", **text_style)
        if input_side != output_side:
            crop = f"{input_side}² → {output_side}²"
            axes.text(arrow.middle_x, y - 0.06, crop, va="top", **text_style)
    elif operation.kind in (POOL, UP, BILINEAR):
        pooling = operation.kind == POOL
        factor = f"÷{input_side // output_side}" if pooling else f"×{output_side // input_side}"
        axes.text(
            x - 0.12 if pooling else x + 0.12,
            (y + arrow.end[1]) / 2,
            factor,
            ha="right" if pooling else "left",
            va="center",
            fontsize=_FONT_SIZE,
            color=colour,
            weight="bold",
        )
    elif operation.kind == OUTPUT:
        axes.text(arrow.middle_x, y + 0.1, "1×1", va="bottom", **text_style)


def _draw_part_names(axes: Axes, boxes: Sequence[Box], arrows: Sequence[Arrow]) -> None:
    """Write "encoder", "bottleneck" and "decoder" around the U."""
    lowest = min(boxes, key=lambda box: box.y)
    row = [box for box in boxes if box.y == lowest.y]
    middle = (row[0].left + row[-1].right) / 2
    axes.text(middle, lowest.bottom - 0.3, "bottleneck", ha="center", va="top", weight="bold")
    first_pool = next(arrow for arrow in arrows if arrow.operation.kind == POOL)
    last_up = [arrow for arrow in arrows if arrow.operation.kind in (UP, BILINEAR)][-1]
    for arrow, name, offset, ha in (
        (first_pool, "encoder", -0.5, "right"),
        (last_up, "decoder", 0.5, "left"),
    ):
        y = (arrow.start[1] + arrow.end[1]) / 2
        axes.text(arrow.start[0] + offset, y, name, ha=ha, va="center", weight="bold")


def _draw_legend(
    axes: Axes, descriptions: dict[str, str], x: float, y: float, spacing: float
) -> None:
    for index, (kind, description) in enumerate(descriptions.items()):
        left = x + index * spacing
        draw_arrow(axes, kind, (left, y), (left + 0.45, y))
        if len(description) > 18:
            description = description.replace(", ", ",\n", 1)
        axes.text(left + 0.55, y, description, va="center", fontsize=_FONT_SIZE, linespacing=1.2)
