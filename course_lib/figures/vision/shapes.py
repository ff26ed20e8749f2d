"""Lesson 3's figure of the five networks: the same way in, five heads, five answers, drawn from the
running models.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from course_lib.figures.style import FAINT, MUTED, ROLES, course_style
from course_lib.vision.backbone import Backbone
from course_lib.vision.tasks import LEVELS

# Where things stand, in units of half an inch.
_WIDTH, _TOP, _ROW = 22, 1.5, 2.2
_SHARED, _HEAD, _HEAD_WIDTH, _ANSWER = 8.2, 10.6, 3.4, 14.6
_NUMBERS = ("one", "two", "three", "four", "five")
# What the tensors of each answer mean, in the order in which the model returns them.
_MEANING = {
    "classifier": ("a score for each class",),
    "localizer": ("a score for each class", "one box"),
    "detector": ("a score for each class in each cell", "a box in each cell"),
    "segmenter": ("a score for each kind in each pixel",),
    "instances": ("a score for each kind in each pixel", "a middle?", "where the middle is: x, y"),
}


@dataclass
class Trace:
    """The shapes that one picture takes on its way through a model, without the batch."""

    backbone: list[tuple[int, ...]] = field(default_factory=list)
    shared: tuple[int, ...] = ()  # what the head works on
    # name of each part, and what it returns
    head: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    answer: list[tuple[int, ...]] = field(default_factory=list)


@torch.no_grad()
def trace(model: nn.Module, size: int = 128) -> Trace:
    """Send an empty picture through a model and write down the shapes that its parts return."""
    seen, hooks = Trace(), []

    def after(module: nn.Module, note) -> None:
        hooks.append(module.register_forward_hook(lambda _, __, output: note(output)))

    def note_shared(output: Tensor | list[Tensor]) -> None:
        seen.shared = tuple((output[-1] if isinstance(output, list) else output).shape[1:])

    backbone = next(part for part in model.modules() if isinstance(part, Backbone))
    after(backbone, lambda maps: seen.backbone.extend(tuple(one.shape[1:]) for one in maps))
    for name, part in model.named_children():
        if any(inner is backbone for inner in part.modules()):
            after(part, note_shared)
        else:
            after(part, lambda output, name=name: seen.head.append((name, tuple(output.shape[1:]))))
    training = model.training
    answer = model.eval()(torch.zeros(1, 3, size, size, device=next(model.parameters()).device))
    model.train(training)
    for hook in hooks:
        hook.remove()
    seen.answer = [
        tuple(one.shape[1:]) for one in (answer if isinstance(answer, tuple) else (answer,))
    ]
    return seen


def output_shapes(models: Mapping[str, nn.Module], size: int = 128) -> Figure:
    """For each level the way from the picture to the answer, with the shapes that the running
    models have.

    Args:
        models: by the names of ``levels.LEVELS``; all have the same backbone.
        size: side of the picture in pixels, a multiple of 16.

    Raises:
        ValueError: if there is no model, or their backbones differ.
    """
    traces = {name: trace(models[name], size) for name in LEVELS if name in models}
    if len({tuple(seen.backbone) for seen in traces.values()}) != 1:
        raise ValueError(
            "Give one or more of the models of lesson 3, by the names in LEVELS, with one backbone."
        )
    maps = [(3, size, size), *next(iter(traces.values())).backbone]
    bottom = _TOP + _ROW * len(traces)
    middle = (_TOP + bottom) / 2
    many = f"the same backbone in all {_NUMBERS[len(traces) - 1]},\neach with its own weights"
    backbone = many if len(traces) > 1 else "the backbone"
    with course_style():
        figure, axes = plt.subplots(figsize=(11, 11 * (bottom + 0.2) / _WIDTH))
        figure.subplots_adjust(0, 0, 1, 1)
        axes.set(xlim=(0, _WIDTH), ylim=(bottom + 0.2, 0))
        axes.axis("off")
        headings = (
            *((0.2, backbone), (_SHARED, "what the\nhead sees")),
            *((_HEAD, "the head"), (_ANSWER, "the answer")),
        )
        for x, word in headings:
            axes.text(x, 0.7, word, weight="bold", va="center", linespacing=1.3)
        end = _backbone(axes, maps, middle)
        words = "Level 1 goes on with the last map. The others\nclimb back up: a pyramid adds it to the finer maps."
        axes.text(0.2, bottom - 0.6, words, color=MUTED, fontsize=9.5, va="center", linespacing=1.4)
        for row, (name, seen) in enumerate(traces.items()):
            y = _TOP + _ROW * (row + 0.5)
            if row:
                axes.plot([_SHARED, _WIDTH - 0.2], [y - _ROW / 2] * 2, color=FAINT, linewidth=1)
            _arrow(axes, (end, middle), (_SHARED - 0.15, y))
            _row(axes, name, seen, y, size)
    return figure


def written(shape: tuple[int, ...]) -> str:
    """A shape as people write it, with real crosses: 12×32×32."""
    return "×".join(map(str, shape))


def _backbone(axes: Axes, maps: list[tuple[int, ...]], middle: float) -> float:
    """The picture and the maps that it becomes, from left to right; returns where they end."""
    x = 0.2
    for number, shape in enumerate(maps):
        colour = ROLES["convolution"] if number else ROLES["input"]
        width = _pile(axes, x, middle, shape, maps[0][1], colour)
        # in turns higher and lower: they are wider than the small maps
        down = middle + 1.7 + 0.55 * (number % 2)
        axes.text(x + width / 2, down, written(shape), ha="center", va="top", fontsize=9)
        x += width + 0.4
    return x - 0.3


def _row(axes: Axes, name: str, seen: Trace, y: float, size: int) -> None:
    """One level: the map that its head works on, the head, and its answer."""
    level = LEVELS[name]
    width = _pile(axes, _SHARED, y, seen.shared, size, ROLES["convolution"], tall=1.1)
    axes.text(_SHARED, y + 0.68, written(seen.shared), va="top", fontsize=9)
    _arrow(axes, (_SHARED + width + 0.1, y), (_HEAD - 0.1, y))
    axes.add_patch(
        Rectangle((_HEAD, y - 0.75), _HEAD_WIDTH, 1.5, facecolor=ROLES["weight"], alpha=0.3)
    )
    lines = [f"{part}: {written(shape)}" for part, shape in seen.head]
    axes.text(_HEAD + 0.15, y, "\n".join(lines), va="center", fontsize=9, linespacing=1.5)
    _arrow(axes, (_HEAD + _HEAD_WIDTH + 0.1, y), (_ANSWER - 0.1, y))
    axes.text(
        _ANSWER,
        y - 0.8,
        f"{level.number} · {level.question}",
        weight="bold",
        va="center",
        fontsize=10,
    )
    gap = min(0.75, 1.5 / len(seen.answer))
    for place, (shape, meaning) in enumerate(zip(seen.answer, _MEANING[name], strict=True)):
        down = y + 0.15 + gap * (place - (len(seen.answer) - 1) / 2)
        axes.text(
            _ANSWER,
            down,
            written(shape),
            color=ROLES["output"],
            weight="bold",
            va="center",
            fontsize=11,
        )
        axes.text(_ANSWER + 2.55, down, meaning, va="center", fontsize=9.5)


def _pile(
    axes: Axes,
    x: float,
    y: float,
    shape: tuple[int, ...],
    size: int,
    colour: str,
    tall: float = 2.9,
) -> float:
    """A map as a pile of sheets: as high as it is fine, and the more sheets the more channels.
    Returns its width.
    """
    channels, height, _ = shape
    side = tall * (height / size) ** 0.5  # the root, so that the coarse ones can be seen
    sheets, step = max(2, round(channels**0.5 / 1.5)), 0.06
    for sheet in range(sheets):
        corner = (x + sheet * step, y - side / 2 + (sheet - sheets / 2) * step)
        axes.add_patch(
            Rectangle(corner, side * 0.5, side, facecolor=colour, edgecolor="white", linewidth=0.6)
        )
    return side * 0.5 + sheets * step


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.2}
    )
