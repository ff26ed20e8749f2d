"""Lesson 5's drawing of a whole U-Net, as in figure 1 of the paper. ``unet_blocks`` draws its parts
from near.

It is drawn from what ``unet_trace.trace`` saw in the running model. Lengths are inches.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.style import course_style
from course_lib.figures.unet.drawing import (
    LOOKS,
    TALLEST,
    Arrow,
    Box,
    draw_arrow,
    draw_box,
    in_words,
    labels,
    sheet,
    tall_as,
    wide_as,
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
from course_lib.unet.model import UNet

_ARROW, _GAP = 0.38, 1.0  # between neighbours in a row, and between rows


def architecture(model: UNet, size: int) -> Figure:
    """The whole network as a U: a box for every map, an arrow for every operation.

    The number above a box counts its channels, the one below is its side in pixels. Boxes are the
    wider the more channels, and the taller the finer (neither in proportion, or the small ones
    could not be seen).

    Args:
        model: any U-Net; only its shapes count.
        size: the side of the input in pixels.

    Raises:
        ValueError: if the model can't take pictures of this size.
    """
    operations = trace(model, size)
    boxes, arrows = _layout(operations)
    left, right = min(box.left for box in boxes) - 0.35, max(box.right for box in boxes) + 0.45
    top, bottom = TALLEST / 2 + 0.5, min(box.y - box.height / 2 for box in boxes) - 1.25
    looks = in_words(operations)
    width = max(right - left, 2.35 * len(looks))
    middle = (left + right) / 2
    with course_style():
        figure = plt.figure(figsize=(width, top - bottom))
        axes = sheet(figure, (middle - width / 2, middle + width / 2), (bottom, top))
        for arrow in arrows:
            draw_arrow(axes, arrow.operation.kind, arrow.start, arrow.end)
            _mark(axes, arrow)
        for box in boxes:
            draw_box(axes, box)
        _names(axes, boxes, arrows)
        _legend(axes, looks, middle - width / 2 + 0.15, bottom + 0.3, width / len(looks))
    return figure


def _layout(operations: Sequence[Operation]) -> tuple[list[Box], list[Arrow]]:
    """Where everything stands: a row for each level, pooling leads one row down, up-sampling one
    up.
    """
    level, levels = 0, []
    for one in operations:
        level += {POOL: 1, UP: -1, BILINEAR: -1}.get(one.kind, 0)
        levels.append(level)
    finest = operations[0].before[1]
    most = max(one.after[0] for one in operations)
    tall = [
        max(
            tall_as(one.after[1], finest)
            for one, at in zip(operations, levels, strict=True)
            if at == row
        )
        for row in range(max(levels) + 1)
    ]
    tall[0] = TALLEST
    rows = [-sum(tall[:row]) - row * _GAP - (tall[row] - tall[0]) / 2 for row in range(len(tall))]

    def box(shape: Shape, row: int) -> Box:
        return Box(
            shape,
            0.0,
            rows[row],
            wide_as(shape[0], most),
            tall_as(shape[1], finest),
            *labels(shape),
        )

    here = box(operations[0].before, 0)
    boxes, arrows, kept = [here], [], {}
    for one, row in zip(operations, levels, strict=True):
        new = box(one.after, row)
        if one.kind == COPY:
            new.x, new.copied = here.left - new.width / 2, True
            arrows.append(Arrow(one, (kept[row].right + 0.04, new.y), (new.left - 0.03, new.y)))
            here.above = f"{new.shape[0]} + {here.shape[0]}"
            here.label_x = (new.left + here.right) / 2
            new.above = new.below = ""
            boxes.append(new)
            continue
        if one.kind in (CONV, OUTPUT):
            # A little longer at the bottom, so that the shortest copy above it has room for its
            # numbers.
            new.x = here.right + _ARROW * (1.35 if row == max(levels) else 1) + new.width / 2
            arrows.append(Arrow(one, (here.right + 0.03, here.y), (new.left - 0.03, new.y)))
            new.below = "" if new.shape[1] == here.shape[1] else new.below
        else:
            new.x, down = here.x, here.y > new.y
            if down:
                kept[row - 1] = here
            sign = -1 if down else 1
            start, end = (
                here.y + sign * (here.height / 2 + 0.27),
                new.y - sign * (new.height / 2 + 0.27),
            )
            if down and not here.below:
                start += 0.2
            arrows.append(Arrow(one, (here.x, start), (new.x, end)))
        boxes.append(new)
        here = new
    return boxes, arrows


def _mark(axes: Axes, arrow: Arrow) -> None:
    """What an arrow does to the size, beside it: readable without its colour."""
    one, (x, y) = arrow.operation, arrow.start
    before, after = one.before[1], one.after[1]
    colour, end = LOOKS[one.kind].colour, arrow.end
    if one.kind == COPY:
        middle = (x + end[0]) / 2
        axes.text(middle, y + 0.05, "copy", ha="center", va="bottom", fontsize=8.5, color=colour)
        if before != after:
            axes.text(
                middle,
                y - 0.06,
                f"{before}² → {after}²",
                ha="center",
                va="top",
                fontsize=8.5,
                color=colour,
            )
    elif one.kind in (POOL, UP, BILINEAR):
        word = f"÷{before // after}" if before > after else f"×{after // before}"
        side = 0.12 if one.kind == POOL else -0.12
        axes.text(
            *(x - side, (y + end[1]) / 2, word), ha="right" if side > 0 else "left",
            va="center", fontsize=9, color=colour, weight="bold",
        )  # fmt: skip
    elif one.kind == OUTPUT:
        axes.text(
            (x + end[0]) / 2, y + 0.1, "1×1", ha="center", va="bottom", fontsize=8.5, color=colour
        )


def _names(axes: Axes, boxes: Sequence[Box], arrows: Sequence[Arrow]) -> None:
    """The parts by name, around the U."""
    lowest = min(boxes, key=lambda box: box.y)
    floor = [box for box in boxes if box.y == lowest.y]
    middle = (floor[0].left + floor[-1].right) / 2
    axes.text(
        middle,
        lowest.y - lowest.height / 2 - 0.3,
        "bottleneck",
        ha="center",
        va="top",
        weight="bold",
    )
    first_down = next(arrow for arrow in arrows if arrow.operation.kind == POOL)
    last_up = [arrow for arrow in arrows if arrow.operation.kind in (UP, BILINEAR)][-1]
    for arrow, word, x, ha in (
        (first_down, "encoder", -0.5, "right"),
        (last_up, "decoder", 0.5, "left"),
    ):
        place = (arrow.start[1] + arrow.end[1]) / 2
        axes.text(arrow.start[0] + x, place, word, ha=ha, va="center", weight="bold")


def _legend(axes: Axes, words: dict[str, str], x: float, y: float, step: float) -> None:
    for place, (kind, told) in enumerate(words.items()):
        left = x + place * step
        draw_arrow(axes, kind, (left, y), (left + 0.45, y))
        lines = told.replace(", ", ",\n", 1) if len(told) > 18 else told
        axes.text(left + 0.55, y, lines, va="center", fontsize=9, linespacing=1.2)
