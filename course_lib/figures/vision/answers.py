"""The figures of lesson 3. Those of scenes and answers are drawn here; the others have modules of
their own.

``vision_charts`` draws numbers, ``vision_maps`` what happens inside the models, ``vision_shapes``
their tensors.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.data import sprites
from course_lib.data.compose import Scene
from course_lib.figures.style import INK, MUTED, ORANGE, RED, course_style
from course_lib.figures.vision import annotations as marks
from course_lib.figures.vision.charts import gap, iou, precision_recall
from course_lib.figures.vision.maps import cutout, pointing, votes
from course_lib.figures.vision.shapes import output_shapes
from course_lib.vision.answers import LEAST_SCORE, Answers, judge
from course_lib.vision.detector import Detections
from course_lib.vision.tasks import LEVELS

__all__ = [
    "cutout",
    "detections",
    "five_answers",
    "gap",
    "iou",
    "output_shapes",
    "pointing",
    "precision_recall",
    "styles",
    "truth",
    "votes",
]


def truth(scene: Scene) -> Figure:
    """Four pictures of one scene: as it is, and what is known of it: boxes with classes, kinds, and
    objects.
    """
    titles = (
        "the picture",
        "boxes and classes",
        "the kind of each pixel",
        "the object of each pixel",
    )
    with course_style():
        figure, panels = plt.subplots(1, 4, figsize=(11, 3.1), layout="constrained")
        for axes, title in zip(panels, titles, strict=True):
            marks.picture(axes, scene.image, faded=0.0 if axes in panels[:2] else 0.7)
            axes.set_title(title)
        words = marks.names(scene)
        for number, (word, corners) in enumerate(zip(words, scene.boxes.tolist(), strict=True)):
            marks.box(panels[1], corners, marks.OBJECTS[number % len(marks.OBJECTS)], word)
        marks.kinds(panels[2], scene.semantic)
        for number, inside in enumerate(scene.masks):
            marks.mask(
                panels[3], inside, marks.OBJECTS[number % len(marks.OBJECTS)], str(number + 1)
            )
    return figure


def five_answers(
    scene: Scene, answers: Answers, metrics: Mapping[str, str | float] | None = None
) -> Figure:
    """The picture with the truth, and the five answers, each with its level's own measure for this
    scene.

    The truth is thin and dashed, the answers are bold.

    Args:
        scene: what was asked about.
        answers: what ``answers.ask`` returned for ``scene.image``.
        metrics: what ``answers.judge`` returns; computed here if it is left out.
    """
    told = dict(judge(scene, answers) if metrics is None else metrics)
    with course_style():
        figure, grid = plt.subplots(2, 3, figsize=(10, 8.2), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.14)  # room for the lines below the pictures
        panels = grid.ravel()
        marks.picture(panels[0], scene.image)
        panels[0].set_title("The picture")
        for word, corners in zip(marks.names(scene), scene.boxes.tolist(), strict=True):
            marks.true_box(panels[0], corners)
            marks.label_box(panels[0], corners, word, MUTED)
        marks.below(panels[0], "dashed: the truth")
        for axes, level in zip(panels[1:], LEVELS.values(), strict=True):
            marks.picture(
                axes, scene.image, faded=0.7 if level.name in ("segmenter", "instances") else 0.0
            )
            axes.set_title(f"{level.number} · {level.name}\n{level.question}")
            _answer(axes, level.name, scene, answers)
            marks.below(axes, measure(level.name, told))
    return figure


def measure(level: str, told: Mapping[str, str | float]) -> str:
    """A level's own measure, from what ``answers.judge`` returns, in words."""
    value, found = told[level], told.get(f"{level} found", "")
    if isinstance(value, str):
        return value
    label = {"localizer": "box IoU", "detector": "mean box IoU", "segmenter": "foreground mIoU"}
    text = f"{label.get(level, 'mean mask IoU')} {value:.2f}"
    return f"found {found}, {text}" if found else text


def _answer(axes: Axes, level: str, scene: Scene, answers: Answers) -> None:
    if level == "classifier":
        word = f"{marks.name(answers.label)} {answers.probability:.0%}"
        axes.text(
            *(0.5, 0.06, word), transform=axes.transAxes, ha="center", fontsize=14, weight="bold", color=INK,
            bbox={"facecolor": ORANGE, "edgecolor": "none", "pad": 4},
        )  # fmt: skip
        return
    if level in ("localizer", "detector"):
        for corners in scene.boxes.tolist():
            marks.true_box(axes, corners)
    if level == "localizer":
        label, probability, corners = answers.located
        marks.box(axes, corners.tolist(), ORANGE, f"{marks.name(label)} {probability:.0%}", line=3)
    elif level == "detector":
        for number, (label, score, corners) in enumerate(
            zip(*map(Tensor.tolist, answers.detections), strict=True)
        ):
            colour = marks.OBJECTS[number % len(marks.OBJECTS)]
            marks.box(axes, corners, colour, f"{marks.name(label)} {score:.0%}", line=3)
    elif level == "segmenter":
        marks.kinds(axes, answers.kinds)
    else:
        labels, scores, masks = answers.instances
        for number, (label, score, inside) in enumerate(
            zip(labels.tolist(), scores.tolist(), masks, strict=True)
        ):
            colour = marks.OBJECTS[number % len(marks.OBJECTS)]
            marks.mask(axes, inside, colour, f"{marks.name(label)} {score:.0%}")
    if level in ("segmenter", "instances"):
        for inside in scene.masks:
            marks.outline(axes, inside)


def detections(scene: Scene, before_and_after: Sequence[Detections]) -> Figure:
    """What a detector says before and after non-maximum suppression, a colour for each class.

    Args:
        scene: what was asked about.
        before_and_after: ``detector.predict(model, images, overlap=1.0, most=1000)[0]``, which
            leaves out nothing, and ``detector.predict(model, images)[0]``.

    Raises:
        ValueError: if these are not two.
    """
    if len(before_and_after) != 2:
        raise ValueError(
            f"{len(before_and_after)} lists of detections: give two, before and after suppression."
        )
    order = {
        label: place
        for place, label in enumerate(dict.fromkeys(before_and_after[0].labels.tolist()))
    }
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(9, 4.9), layout="constrained")
        for axes, found, when in zip(panels, before_and_after, ("before", "after"), strict=True):
            marks.picture(axes, scene.image, faded=0.5)
            axes.set_title(f"{when} suppression: {len(found.labels)} boxes")
            for label, score, corners in reversed(
                list(zip(*map(Tensor.tolist, found), strict=True))
            ):
                colour = marks.OBJECTS[order.get(label, 0) % len(marks.OBJECTS)]
                word = (
                    f"{marks.name(label)} {score:.2f}"
                    if when == "after" and score >= LEAST_SCORE
                    else ""
                )
                marks.box(axes, corners, colour, word, line=2.6 if word else 0.9)
        counts = Counter(before_and_after[0].labels.tolist()).most_common()
        told = ", ".join(f"{count} {marks.name(label)}" for label, count in counts[:3])
        marks.below(panels[0], told + (", ..." if counts[3:] else ""))
        marks.below(panels[1], f"bold: score {LEAST_SCORE:g} or more")
    return figure


def styles(names: Sequence[str], styles: Sequence[str]) -> Figure:
    """A row for each drawing style, a column for each object; a held-out style is marked."""
    held_out = sprites.styles("held-out")
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
            out = style in held_out
            for axes, name in zip(line, names, strict=True):
                axes.imshow(
                    sprites.sprite(name, style).numpy().transpose(1, 2, 0), interpolation="bilinear"
                )
                axes.set(xticks=[], yticks=[], facecolor="#FBE9DF" if out else "white")
                axes.spines[:].set_visible(False)
            label = f"{style}\nHELD OUT" if out else f"{style}\nfor training"
            line[0].set_ylabel(
                *(label,), rotation=0, ha="right", va="center", labelpad=10, color=RED if out else INK,
                weight="bold" if out else "normal",
            )  # fmt: skip
        figure.tight_layout(pad=0.4)
    return figure
