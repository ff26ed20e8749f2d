"""The predictions of lesson 3's five models for one image, and their quality for one scene."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torchvision.ops import box_iou

from course_lib.data.compose import UNKNOWN, Scene
from course_lib.vision.detector import Detections
from course_lib.vision.instances import Instances
from course_lib.vision.tasks import LEVELS, load

SCORE_THRESHOLD = 0.3  # predictions with a lower score are not shown
IOU_THRESHOLD = 0.5  # the minimum IoU of a prediction and a matched object


class Localization(NamedTuple):
    """Level 2's prediction: a class, its probability, and one box in pixels."""

    label: int
    probability: float
    box: Float[Tensor, "4"]


@dataclass(frozen=True)
class Predictions:
    """The predictions of all five models for one image, on the CPU.

    ``label`` and ``probability`` are level 1's. Level 4's are ``semantic``, the most probable value
    of each pixel (0 background, 1 + label an object), and ``foreground``, the probability in [0, 1]
    that a pixel is not background.
    """

    label: int
    probability: float
    localization: Localization
    detections: Detections
    semantic: Int64[Tensor, "height width"]
    foreground: Float[Tensor, "height width"]
    instances: Instances


def load_models() -> dict[str, nn.Module]:
    """The five shipped models by the names of ``tasks.LEVELS``, on the CPU, in eval mode."""
    return {name: load(name) for name in LEVELS}


def predict_all(
    models: Mapping[str, nn.Module],
    image: Float[Tensor, "3 height width"],
    score_threshold: float = SCORE_THRESHOLD,
) -> Predictions:
    """The predictions of all five models for one image.

    Args:
        models: all five, as :func:`load_models` returns them; each may be on any device.
        image: in [0, 1].
        score_threshold: levels 3 and 5 leave out predictions with a lower score.

    Raises:
        ValueError: if a model is missing.
    """
    if missing := [name for name in LEVELS if name not in models]:
        raise ValueError(f"The models lack {', '.join(missing)}: use load_models() for all five.")
    class_probabilities = _predict(models, "classifier", image)[0]
    localizer_probabilities, box = (part[0] for part in _predict(models, "localizer", image))
    detections = _predict(models, "detector", image)[0]
    instances = _predict(models, "instances", image)[0]
    pixel_probabilities = _predict(models, "segmenter", image)[0]
    # clamped, because rounded probabilities can sum to slightly more than 1
    foreground = (1 - pixel_probabilities[0]).clamp(0, 1)
    return Predictions(
        label=int(class_probabilities.argmax()),
        probability=float(class_probabilities.max()),
        localization=Localization(
            int(localizer_probabilities.argmax()), float(localizer_probabilities.max()), box.cpu()
        ),
        detections=Detections(
            *(part[detections.scores >= score_threshold].cpu() for part in detections)
        ),
        semantic=pixel_probabilities.argmax(0).cpu(),
        foreground=foreground.cpu(),
        instances=Instances(
            *(part[instances.scores >= score_threshold].cpu() for part in instances)
        ),
    )


def _predict(models: Mapping[str, nn.Module], name: str, image: Tensor) -> Any:
    """A model's prediction in eval mode; its training mode is restored afterwards."""
    model = models[name]
    was_training = model.training
    if was_training:
        model.eval()
    batch = image[None].to(next(model.parameters()).device)
    prediction = LEVELS[name].module.predict(model, batch)
    if was_training:
        model.train()
    return prediction


def evaluate(scene: Scene, predictions: Predictions) -> dict[str, str | float]:
    """The quality of all five predictions for one scene, each by its task's metric.

    ``classifier``: whether the class is present, as text. ``localizer``: IoU of the box with the
    true box it overlaps most. ``detector`` and ``instances``: mean IoU of the matched objects;
    ``... found``: the number of matched objects, as text. ``segmenter``: mean IoU over the
    classes present.

    A prediction matches an object of the same class if their IoU is at least 0.5; see
    :func:`match`. Objects of unknown classes match any class.

    Raises:
        ValueError: if the scene is empty.
    """
    count = len(scene.labels)
    if not count:
        raise ValueError(
            "The scene has no objects, so there is nothing to evaluate: "
            "give one with at least one object."
        )
    detections, instances = predictions.detections, predictions.instances
    box_matches = match(scene.labels, detections.labels, box_iou(detections.boxes, scene.boxes))
    mask_matches = match(scene.labels, instances.labels, mask_iou(instances.masks, scene.masks))
    return {
        "classifier": _classification_in_words(predictions.label, scene.labels.tolist()),
        "localizer": float(box_iou(predictions.localization.box[None], scene.boxes).max()),
        "detector": _mean_iou(box_matches),
        "detector found": f"{len(box_matches)} of {count}",
        "segmenter": _foreground_iou(predictions.semantic, scene),
        "instances": _mean_iou(mask_matches),
        "instances found": f"{len(mask_matches)} of {count}",
    }


def match(
    labels: Int64[Tensor, " objects"],
    predicted_labels: Int64[Tensor, " predicted"],
    overlaps: Float[Tensor, "predicted objects"],
) -> dict[int, tuple[int, float]]:
    """Greedy matching of predictions to objects: object index to (prediction index, IoU).

    Predictions are matched in order (by descending score), each to the unmatched object of its
    class with the highest IoU, if that is at least 0.5. This is COCO's rule (Lin et al. 2014,
    arXiv:1405.0312), as in pycocotools' ``COCOeval.evaluateImg``:
    https://github.com/cocodataset/cocoapi
    """
    matches: dict[int, tuple[int, float]] = {}
    for prediction, (predicted_label, row) in enumerate(
        zip(predicted_labels.tolist(), overlaps.tolist(), strict=True)
    ):
        candidates = [
            (overlap, index)
            for index, (overlap, label) in enumerate(zip(row, labels.tolist(), strict=True))
            if overlap >= IOU_THRESHOLD
            and index not in matches
            and label in (predicted_label, UNKNOWN)
        ]
        if candidates:
            overlap, index = max(candidates)
            matches[index] = (prediction, overlap)
    return matches


def mask_iou(
    first: Bool[Tensor, "first height width"], second: Bool[Tensor, "second height width"]
) -> Float[Tensor, "first second"]:
    """Pairwise intersection over union of two sets of masks."""
    first_pixels, second_pixels = first.flatten(1).float(), second.flatten(1).float()
    intersection = first_pixels @ second_pixels.T
    union = first_pixels.sum(1)[:, None] + second_pixels.sum(1) - intersection
    return intersection / union.clamp(min=1)


def _foreground_iou(semantic: Tensor, scene: Scene) -> float:
    target = scene.semantic
    if UNKNOWN in scene.labels:  # no predicted class can be right: compare only the foreground
        semantic, target = (semantic > 0).long(), (target > 0).long()
    ious = []
    for value in target.unique().tolist():
        if value > 0:
            predicted, true = semantic == value, target == value
            ious.append((predicted & true).sum() / (predicted | true).sum())
    return float(torch.stack(ious).mean())


def _mean_iou(matches: dict[int, tuple[int, float]]) -> float:
    return sum(overlap for _, overlap in matches.values()) / max(len(matches), 1)


def _classification_in_words(label: int, true_labels: list[int]) -> str:
    if label in true_labels:
        if len(true_labels) == 1:
            return "right"
        return f"right for {true_labels.count(label)} of {len(true_labels)} objects"
    return "wrong" if min(true_labels) < UNKNOWN else "not one of its classes"
