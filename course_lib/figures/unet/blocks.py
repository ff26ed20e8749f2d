"""Lesson 5's drawings of the U-Net's four blocks from near, from what ``unet_trace.trace`` saw in
the running model.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.style import INK, MUTED, course_style
from course_lib.figures.unet.drawing import (
    LOOKS,
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
from course_lib.figures.unet.trace import COPY, POOL, Operation, Shape, trace
from course_lib.unet.model import UNet

PARTS = ("encoder step", "bottleneck", "decoder step", "output layer")
_LONG, _FIRST = 1.95, 0.5  # inches: an arrow with text below it, and the left margin


def block(model: UNet, size: int, part: str, step: int = 0) -> Figure:
    """One block from near: each operation with its module's path, the shape of its result, and its
    parameters.

    Args:
        model: any U-Net.
        size: the side of the whole network's input in pixels.
        part: one of ``PARTS``.
        step: which of the encoder's or of the decoder's steps, from 0, in the order in which they
            run.

    Raises:
        ValueError: if there is no such part or step.
    """
    if part not in PARTS:
        raise ValueError(f"There is no part {part!r}: choose one of {', '.join(PARTS)}.")
    place = f".{step}." if "step" in part else ""
    operations = trace(model, size)
    chosen = [one for one in operations if one.name.startswith(part.split()[0] + place)]
    if not chosen:
        raise ValueError(
            f"There is no {part} {step}: this U-Net has {model.depth} of them, counted from 0."
        )
    with course_style():
        return _row(operations, chosen, f"{part} {step}" if place else part)


def _row(operations: Sequence[Operation], chosen: Sequence[Operation], title: str) -> Figure:
    """The chosen operations from left to right."""
    finest = max(max(one.before[1], one.after[1]) for one in chosen)
    most = max(max(one.before[0], one.after[0]) for one in chosen)

    def box(shape: Shape, left: float) -> Box:
        width, height = wide_as(shape[0], most) * 1.6, tall_as(shape[1], finest)
        return Box(shape, left + width / 2, 0.0, width, height, *labels(shape))

    here = box(chosen[0].before, _FIRST)
    boxes, arrows = [here], []
    for one in chosen:
        if one.kind == COPY:
            new = box(one.after, here.right)
            copied = Box(
                *(new.shape, here.left + new.width / 2, 0.0, new.width, new.height), copied=True
            )
            here.x = copied.right + here.width / 2
            here.above, here.label_x = f"{new.shape[0]} + {here.shape[0]}", copied.right
            above = copied.height / 2
            arrows.append(Arrow(one, (copied.x, above + 0.85), (copied.x, above + 0.3)))
            boxes.append(copied)
            continue
        new = box(one.after, here.right + _LONG)
        arrows.append(Arrow(one, (here.right + 0.05, 0.0), (new.left - 0.05, 0.0)))
        boxes.append(new)
        here = new
    tallest = max(one.height for one in boxes) / 2
    right, top, bottom = here.right + 0.5, tallest + 1.15, -tallest - 0.45
    figure = plt.figure(figsize=(right, top - bottom))
    axes = sheet(figure, (0, right), (bottom, top))
    axes.text(0.1, top - 0.1, title, weight="bold", va="top", fontsize=12)
    for arrow in arrows:
        draw_arrow(axes, arrow.operation.kind, arrow.start, arrow.end)
        _explain(axes, arrow)
    for one in boxes:
        draw_box(axes, one, size=10)
    for arrow in _kept_for(operations, chosen):
        kept = next(one for one in boxes if one.shape == arrow.before)
        start = tallest + 0.3
        draw_arrow(axes, COPY, (kept.x, start), (kept.x, start + 0.5))
        words = f"kept for {arrow.name.rsplit('.', 1)[0]}"
        axes.text(kept.x + 0.12, start + 0.3, words, va="center", fontsize=9, color=MUTED)
    return figure


def _kept_for(operations: Sequence[Operation], chosen: Sequence[Operation]) -> list[Operation]:
    """The copies that start in the chosen operations: their maps stand before a pooling among
    these.
    """
    pooled = [one.before for one in chosen if one.kind == POOL]
    return [one for one in operations if one.kind == COPY and one.before in pooled]


def _explain(axes: Axes, arrow: Arrow) -> None:
    """What an arrow does, above it; its module and parameters, below it."""
    one, colour = arrow.operation, LOOKS[arrow.operation.kind].colour
    words = in_words([one])[one.kind].replace(", ", ",\n", 1)
    if one.kind == COPY:
        text = f"kept by the encoder: {one.before[0]} × {one.before[1]}²"
        text += f", cropped to {one.after[1]}²" if one.before != one.after else ""
        axes.text(
            arrow.start[0] + 0.12, arrow.start[1] - 0.2, text, fontsize=9, color=colour, va="center"
        )
        return
    middle = (arrow.start[0] + arrow.end[0]) / 2
    axes.text(
        middle, 0.14, words, ha="center", va="bottom", fontsize=9.5, color=colour, weight="bold"
    )
    count = f"{one.parameters:,} parameters" if one.parameters else "no parameters"
    axes.text(
        middle,
        -0.14,
        f"{one.name}\n{count}",
        ha="center",
        va="top",
        fontsize=8.5,
        linespacing=1.4,
        color=INK,
    )
