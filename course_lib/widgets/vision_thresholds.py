"""Lesson 3's sliders: the IoU threshold of non-maximum suppression, and the score threshold."""

from collections.abc import Callable, Sequence

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.ops import box_iou

from course_lib.data.compose import Scene
from course_lib.figures import figure_png
from course_lib.figures.style import BLUE, INK, MUTED, course_style
from course_lib.figures.vision import annotations
from course_lib.figures.vision.annotations import class_name, matched_colours
from course_lib.vision.detector import Detections
from course_lib.widgets import add_tooltip, picture_widget, show_widget

Suppress = Callable[[Tensor, Tensor, float], Sequence[int]]


class SuppressionExplorer(widgets.VBox):
    """A slider for the IoU above which a box is suppressed, and the boxes that remain.

    Args:
        scene: the detector's input image, and the ground-truth boxes.
        detections: the detections before non-maximum suppression.
        suppress: ``suppress(boxes, scores, iou_threshold)`` returns the indices of the kept boxes,
            as the exercise specifies; it is called once per class.
    """

    def __init__(self, scene: Scene, detections: Detections, suppress: Suppress) -> None:
        self._scene, self._detections, self._suppress = scene, detections, suppress
        self.threshold = add_tooltip(
            widgets.FloatSlider(
                0.6, min=0.05, max=1.0, step=0.05, description="IoU", continuous_update=False
            ),
            "the IoU above which the less confident of two boxes is removed",
        )
        self.picture = picture_widget("png")
        self.message = widgets.HTML()
        self.threshold.observe(self._update, "value")
        self._update()
        super().__init__([self.threshold, self.picture, self.message])

    def kept(self) -> list[int]:
        """The indices of the boxes that remain, over all classes."""
        labels, scores, boxes = self._detections
        kept: list[int] = []
        for label in labels.unique().tolist():
            members = (labels == label).nonzero().flatten()
            remaining = self._suppress(boxes[members], scores[members], self.threshold.value)
            kept += members[list(map(int, remaining))].tolist()
        return kept

    def _update(self, change: object = None) -> None:
        kept = self.kept()
        with course_style():
            figure, axes = plt.subplots(figsize=(5.2, 5.2), layout="constrained")
            annotations.draw_image(axes, self._scene.image, fade=0.4)
            for corners in self._scene.boxes.tolist():
                annotations.draw_true_box(axes, corners)
            boxes = self._detections.boxes[kept]
            overlaps = box_iou(boxes, self._scene.boxes)
            colours = matched_colours(self._scene, self._detections.labels[kept], overlaps)
            # In reverse order, so that the most confident box is drawn on top.
            for index, colour in reversed(list(zip(kept, colours, strict=True))):
                name = class_name(int(self._detections.labels[index]))
                annotations.draw_box(axes, self._detections.boxes[index].tolist(), colour, name)
            axes.set_title(
                f"IoU threshold {self.threshold.value:.2f}: {len(kept)} of "
                f"{len(self._detections.labels)} boxes"
            )
        self.picture.value = figure_png(figure, dpi=90)
        plt.close(figure)
        count, objects = len(self._detections.labels), len(self._scene.labels)
        self.message.value = f"{len(kept)} of {count} boxes remain, for {objects} objects."


def suppression_explorer(scene: Scene, detections: Detections, suppress: Suppress) -> None:
    """Show :class:`SuppressionExplorer`, which documents the arguments."""
    widget = SuppressionExplorer(scene, detections, suppress)
    show_widget(
        widget,
        widget.picture.value,
        alt="The scene with the boxes that remain after suppression at an IoU threshold of 0.6, "
        "and the ground-truth boxes, dashed.",
        caption="What your function keeps. Move the slider: which boxes remain at 0.05, and which "
        "at 1?",
    )


class ThresholdExplorer(widgets.VBox):
    """A slider for a score threshold, and the point that it selects on the precision-recall curve.

    Args:
        scores: the scores of the boxes of several scenes.
        is_true_positive: whether each box is a true positive.
        object_count: the number of objects in these scenes.
    """

    def __init__(
        self,
        scores: Float[Tensor, " boxes"],
        is_true_positive: Bool[Tensor, " boxes"],
        object_count: int,
    ) -> None:
        order = scores.argsort(descending=True)
        self._scores = scores[order].numpy()
        self._true_positives = np.cumsum(is_true_positive[order].numpy())
        self._object_count = object_count
        self.threshold = add_tooltip(
            widgets.FloatSlider(
                0.3, min=0.05, max=0.95, step=0.05, description="score", continuous_update=False
            ),
            "boxes with a lower score are discarded",
        )
        self.picture = picture_widget("png")
        self.message = widgets.HTML()
        self.threshold.observe(self._update, "value")
        self._update()
        super().__init__([self.threshold, self.picture, self.message])

    def counts(self) -> tuple[int, int]:
        """The number of boxes that remain at the threshold, and of true positives among them."""
        kept = int((self._scores >= self.threshold.value).sum())
        return kept, int(self._true_positives[kept - 1]) if kept else 0

    def _update(self, change: object = None) -> None:
        kept, correct = self.counts()
        precision, recall = correct / max(kept, 1), correct / self._object_count
        ranks = np.arange(1, len(self._scores) + 1)
        with course_style():
            figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
            recalls, precisions = (
                self._true_positives / self._object_count,
                self._true_positives / ranks,
            )
            axes.plot(recalls, precisions, color=MUTED, linewidth=1.2, label="after each box")
            envelope = np.maximum.accumulate(precisions[::-1])[::-1]
            label = "highest from here on"
            axes.plot(recalls, envelope, color=BLUE, drawstyle="steps-pre", label=label)
            axes.plot(recall, precision, "o", color=INK, markersize=11)
            text = (
                f"score ≥ {self.threshold.value:.2f}\nprecision {precision:.2f}\n"
                f"recall {recall:.2f}"
            )
            # Towards the middle, so that the text is never outside of the axes.
            left, below = recall > 0.4, precision > 0.4
            axes.annotate(
                text,
                (recall, precision),
                (-12 if left else 12, -10 if below else 10),
                textcoords="offset points",
                ha="right" if left else "left",
                va="top" if below else "bottom",
            )
            axes.plot((recall, recall), (0, precision), ":", color=MUTED)
            axes.set(xlim=(0, 1.04), ylim=(0, 1.06), xlabel="recall", ylabel="precision")
            axes.set_title(
                f"{kept} boxes: {correct} true, {kept - correct} false positives; "
                f"{self._object_count - correct} objects missed",
                fontsize=10.5,
            )
            axes.grid(True)
            axes.legend(loc="upper right", frameon=True)
        self.picture.value = figure_png(figure, dpi=90)
        plt.close(figure)
        self.message.value = (
            f"{kept} boxes: {correct} true and {kept - correct} false positives, "
            f"{self._object_count - correct} objects missed. Precision {precision:.2f}, recall "
            f"{recall:.2f}."
        )


def threshold_explorer(
    scores: Float[Tensor, " boxes"], is_true_positive: Bool[Tensor, " boxes"], object_count: int
) -> None:
    """Show :class:`ThresholdExplorer`, which documents the arguments."""
    widget = ThresholdExplorer(scores, is_true_positive, object_count)
    show_widget(
        widget,
        widget.picture.value,
        alt=f"A precision-recall curve with a point on it. {widget.message.value}",
        caption="Each threshold gives one point on the curve; here all classes are pooled.",
    )
