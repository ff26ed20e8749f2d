"""How good an answer is, for each of the five levels: a thin face over torchmetrics, which is not
written again here.

torchmetrics and the COCO backend come with the extras ``lab`` and ``metrics``.
"""

import warnings
from collections.abc import Sequence
from typing import Protocol

from jaxtyping import Bool, Float, Int64
from torch import Tensor


class Found(Protocol):
    """What a model found in a picture: labels, scores, and boxes or masks."""

    labels: Int64[Tensor, " found"]
    scores: Float[Tensor, " found"]


def average_precision(
    found: Sequence[Found],
    labels: Sequence[Int64[Tensor, " objects"]],
    shapes: Sequence[Float[Tensor, "objects 4"]] | Sequence[Bool[Tensor, "objects height width"]],
    *,
    by_class: bool = True,
) -> dict[str, float]:
    """COCO's average precision: ``map`` (mean over IoU 0.50 to 0.95), ``map50`` and ``map75``, each
    in [0, 1].

    Args:
        found: one for each picture; with ``boxes`` (pixels) or ``masks``, as ``shapes`` are.
        labels: the true class of every object of each picture.
        shapes: their true boxes or masks.
        by_class: average over classes. Without, all objects count as one class: was it found,
            whatever it was called?

    Raises:
        ModuleNotFoundError: without torchmetrics; the message says how to install it.
        ValueError: if the three do not speak of the same number of pictures, or there is no object
            in any of them.
    """
    if not len(found) == len(labels) == len(shapes):
        raise ValueError(
            f"{len(found)} predictions, {len(labels)} label lists, {len(shapes)} shape lists: must agree."
        )
    if not any(len(label) for label in labels):
        raise ValueError(
            "There is no object in any of these pictures, and average precision has no meaning there: "
            "give pictures of which at least one holds an object."
        )
    detection = _torchmetrics("torchmetrics.detection")
    kind = "masks" if len(shapes) and shapes[0].ndim == 3 else "boxes"
    metric = detection.MeanAveragePrecision(
        iou_type="segm" if kind == "masks" else "bbox", backend="pycocotools"
    )
    metric.warn_on_many_detections = False
    keep = 1 if by_class else 0
    metric.update(
        [
            {
                kind: getattr(one, kind).cpu(),
                "scores": one.scores.cpu(),
                "labels": one.labels.cpu() * keep,
            }
            for one in found
        ],
        [
            {kind: shape, "labels": label * keep}
            for shape, label in zip(shapes, labels, strict=True)
        ],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the backends warn about their own imports
        result = metric.compute()
    names = {"map": "map", "map50": "map_50", "map75": "map_75"}
    # -1 if no mask at all was found
    return {name: max(float(result[full]), 0.0) for name, full in names.items()}


def foreground_iou(
    kinds: Int64[Tensor, "batch height width"],
    truth: Int64[Tensor, "batch height width"],
    classes: int,
) -> float:
    """Mean of intersection over union over the classes that the truth holds, all pixels of all
    pictures together.

    Kind 0, the background, is left out.

    Raises:
        ModuleNotFoundError: without torchmetrics; the message says how to install it.
        ValueError: if the truth is nothing but background.
    """
    present = truth.unique()
    present = present[present > 0]
    if not len(present):
        raise ValueError(
            "There is no object in any of these pictures, and IoU of the foreground has no meaning there: "
            "give pictures of which at least one holds an object."
        )
    jaccard = _torchmetrics("torchmetrics.functional.classification").multiclass_jaccard_index
    each = jaccard(kinds, truth, num_classes=classes + 1, average="none")
    return float(each[present].mean())


def _torchmetrics(module: str):
    import importlib

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its own imports
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "This needs torchmetrics and pycocotools. In the clone: uv sync --extra lab. "
            "Elsewhere: pip install torchmetrics pycocotools"
        ) from error
