"""Figures of lesson 3 in which only some levels answer: one detector at several stages, three
networks on a photo.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.data.compose import Scene
from course_lib.data.sprites import CLASSES
from course_lib.figures.style import course_style
from course_lib.figures.vision import annotations as marks
from course_lib.vision.detector import Detections
from course_lib.vision.pretrained import PhotoAnswers

_LEAST = 0.002  # of the picture's pixels: a smaller region of a kind carries no name


def stages(scene: Scene, found: Mapping[str, Detections]) -> Figure:
    """What a detector says of one scene at several stages of its training, with the true boxes
    dashed.

    Args:
        scene: what was asked about.
        found: for each stage, by what stands above it, what the detector found in ``scene.image``.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(found), figsize=(3.4 * len(found), 3.9), layout="constrained"
        )
        for axes, (title, one) in zip(np.atleast_1d(panels), found.items(), strict=True):
            marks.picture(axes, scene.image, faded=0.3)
            axes.set_title(f"{title}: {len(one.labels)} boxes")
            for corners in scene.boxes.tolist():
                marks.true_box(axes, corners)
            _boxes(axes, one, CLASSES)
    return figure


def photo_answers(photo: Float[Tensor, "3 height width"], answers: PhotoAnswers) -> Figure:
    """A photo and what levels 3, 4 and 5 say of it, each answer with the names of the data it was
    trained on.
    """
    wide = photo.shape[2] > photo.shape[1]
    with course_style():
        figure, grid = plt.subplots(2, 2, figsize=(10, 7.5 if wide else 11), layout="constrained")
        panels = grid.ravel()
        for axes, faded in zip(panels, (0.0, 0.0, 0.7, 0.7), strict=True):
            marks.picture(axes, photo, faded)
        counts = (
            len(answers.detections.labels),
            int((answers.kinds.unique() > 0).sum()),
            len(answers.instances.labels),
        )
        panels[0].set_title("The photo")
        panels[1].set_title(f"3 · boxes: {counts[0]}")
        panels[2].set_title(f"4 · kinds of pixels: {counts[1]}")
        panels[3].set_title(f"5 · objects: {counts[2]}")
        _boxes(panels[1], answers.detections, answers.names)
        for kind in answers.kinds.unique().tolist():
            inside = answers.kinds == kind
            if kind:  # 0 is the background
                label = answers.kind_names[kind] if inside.float().mean() >= _LEAST else ""
                marks.mask(panels[2], inside, marks.OBJECTS[kind % len(marks.OBJECTS)], label)
        labels, scores, masks = answers.instances
        for number, (label, score, inside) in enumerate(
            zip(labels.tolist(), scores.tolist(), masks, strict=True)
        ):
            colour = marks.OBJECTS[number % len(marks.OBJECTS)]
            marks.mask(panels[3], inside, colour, f"{answers.names[label]} {score:.0%}")
    return figure


def _boxes(axes: Axes, found: Detections, names: Sequence[str]) -> None:
    for number, (label, score, corners) in enumerate(zip(*map(Tensor.tolist, found), strict=True)):
        marks.box(
            axes, corners, marks.OBJECTS[number % len(marks.OBJECTS)], f"{names[label]} {score:.0%}"
        )
