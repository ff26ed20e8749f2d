"""The figures of lesson 3 about scenes and predictions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import wrap

import matplotlib.pyplot as plt
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.ops import box_iou

from course_lib.data import sprites
from course_lib.data.compose import Scene
from course_lib.figures.style import INK, RED, course_style
from course_lib.figures.vision import annotations
from course_lib.figures.vision.annotations import (
    class_colour,
    class_name,
    class_shades,
    matched_colours,
    text_colour,
)
from course_lib.vision.detector import Detections
from course_lib.vision.predictions import SCORE_THRESHOLD, Predictions, evaluate, mask_iou
from course_lib.vision.tasks import LEVELS

_MAX_COUNTS = 5  # classes whose boxes are counted below a picture


def ground_truth(scene: Scene) -> Figure:
    """A scene in four panels: the image, its boxes with names, each pixel's class and object."""
    titles = (
        "the image",
        "boxes and classes",
        "the class of each pixel",
        "the object of each pixel",
    )
    with course_style():
        figure, panels = plt.subplots(1, 4, figsize=(11, 3.1), layout="constrained")
        for axes, title in zip(panels, titles, strict=True):
            annotations.draw_image(axes, scene.image, fade=0.0 if axes in panels[:2] else 0.7)
            axes.set_title(title)
        names = annotations.object_names(scene)
        colours = class_shades(scene.labels)
        for name, corners, colour in zip(names, scene.boxes.tolist(), colours, strict=True):
            annotations.draw_box(panels[1], corners, colour, name)
        annotations.draw_semantic(panels[2], scene.semantic)
        for index, mask in enumerate(scene.masks):
            annotations.draw_mask(panels[3], mask, colours[index], str(index + 1), opacity=1)
    return figure


def five_predictions(
    scene: Scene, predictions: Predictions, metrics: Mapping[str, str | float] | None = None
) -> Figure:
    """A scene with its ground truth, and the predictions of all five levels with their metrics.

    The ground truth is thin and dashed, predictions are bold.

    Args:
        scene: its image is the models' input.
        predictions: what ``predictions.predict_all`` returned for ``scene.image``.
        metrics: what ``predictions.evaluate`` returns; computed here if left out.
    """
    metrics = evaluate(scene, predictions) if metrics is None else metrics
    with course_style():
        figure, grid = plt.subplots(2, 3, figsize=(10, 8.2), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.14)  # room for the captions
        panels = grid.ravel()
        annotations.draw_image(panels[0], scene.image)
        panels[0].set_title("The image")
        names, colours = annotations.object_names(scene), class_shades(scene.labels)
        for name, corners, colour in zip(names, scene.boxes.tolist(), colours, strict=True):
            annotations.draw_true_box(panels[0], corners)
            annotations.draw_box_label(panels[0], corners, name, colour)
        annotations.draw_caption(panels[0], "dashed: ground truth")
        for axes, task in zip(panels[1:], LEVELS.values(), strict=True):
            pixelwise = task.name in ("segmenter", "instances")
            annotations.draw_image(axes, scene.image, fade=0.7 if pixelwise else 0.0)
            axes.set_title(f"{task.level} · {task.name}\n{task.question}")
            _draw_prediction(axes, task.name, scene, predictions)
            annotations.draw_caption(axes, format_metric(task.name, metrics))
    return figure


def format_metric(level: str, metrics: Mapping[str, str | float]) -> str:
    """A level's metric with its name, from what ``predictions.evaluate`` returns."""
    value = metrics[level]
    if isinstance(value, str):
        return value
    names = {
        "localizer": "best box IoU",
        "detector": "mean box IoU",
        "segmenter": "mIoU",
    }
    text = f"{names.get(level, 'mean mask IoU')} {value:.2f}"
    found = metrics.get(f"{level} found", "")
    return f"found {found}, {text}" if found else text


def _draw_prediction(axes: Axes, level: str, scene: Scene, predictions: Predictions) -> None:
    if level == "classifier":
        axes.text(
            0.5,
            0.06,
            f"{class_name(predictions.label)} {predictions.probability:.0%}",
            transform=axes.transAxes,
            ha="center",
            fontsize=14,
            weight="bold",
            color=text_colour(class_colour(predictions.label)),
            bbox={"facecolor": class_colour(predictions.label), "edgecolor": "none", "pad": 4},
        )
    if level in ("localizer", "detector"):
        for corners in scene.boxes.tolist():
            annotations.draw_true_box(axes, corners)
    if level == "localizer":
        label, probability, box = predictions.localization
        text = f"{class_name(label)} {probability:.0%}"
        annotations.draw_box(axes, box.tolist(), class_colour(label), text, linewidth=3)
    if level == "detector":
        labels, _, boxes = predictions.detections
        colours = matched_colours(scene, labels, box_iou(boxes, scene.boxes))
        for colour, label, score, corners in zip(
            colours, *map(Tensor.tolist, predictions.detections), strict=True
        ):
            text = f"{class_name(label)} {score:.0%}"
            annotations.draw_box(axes, corners, colour, text, linewidth=3)
    if level == "segmenter":
        annotations.draw_semantic(axes, predictions.semantic)
    if level == "instances":
        labels, scores, masks = predictions.instances
        colours = matched_colours(scene, labels, mask_iou(masks, scene.masks))
        for colour, label, score, mask in zip(
            colours, labels.tolist(), scores.tolist(), masks, strict=True
        ):
            text = f"{class_name(label)} {score:.0%}"
            annotations.draw_mask(axes, mask, colour, text, opacity=1)
    if level in ("segmenter", "instances"):
        for mask in scene.masks:
            annotations.draw_outline(axes, mask)


def compare_suppression(scene: Scene, before_and_after: Sequence[Detections]) -> Figure:
    """Detections before and after non-maximum suppression, in the colours of the objects.

    Dashed: the ground truth.

    After suppression, boxes with a score of at least ``SCORE_THRESHOLD`` are bold, with their name
    and score.

    Args:
        scene: its image is the detector's input.
        before_and_after: without suppression,
            ``detector.predict(model, images, iou_threshold=1.0, max_detections=1000)[0]``, and
            with it, ``detector.predict(model, images)[0]``.

    Raises:
        ValueError: if there are not exactly two.
    """
    if len(before_and_after) != 2:
        raise ValueError(
            f"{len(before_and_after)} lists of detections: give two, before and after suppression."
        )
    before, after = before_and_after
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(9, 4.9), layout="constrained")
        for axes, detections in zip(panels, (before, after), strict=True):
            when = "before" if detections is before else "after"
            annotations.draw_image(axes, scene.image, fade=0.5)
            axes.set_title(f"{when} suppression: {len(detections.labels)} boxes")
            for corners in scene.boxes.tolist():
                annotations.draw_true_box(axes, corners)
            labels, _, boxes = detections
            colours = matched_colours(scene, labels, box_iou(boxes, scene.boxes))
            # In reverse order, so that the most confident box is drawn on top.
            for colour, label, score, corners in reversed(
                list(zip(colours, *map(Tensor.tolist, detections), strict=True))
            ):
                bold = detections is after and score >= SCORE_THRESHOLD
                annotations.draw_box(
                    axes,
                    corners,
                    colour,
                    f"{class_name(label)} {score:.0%}" if bold else "",
                    linewidth=2.6 if bold else 0.6,
                )
        counts = Counter(before.labels.tolist()).most_common()
        text = ", ".join(f"{class_name(label)} {count}" for label, count in counts[:_MAX_COUNTS])
        annotations.draw_caption(panels[0], text + (", ..." if counts[_MAX_COUNTS:] else ""))
        if (after.scores < SCORE_THRESHOLD).any():
            annotations.draw_caption(panels[1], f"thin: score below {SCORE_THRESHOLD:.0%}")
    return figure


def matched_boxes(
    scene: Scene, detections: Detections, correct: Sequence[bool], min_score: float = 0.1
) -> Figure:
    """The true positives of a scene on the left, the false positives on the right.

    Args:
        scene: with its true boxes, which are dashed.
        detections: of this scene.
        correct: whether each box is a true positive.
        min_score: boxes with a lower score are left out.

    Raises:
        ValueError: if there is not one verdict for each box.
    """
    if len(correct) != len(detections.labels):
        raise ValueError(
            f"{len(detections.labels)} boxes, {len(correct)} verdicts: give one for each box."
        )
    colours = matched_colours(scene, detections.labels, box_iou(detections.boxes, scene.boxes))
    rows = list(zip(colours, *map(Tensor.tolist, detections), correct, strict=True))
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(9, 4.9), layout="constrained")
        for axes, verdict in zip(panels, (True, False), strict=True):
            annotations.draw_image(axes, scene.image, fade=0.5)
            for corners in scene.boxes.tolist():
                annotations.draw_true_box(axes, corners)
            shown = [row[:4] for row in rows if row[4] == verdict and row[2] >= min_score]
            for colour, label, score, corners in shown:
                annotations.draw_box(axes, corners, colour, f"{class_name(label)} {score:.2f}")
            axes.set_title(f"{len(shown)} {'true' if verdict else 'false'} positives")
        annotations.draw_caption(panels[0], f"dashed: ground truth; scores from {min_score:g}")
    return figure


def detections_in_scenes(
    images: Mapping[str, Float[Tensor, "3 height width"]], detections: Sequence[Detections]
) -> Figure:
    """The boxes found in several images, three in a row, each below what it shows.

    Args:
        images: in [0, 1], by what they show.
        detections: of each image, in the same order.
    """
    lines = -(-len(images) // 3)
    with course_style():
        figure, panels = plt.subplots(
            lines, 3, figsize=(10, 3.9 * lines), squeeze=False, layout="constrained"
        )
        for axes in panels.flat:
            axes.axis("off")
        for axes, (title, image), found in zip(
            panels.flat, images.items(), detections, strict=False
        ):
            annotations.draw_image(axes, image)
            heights = annotations.label_heights(found.boxes.tolist(), image)
            rows = zip(*map(Tensor.tolist, found), heights, strict=True)
            for label, score, corners, label_y in rows:
                text = f"{class_name(label)} {score:.0%}"
                annotations.draw_box(axes, corners, class_colour(label), text, label_y=label_y)
            axes.set_title("\n".join(wrap(title, 32)), fontsize=11)
    return figure


def style_table(names: Sequence[str], styles: Sequence[str]) -> Figure:
    """A row for each drawing style, a column for each object; a held-out style is labelled."""
    held_out_styles = sprites.styles("held-out")
    with course_style():
        figure, grid = plt.subplots(
            len(styles),
            len(names),
            figsize=(1.15 * len(names) + 1.6, 1.2 * len(styles) + 0.4),
            squeeze=False,
        )
        for axes, name in zip(grid[0], names, strict=True):
            axes.set_title(name, loc="center", fontsize=10, weight="normal")
        for line, style in zip(grid, styles, strict=True):
            held_out = style in held_out_styles
            for axes, name in zip(line, names, strict=True):
                axes.imshow(
                    sprites.sprite(name, style).numpy().transpose(1, 2, 0), interpolation="bilinear"
                )
                axes.set(xticks=[], yticks=[], facecolor="#FBE9DF" if held_out else "white")
                axes.spines[:].set_visible(False)
            line[0].set_ylabel(
                f"{style}\nHELD OUT" if held_out else f"{style}\nfor training",
                rotation=0,
                ha="right",
                va="center",
                labelpad=10,
                color=RED if held_out else INK,
                weight="bold" if held_out else "normal",
            )
        figure.tight_layout(pad=0.4)
    return figure
