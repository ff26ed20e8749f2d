"""Metrics of detection and segmentation, computed by torchmetrics.

torchmetrics and the COCO backend come with the extras ``lab`` and ``metrics``.
"""

import importlib
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_NO_OBJECTS = (
    "None of these images contains an object, so {metric} is undefined: "
    "give at least one image with an object."
)


@runtime_checkable
class ScoredPredictions(Protocol):
    """The objects predicted in one image; they also have ``boxes`` or ``masks``."""

    labels: Int64[Tensor, " predicted"]
    scores: Float[Tensor, " predicted"]


def average_precision(
    predictions: Sequence[ScoredPredictions],
    labels: Sequence[Int64[Tensor, " _"]],
    shapes: Sequence[Float[Tensor, "_ 4"]] | Sequence[Bool[Tensor, "_ height width"]],
    *,
    by_class: bool = True,
) -> dict[str, float]:
    """COCO's average precision: ``map`` (mean over IoU 0.50 to 0.95), ``map50`` and ``map75``, each
    in [0, 1].

    Args:
        predictions: one per image; with ``boxes`` (pixels) or ``masks``, like ``shapes``.
        labels: the true class of every object of each image.
        shapes: the ground-truth boxes or masks of each image.
        by_class: average over classes. If False, all objects count as one class, so that wrong
            labels don't matter.

    Raises:
        ModuleNotFoundError: without torchmetrics; the message says what to install.
        ValueError: if the three differ in length, or no image has an object.
    """
    if not len(predictions) == len(labels) == len(shapes):
        raise ValueError(
            f"{len(predictions)} predictions, {len(labels)} label lists, "
            f"{len(shapes)} shape lists: give one of each per image."
        )
    if not any(len(label) for label in labels):
        raise ValueError(_NO_OBJECTS.format(metric="average precision"))
    detection = _import_torchmetrics("torchmetrics.detection")
    kind, iou_type = ("masks", "segm") if shapes[0].ndim == 3 else ("boxes", "bbox")
    metric = detection.MeanAveragePrecision(iou_type=iou_type, backend="pycocotools")
    metric.warn_on_many_detections = False
    label_factor = 1 if by_class else 0
    metric.update(
        [
            {
                kind: getattr(prediction, kind).cpu(),
                "scores": prediction.scores.cpu(),
                "labels": prediction.labels.cpu() * label_factor,
            }
            for prediction in predictions
        ],
        [
            {kind: shape, "labels": label * label_factor}
            for shape, label in zip(shapes, labels, strict=True)
        ],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the backends warn about their own imports
        result = metric.compute()
    names = {"map": "map", "map50": "map_50", "map75": "map_75"}
    # torchmetrics returns -1 if no masks were predicted at all
    return {name: max(float(result[key]), 0.0) for name, key in names.items()}


def foreground_iou(
    predicted: Int64[Tensor, "batch height width"],
    targets: Int64[Tensor, "batch height width"],
    classes: int,
) -> float:
    """Mean intersection over union (IoU) of the classes that occur in the targets, over the pixels
    of all images together.

    Class 0, the background, is left out.

    Raises:
        ModuleNotFoundError: without torchmetrics; the message says what to install.
        ValueError: if the targets are all background.
    """
    present = targets.unique()
    present = present[present > 0]
    if not len(present):
        raise ValueError(_NO_OBJECTS.format(metric="IoU of the foreground"))
    module = _import_torchmetrics("torchmetrics.functional.classification")
    class_iou = module.multiclass_jaccard_index(
        predicted, targets, num_classes=classes + 1, average="none"
    )
    return float(class_iou[present].mean())


def _import_torchmetrics(module: str) -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its own imports
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "This needs torchmetrics and pycocotools. In the clone: uv sync --extra lab. "
            "Elsewhere: pip install torchmetrics pycocotools"
        ) from error


def exact_average_precision(
    scores: Float[Tensor, " boxes"], correct: Bool[Tensor, " boxes"], objects: int
) -> float:
    """The exact area under the precision-recall curve, in [0, 1].

    The precision at a recall is the highest one at that recall or a larger one: Everingham et al.
    (2010), https://doi.org/10.1007/s11263-009-0275-4, section 4.2.

    Args:
        scores: the confidence of each box.
        correct: whether each box is a true positive.
        objects: the number of ground-truth objects, at least 1.
    """
    is_correct = correct[scores.argsort(descending=True)].double()
    precision = is_correct.cumsum(0) / torch.arange(1, len(is_correct) + 1)
    envelope = precision.flip(0).cummax(0).values.flip(0) if len(precision) else precision
    return float((envelope * is_correct).sum() / objects)


def counting_threshold(
    scores: Sequence[Float[Tensor, " _"]], objects: Sequence[int], thresholds: Sequence[float]
) -> float:
    """The threshold at which the number of boxes is the number of objects in the most images.

    Args:
        scores: of the boxes of each image. A box counts if its score is at least the threshold.
        objects: their number in each image.
        thresholds: the candidates, rising, at least one. Of equally good ones, the first is chosen.
    """

    def images_right(threshold: float) -> int:
        counts = [int((image_scores >= threshold).sum()) for image_scores in scores]
        return sum(count == number for count, number in zip(counts, objects, strict=True))

    return max(thresholds, key=images_right)
