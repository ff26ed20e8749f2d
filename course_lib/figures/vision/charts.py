"""The charts of lesson 3: what the numbers that judge an answer are made of, and how far they fall
elsewhere.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    course_style,
)
from course_lib.vision.boxes import area

# A split's colour and the shape of its dot: told apart without colours too.
_SPLITS = {
    "seen": (BLUE, "o"),
    "new-backgrounds": (GREEN, "s"),
    "held-out-style": (RED, "D"),
    "unseen-objects": (PURPLE, "^"),
}
_FEW = 15  # detections that can be drawn one by one
_MORE = ((ORANGE, "v"), (INK, "P"), (MUTED, "X"))  # for splits that have other names


def iou(first: Sequence[float] | Tensor, second: Sequence[float] | Tensor) -> Figure:
    """Two boxes, their intersection shaded, and how the numbers in it make their intersection over
    union.

    Args:
        first, second: x0, y0, x1, y1 in pixels, y down.

    Raises:
        ValueError: if one of them is no box.
    """
    boxes = [torch.as_tensor(corners, dtype=torch.float32) for corners in (first, second)]
    for corners in boxes:
        if corners.shape != (4,) or not area(corners) > 0:
            raise ValueError(
                f"{corners.tolist()} is no box: give x0, y0, x1, y1 with x0 < x1 and y0 < y1."
            )
    one, two = boxes
    shared = torch.cat([torch.maximum(one[:2], two[:2]), torch.minimum(one[2:], two[2:])])
    low, high = torch.minimum(one[:2], two[:2]).tolist(), torch.maximum(one[2:], two[2:]).tolist()
    first_area, second_area, inside = (float(area(corners)) for corners in (one, two, shared))
    union = first_area + second_area - inside
    with course_style():
        figure, axes = plt.subplots(figsize=(7.6, 5.0), layout="constrained")
        if inside:
            _rectangle(axes, shared, facecolor=FAINT, edgecolor=MUTED, hatch="///", linewidth=0)
            x0, y0, x1, y1 = shared.tolist()
            plate = {"facecolor": "white", "edgecolor": "none", "pad": 2}
            word = f"intersection\n{_size(shared)}"
            axes.text((x0 + x1) / 2, (y0 + y1) / 2, word, ha="center", va="center", bbox=plate)
        for corners, colour, word, style in (
            (one, BLUE, "first", "-"),
            (two, RED, "second", (0, (5, 2))),
        ):
            _rectangle(axes, corners, fill=False, edgecolor=colour, linewidth=3, linestyle=style)
            x0, y0, x1, y1 = corners.tolist()
            # it is named above, the other one below
            upper = corners is (one if one[1] <= two[1] else two)
            axes.annotate(
                *(f"{word}: {_size(corners)}", (x0, y0) if upper else (x1, y1), (0, 5 if upper else -6)),
                textcoords="offset points", color=colour, weight="bold",
                ha="left" if upper else "right", va="bottom" if upper else "top",
            )  # fmt: skip
        sum_ = f"({first_area:g} + {second_area:g} − {inside:g})"
        axes.set_title(
            f"IoU = {inside:g} / {sum_} = {inside:g} / {union:g} = {inside / union:.2f}",
            loc="center",
        )
        room = 0.09 * max(high[0] - low[0], high[1] - low[1])
        axes.set(
            xlim=(low[0] - room, high[0] + room),
            ylim=(high[1] + room, low[1] - room),
            aspect="equal",
        )
        axes.set(xlabel="x (pixels)", ylabel="y (pixels, down)")
    return figure


def _rectangle(axes: plt.Axes, corners: Tensor, **look) -> None:
    x0, y0, x1, y1 = corners.tolist()
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **look))


def _size(corners: Tensor) -> str:
    x0, y0, x1, y1 = corners.tolist()
    return f"{x1 - x0:g}·{y1 - y0:g} = {(x1 - x0) * (y1 - y0):g}"


def precision_recall(scores: Sequence[float], right: Sequence[bool], positives: int) -> Figure:
    """The precision-recall curve of a list of detections, its envelope, and the area under that:
    average precision.

    The envelope is the best precision at each recall or a larger one, and its area is taken
    exactly. Everingham et al. (2010), https://doi.org/10.1007/s11263-009-0275-4, section 4.2, read
    it at 11 recalls instead, COCO at 101.

    Args:
        scores: how sure the model is of each detection.
        right: whether each detection hit an object that was still free.
        positives: how many objects there are to find.

    Raises:
        ValueError: if the two lists differ in length, or the number of objects makes no sense.
    """
    if len(scores) != len(right) or positives < max(1, sum(map(bool, right))):
        raise ValueError(
            f"{len(scores)} scores, {len(right)} verdicts, {positives} objects: there must be as many verdicts as "
            "scores, at least one object, and no fewer objects than right detections."
        )
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    hit = np.asarray(right, dtype=bool)[order]
    found = np.cumsum(hit)
    precision, recall = found / np.arange(1, len(hit) + 1), found / positives
    # the best precision at this recall or beyond
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area_under = float(np.sum(np.diff(recall, prepend=0) * envelope))
    with course_style():
        figure, axes = plt.subplots(figsize=(8, 4.9), layout="constrained")
        steps = np.concatenate([[0], recall])
        axes.stairs(envelope, steps, fill=True, color=BLUE, alpha=0.18)
        axes.stairs(envelope, steps, color=BLUE, linewidth=2.4, baseline=None)
        axes.plot(recall, precision, color=MUTED, linewidth=1.2)
        if len(hit) <= _FEW:
            for which, colour, shape, word in (
                (hit, GREEN, "o", "right"),
                (~hit, RED, "X", "wrong"),
            ):
                axes.scatter(
                    recall[which],
                    precision[which],
                    s=64,
                    color=colour,
                    marker=shape,
                    zorder=3,
                    label=word,
                )
            for x, y, place in zip(recall, precision, order, strict=True):
                axes.annotate(
                    f"{scores[place]:.2f}", (x, y), (6, 6), textcoords="offset points", fontsize=9
                )
            axes.legend(
                title="one detection more\n(with its score)",
                loc="upper right",
                bbox_to_anchor=(1, 1.04),
            )
        axes.text(
            0.03, 0.06, f"AP = blue area = {area_under:.3f}", fontsize=14, weight="bold", color=BLUE
        )
        axes.set(xlim=(0, 1.04), ylim=(0, 1.1))
        axes.set_xlabel(f"recall: found, of {positives} objects")
        axes.set_ylabel("precision: right, of those so far")
    return figure


def gap(results: Mapping[str, Mapping[str, float]]) -> Figure:
    """A row for each model and its metric, a dot for each split, and the numbers in a table beside
    them.

    Args:
        results: by what is measured ("3 detector, mAP"), and then by split; a split may be missing
            in a row.

    Raises:
        ValueError: if there is nothing to draw.
    """
    splits = list(dict.fromkeys(split for row in results.values() for split in row))
    if not splits:
        raise ValueError("There are no results: give at least one row with at least one split.")
    looks = (
        dict(
            zip(
                (split for split in splits if split not in _SPLITS),
                _MORE * len(splits),
                strict=False,
            )
        )
        | _SPLITS
    )
    low = min(value for row in results.values() for value in row.values())
    with course_style():
        figure, (axes, table) = plt.subplots(
            1,
            2,
            figsize=(10, 0.55 * len(results) + 1.6),
            width_ratios=[1.25, 0.32 * len(splits)],
            layout="constrained",
        )
        for row, values in enumerate(results.values()):
            axes.plot(
                [min(values.values()), max(values.values())],
                [row, row],
                color=FAINT,
                linewidth=5,
                zorder=1,
                solid_capstyle="butt",
            )
            for split, value in values.items():
                colour, shape = looks[split]
                column = splits.index(split)
                # equal values would hide each other
                beside = row + 0.15 * (column - (len(splits) - 1) / 2)
                axes.scatter(
                    value,
                    beside,
                    s=70,
                    color=colour,
                    marker=shape,
                    edgecolor="white",
                    linewidth=0.8,
                )
                table.text(column, row, f"{value:.2f}", ha="center", va="center")
        axes.set_yticks(range(len(results)), list(results))
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set(xlim=(min(0.5, low - 0.05), 1.02), ylim=(len(results) - 0.4, -1.3))
        axes.grid(axis="x", color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        table.set(xlim=(-0.5, len(splits) - 0.5), ylim=axes.get_ylim())
        table.axis("off")
        for column, split in enumerate(splits):
            colour, shape = looks[split]
            table.scatter(column, -0.55, s=80, color=colour, marker=shape)
            word = "\n".join(split.rsplit("-", 1))
            table.text(column, -0.8, word, ha="center", va="bottom", fontsize=10, weight="bold")
    return figure
