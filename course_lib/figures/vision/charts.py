"""The charts of lesson 3: metrics explained, and metrics compared across test splits."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
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
from course_lib.figures.vision import annotations
from course_lib.vision.boxes import area

# Colour and marker of each test split: distinct without colours too.
_SPLIT_STYLES = {
    "seen": (BLUE, "o"),
    "new-backgrounds": (GREEN, "s"),
    "held-out-style": (RED, "D"),
    "unseen-objects": (PURPLE, "^"),
}
_MORE_STYLES = ((ORANGE, "v"), (INK, "P"), (MUTED, "X"))  # for splits with other names
_MAX_MARKERS = 15  # detections that are drawn individually
_MAX_STEPS = 8  # objects: with more, recall has decimal ticks


def iou_diagram(
    first: Sequence[float | int] | Tensor,
    second: Sequence[float | int] | Tensor,
    image: Float[Tensor, "3 height width"] | None = None,
    colours: tuple[str, str] = (BLUE, RED),
) -> Figure:
    """Two boxes, their shaded intersection, and the calculation of their IoU.

    Args:
        first: x0, y0, x1, y1 in pixels, with y pointing down.
        second: likewise.
        image: drawn pale behind the boxes, in [0, 1].
        colours: of the two boxes.

    Raises:
        ValueError: if a box has no positive width or height.
    """
    boxes = [torch.as_tensor(corners, dtype=torch.float32) for corners in (first, second)]
    for box in boxes:
        if box.shape != (4,) or not area(box) > 0:
            raise ValueError(
                f"{box.tolist()} is not a box: give x0, y0, x1, y1 with x0 < x1 and y0 < y1."
            )
    box_1, box_2 = boxes
    low, high = torch.minimum(box_1[:2], box_2[:2]), torch.maximum(box_1[2:], box_2[2:])
    shared = torch.cat([torch.maximum(box_1[:2], box_2[:2]), torch.minimum(box_1[2:], box_2[2:])])
    area_1, area_2, intersection = (float(area(box)) for box in (box_1, box_2, shared))
    union = area_1 + area_2 - intersection
    with course_style():
        figure, axes = plt.subplots(figsize=(8.6, 5.0), layout="constrained")
        if image is not None:
            annotations.draw_image(axes, image, fade=0.6)
            axes.axis("on")
        if intersection:
            _draw_rectangle(
                axes,
                shared,
                fill=image is None,
                facecolor=FAINT,
                edgecolor=INK,
                hatch="///",
                linewidth=0,
            )
            x0, y0, x1, y1 = shared.tolist()
            axes.annotate(
                f"intersection\n{_area_formula(shared)}",
                ((x0 + x1) / 2, (y0 + y1) / 2),
                (1.04, 0.5),
                textcoords="axes fraction",
                va="center",
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 1.2},
            )
        for box, colour, name, dash in (
            (box_1, colours[0], "first", "-"),
            (box_2, colours[1], "second", (0, (5, 2))),
        ):
            _draw_rectangle(axes, box, fill=False, edgecolor=INK, linewidth=4.6)
            _draw_rectangle(axes, box, fill=False, edgecolor=colour, linewidth=3, linestyle=dash)
            # The upper box is labelled above, the lower one below.
            upper = box is (box_1 if box_1[1] <= box_2[1] else box_2)
            axes.annotate(
                f"{name}: {_area_formula(box)}",
                box[:2].tolist() if upper else box[2:].tolist(),
                (0, 6 if upper else -7),
                textcoords="offset points",
                color=annotations.text_colour(colour),
                weight="bold",
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 2},
                ha="left" if upper else "right",
                va="bottom" if upper else "top",
            )
        axes.set_title(
            f"IoU = {intersection:g} / ({area_1:g} + {area_2:g} − {intersection:g}) "
            f"= {intersection:g} / {union:g} = {intersection / union:.2f}",
            loc="center",
        )
        (left, top), (right, bottom) = low.tolist(), high.tolist()
        margin = 0.09 * max(right - left, bottom - top)
        axes.set(
            xlim=(left - margin, right + margin),
            ylim=(bottom + margin, top - margin),
            aspect="equal",
            xlabel="x (pixels)",
            ylabel="y (pixels, down)",
        )
    return figure


def _draw_rectangle(axes: Axes, box: Tensor, **style) -> None:
    x0, y0, x1, y1 = box.tolist()
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **style))


def _area_formula(box: Tensor) -> str:
    x0, y0, x1, y1 = box.tolist()
    return f"{x1 - x0:g}·{y1 - y0:g} = {(x1 - x0) * (y1 - y0):g}"


def shifted_boxes(shifts: Sequence[Fraction]) -> Figure:
    """A box and the same box further right, once for each shift, with the IoU of the two.

    Args:
        shifts: fractions of the box's width, from 0 up to less than 1.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(shifts), figsize=(2.4 * len(shifts), 2.6), squeeze=False, layout="constrained"
        )
        for axes, shift in zip(panels[0], shifts, strict=True):
            by = float(shift)
            axes.add_patch(Rectangle((by, 0), 1 - by, 1, facecolor=FAINT, edgecolor="none"))
            axes.add_patch(Rectangle((by, 0), 1, 1, fill=False, edgecolor=BLUE, linewidth=3))
            # Dashed is the ground truth, as in the pictures of scenes.
            axes.add_patch(
                Rectangle(
                    (0, 0), 1, 1, fill=False, edgecolor=RED, linewidth=3, linestyle=(0, (4, 2))
                )
            )
            axes.set(xlim=(-0.08, 1.58), ylim=(-0.08, 1.08), aspect="equal")
            axes.axis("off")
            # The intersection is 1 - shift, the union 1 + shift.
            axes.set_title(f"shift {shift}\nIoU {(1 - by) / (1 + by):.2f}")
    return figure


def scores_and_ious(scores: Float[Tensor, " boxes"], ious: Float[Tensor, " boxes"]) -> Figure:
    """The score of each box against its IoU with the true box, with the diagonal.

    Args:
        scores: what the detector predicts, in [0, 1].
        ious: measured, in [0, 1].
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(5.6, 4.6), layout="constrained")
        axes.plot([0, 1], [0, 1], "--", color=MUTED, label="score = IoU")
        axes.plot(
            ious.numpy(), scores.numpy(), "o", color=BLUE, markersize=4, alpha=0.45, label="one box"
        )
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
        axes.set(xlabel="IoU with the true box (measured)", ylabel="score (predicted)")
        axes.grid(True)
        axes.legend(loc="upper left")
    return figure


def precision_recall_curve(
    scores: Sequence[float], correct: Sequence[bool], positives: int
) -> Figure:
    """The precision-recall curve of a list of detections, with its average precision (AP).

    AP is the exact area under the envelope: at each recall, the highest precision at this recall or
    above. Everingham et al. (2010), https://doi.org/10.1007/s11263-009-0275-4, section 4.2, sample
    the envelope at 11 recalls instead, COCO at 101.

    Args:
        scores: the confidence of each detection.
        correct: whether each detection is a true positive: it matches an object that no detection
            with a higher score matches.
        positives: the number of objects.

    Raises:
        ValueError: if the lists differ in length, or true positives outnumber the objects.
    """
    if len(scores) != len(correct) or positives < max(1, sum(map(bool, correct))):
        raise ValueError(
            f"{len(scores)} scores, {len(correct)} verdicts, {positives} objects: give one verdict "
            "for each score, at least one object, and no fewer objects than correct detections."
        )
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    is_correct = np.asarray(correct, dtype=bool)[order]
    true_positives = np.cumsum(is_correct)
    precision = true_positives / np.arange(1, len(is_correct) + 1)
    recall = true_positives / positives
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    average_precision = float(np.sum(np.diff(recall, prepend=0) * envelope))
    with course_style():
        figure, axes = plt.subplots(figsize=(8, 4.9), layout="constrained")
        # One step for each object found; the curve ends at the last of them.
        steps, edges = envelope[is_correct], np.concatenate([[0], recall[is_correct]])
        axes.stairs(steps, edges, fill=True, color=BLUE, alpha=0.18)
        axes.stairs(
            steps,
            edges,
            color=BLUE,
            linewidth=2.4,
            baseline=None,
            label="highest precision from here on",
        )
        axes.plot(recall, precision, color=MUTED, linewidth=1.2, label="precision after each box")
        if len(is_correct) <= _MAX_MARKERS:
            for members, colour, marker, label in (
                (is_correct, GREEN, "o", "true positive, with its score"),
                (~is_correct, RED, "X", "false positive, with its score"),
            ):
                axes.scatter(
                    recall[members],
                    precision[members],
                    s=64,
                    color=colour,
                    marker=marker,
                    zorder=3,
                    label=label,
                )
            for x, y, index in zip(recall, precision, order, strict=True):
                axes.annotate(
                    f"{scores[index]:.2f}", (x, y), (6, 6), textcoords="offset points", fontsize=9
                )
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 0.15), frameon=True, framealpha=0.9)
        axes.text(
            0.03,
            0.06,
            f"AP = blue area = {average_precision:.3f}",
            fontsize=14,
            weight="bold",
            color=BLUE,
        )
        axes.set(
            xlim=(0, 1.04),
            ylim=(0, 1.1),
            xlabel=f"recall (share of the {positives} objects)",
            ylabel="precision (share of the boxes so far)",
        )
        if positives <= _MAX_STEPS:  # each object is one step in recall
            recalls = [Fraction(found, positives) for found in range(positives + 1)]
            axes.set_xticks([float(value) for value in recalls], [str(value) for value in recalls])
    return figure


def generalisation_gap(
    results: Mapping[str, Mapping[str, float]], chance: Mapping[str, float] | None = None
) -> Figure:
    """A row for each model's metric with a dot for each test split, and a table of the numbers.

    Args:
        results: the values by the name of the metric ("3 detector, mAP"), then by split; a row
            may lack a split.
        chance: what guessing would give, for some of the metrics; drawn as a bar in their rows.

    Raises:
        ValueError: if there is nothing to draw.
    """
    splits = list(dict.fromkeys(split for row in results.values() for split in row))
    if not splits:
        raise ValueError("There are no results: give at least one row with at least one split.")
    others = [split for split in splits if split not in _SPLIT_STYLES]
    styles = dict(zip(others, cycle(_MORE_STYLES), strict=False)) | _SPLIT_STYLES
    chance = chance or {}
    lowest = min([value for row in results.values() for value in row.values()] + [*chance.values()])
    with course_style():
        figure, (axes, table) = plt.subplots(
            1,
            2,
            figsize=(10, 0.55 * len(results) + 1.6),
            width_ratios=[1.25, 0.32 * len(splits)],
            layout="constrained",
        )
        for row, (metric, values) in enumerate(results.items()):
            if metric in chance:
                axes.plot([chance[metric]] * 2, [row - 0.3, row + 0.3], color=INK, linewidth=2)
                xy = (chance[metric], row)
                axes.annotate("guessing", xy, (5, 0), textcoords="offset points", va="center")
            axes.plot(
                [min(values.values()), max(values.values())],
                [row, row],
                color=FAINT,
                linewidth=5,
                zorder=1,
                solid_capstyle="butt",
            )
            for split, value in values.items():
                colour, marker = styles[split]
                column = splits.index(split)
                # Shifted vertically, so that equal values don't hide each other.
                y = row + 0.15 * (column - (len(splits) - 1) / 2)
                axes.scatter(
                    value, y, s=70, color=colour, marker=marker, edgecolor="white", linewidth=0.8
                )
                table.text(column, row, f"{value:.2f}", ha="center", va="center")
        axes.set_yticks(range(len(results)), list(results))
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set(xlim=(min(0.5, lowest - 0.05), 1.02), ylim=(len(results) - 0.4, -1.3))
        axes.set_xlabel("value of the row's own metric (1 is perfect)")
        axes.grid(axis="x", color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        table.set(xlim=(-0.5, len(splits) - 0.5), ylim=axes.get_ylim())
        table.axis("off")
        for column, split in enumerate(splits):
            colour, marker = styles[split]
            table.scatter(column, -0.55, s=80, color=colour, marker=marker)
            heading = "\n".join(split.rsplit("-", 1))
            table.text(column, -0.8, heading, ha="center", va="bottom", fontsize=10, weight="bold")
    return figure
