"""The figures of lesson 3 about detectors in training, and about photos."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.ops import box_iou

from course_lib.data.compose import Scene
from course_lib.data.sprites import CLASSES
from course_lib.figures.style import MUTED, course_style
from course_lib.figures.vision import annotations
from course_lib.figures.vision.annotations import (
    SEMANTIC_COLOURS,
    class_colour,
    class_shades,
    cycled_colour,
    matched_colours,
)
from course_lib.vision.boxes import iou
from course_lib.vision.detector import Detections
from course_lib.vision.pretrained import PhotoPredictions

_MIN_AREA = 0.002  # the smallest fraction of the photo's pixels at which a class is labelled


def training_stages(scene: Scene, detections: Mapping[str, Detections]) -> Figure:
    """A detector's boxes in one scene at several stages of its training; ground truth is dashed.

    The most confident box that fits an object, with an IoU of 0.5 or more, is bold and named, on
    top of all others, which are thin and grey.

    Args:
        scene: its image is the detector's input.
        detections: the detections in ``scene.image``, by the title of the stage.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(detections), figsize=(3.4 * len(detections), 4.2), layout="constrained"
        )
        for axes, (title, boxes) in zip(np.atleast_1d(panels), detections.items(), strict=True):
            annotations.draw_image(axes, scene.image, fade=0.3)
            count, places = len(boxes.labels), len(boxes.boxes.unique(dim=0))
            # A cell has one box for all its names, so boxes with several names coincide.
            where = f" at {places} places" if places < count else ""
            axes.set_title(f"{title}\n{count} boxes{where}")
            for corners in scene.boxes.tolist():
                annotations.draw_true_box(axes, corners)
            best = _best_of_each_object(scene, boxes)
            colours = matched_colours(scene, boxes.labels, box_iou(boxes.boxes, scene.boxes))
            rows = list(zip(colours, *map(Tensor.tolist, boxes), strict=True))
            for index, (_, _, _, corners) in enumerate(rows):
                if index not in best:
                    annotations.draw_box(axes, corners, MUTED, linewidth=0.9)
            named = [rows[index] for index in sorted(best, reverse=True)]
            heights = annotations.label_heights([corners for *_, corners in named], scene.image)
            for (colour, label, score, corners), label_y in zip(named, heights, strict=True):
                text = f"{CLASSES[label]} {score:.0%}"
                annotations.draw_box(axes, corners, colour, text, label_y=label_y)
    return figure


def _best_of_each_object(scene: Scene, detections: Detections) -> set[int]:
    """The index of the most confident box with an IoU from 0.5, for each object that has one."""
    best = set()
    for true_box in scene.boxes:
        overlaps = iou(detections.boxes, true_box.expand(len(detections.boxes), 4))
        matching = (overlaps >= 0.5).nonzero().flatten().tolist()
        best |= set(matching[:1])  # boxes are sorted by score
    return best


def photo_predictions(
    photo: Float[Tensor, "3 height width"], predictions: PhotoPredictions
) -> Figure:
    """A photo and the predictions of levels 3, 4 and 5, with the class names of their datasets.

    The classes of the course have their own colours. Other classes have one by their label, and
    masks of level 5 one by their order.
    """
    landscape = photo.shape[2] > photo.shape[1]
    detections, semantic, instances = (
        predictions.detections,
        predictions.semantic,
        predictions.instances,
    )
    classes = [value for value in semantic.unique().tolist() if value]  # 0 is the background
    own_classes = predictions.class_names == CLASSES
    mask_colours = (
        class_shades(instances.labels)
        if own_classes
        else list(map(cycled_colour, range(len(instances.labels))))
    )
    with course_style():
        figure, grid = plt.subplots(
            2, 2, figsize=(10, 7.5 if landscape else 11), layout="constrained"
        )
        panels = grid.ravel()
        for axes, fade in zip(panels, (0.0, 0.0, 0.7, 0.7), strict=True):
            annotations.draw_image(axes, photo, fade)
        panels[0].set_title("The photo")
        panels[1].set_title(f"3 · boxes: {len(detections.labels)}")
        panels[2].set_title(f"4 · pixel classes: {len(classes)}")
        panels[3].set_title(f"5 · objects: {len(instances.labels)}")
        _draw_detections(panels[1], detections, predictions.class_names)
        for value in classes:
            mask = semantic == value
            visible = mask.float().mean() >= _MIN_AREA
            name = predictions.semantic_names[value] if visible else ""
            colour = SEMANTIC_COLOURS[value] if own_classes else cycled_colour(value)
            annotations.draw_mask(panels[2], mask, colour, name)
        for colour, label, score, mask in zip(
            mask_colours,
            instances.labels.tolist(),
            instances.scores.tolist(),
            instances.masks,
            strict=True,
        ):
            text = f"{predictions.class_names[label]} {score:.0%}"
            annotations.draw_mask(panels[3], mask, colour, text)
    return figure


def _draw_detections(axes: Axes, detections: Detections, names: Sequence[str]) -> None:
    for label, score, corners in zip(*map(Tensor.tolist, detections), strict=True):
        colour = class_colour(label) if names == CLASSES else cycled_colour(label)
        annotations.draw_box(axes, corners, colour, f"{names[label]} {score:.0%}")


def labelled_images(images: Mapping[str, Float[Tensor, "3 height width"]]) -> Figure:
    """Images in [0, 1], each below its title: up to three in a row, more in two rows."""
    rows = 1 if len(images) <= 3 else 2
    columns = -(-len(images) // rows)
    with course_style():
        figure, panels = plt.subplots(
            rows, columns, figsize=(3.4 * columns, 3.8 * rows), squeeze=False, layout="constrained"
        )
        for axes in panels.flat:
            axes.axis("off")
        for axes, (title, image) in zip(panels.flat, images.items(), strict=False):
            annotations.draw_image(axes, image)
            axes.set_title(title)
    return figure
