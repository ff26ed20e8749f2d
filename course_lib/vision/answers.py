"""One picture, five answers: asks all five models of lesson 3, and judges what they say of one
scene.
"""

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

LEAST_SCORE = 0.3  # what is less sure is not drawn; average precision looks at everything
LEAST_IOU = 0.5  # an object counts as found if an answer overlaps it by this much


class Located(NamedTuple):
    """Level 2's answer: one class with its probability, and one box in pixels."""

    label: int
    probability: float
    box: Float[Tensor, "4"]


@dataclass(frozen=True)
class Answers:
    """What five models say of one picture; everything is on the CPU.

    ``label`` and ``probability`` are level 1's. ``kinds`` is the likeliest kind of each pixel (0
    the background, 1 + label an object), ``foreground`` the probability in [0, 1] that it is no
    background: level 4's.
    """

    label: int
    probability: float
    located: Located
    detections: Detections
    kinds: Int64[Tensor, "height width"]
    foreground: Float[Tensor, "height width"]
    instances: Instances


def load_models() -> dict[str, nn.Module]:
    """The five shipped models by the names of ``levels.LEVELS``, on the CPU, ready to predict."""
    return {name: load(name) for name in LEVELS}


def ask(
    models: Mapping[str, nn.Module],
    image: Float[Tensor, "3 height width"],
    least_score: float = LEAST_SCORE,
) -> Answers:
    """What each of the five models says of a picture.

    Args:
        models: all five, as :func:`load_models` returns them; each may be on any device.
        image: in [0, 1].
        least_score: levels 3 and 5 keep silent about what they are less sure of.

    Raises:
        ValueError: if a model is missing.
    """
    if missing := [name for name in LEVELS if name not in models]:
        raise ValueError(f"The models lack {', '.join(missing)}: load_models() returns all five.")
    classes = _predict(models, "classifier", image)[0]
    located, box = (part[0] for part in _predict(models, "localizer", image))
    found, masks = _predict(models, "detector", image)[0], _predict(models, "instances", image)[0]
    kinds = _predict(models, "segmenter", image)[0]
    return Answers(
        label=int(classes.argmax()),
        probability=float(classes.max()),
        located=Located(int(located.argmax()), float(located.max()), box.cpu()),
        detections=Detections(*(part[found.scores >= least_score].cpu() for part in found)),
        kinds=kinds.argmax(0).cpu(),
        foreground=(1 - kinds[0])
        .clamp(0, 1)
        .cpu(),  # a sum of rounded probabilities may be a hair above 1
        instances=Instances(*(part[masks.scores >= least_score].cpu() for part in masks)),
    )


def _predict(models: Mapping[str, nn.Module], name: str, image: Tensor) -> Any:
    model = models[name]
    was_training = model.training
    if was_training:
        model.eval()
    answer = LEVELS[name].module.predict(model, image[None].to(next(model.parameters()).device))
    if was_training:
        model.train()
    return answer


def judge(scene: Scene, answers: Answers) -> dict[str, str | float]:
    """How good the five answers are, each by its level's own measure, for this scene alone.

    ``classifier``: whether its class is there, in words. ``localizer``: the IoU of its box with the
    true box that it overlaps most. ``detector`` and ``instances``: the mean IoU of what was found
    with the truth; ``... found``: how many of the objects were, in words. ``segmenter``: the mean
    over the classes that are there of their IoU.

    An object is found if an answer of its class overlaps it by 0.5 or more. Objects of unknown
    classes can't be named, so there any name will do.

    Raises:
        ValueError: if the scene is empty.
    """
    count = len(scene.labels)
    if not count:
        raise ValueError(
            "The scene has no objects, so nothing can be right: give one with at least one object."
        )
    located = box_iou(answers.located.box[None], scene.boxes)
    detections, instances = answers.detections, answers.instances
    over_boxes = box_iou(detections.boxes, scene.boxes)
    over_masks = mask_iou(instances.masks, scene.masks)
    found_boxes = match(scene.labels, detections.labels, over_boxes)
    found_masks = match(scene.labels, instances.labels, over_masks)
    return {
        "classifier": _in_words(answers.label, scene.labels.tolist()),
        "localizer": float(located.max()),
        "detector": _mean(found_boxes),
        "detector found": f"{len(found_boxes)} of {count}",
        "segmenter": _foreground_iou(answers.kinds, scene),
        "instances": _mean(found_masks),
        "instances found": f"{len(found_masks)} of {count}",
    }


def match(
    labels: Int64[Tensor, " objects"],
    found: Int64[Tensor, " found"],
    overlaps: Float[Tensor, "found objects"],
) -> dict[int, tuple[int, float]]:
    """Which answer belongs to which object: object number to (answer number, their IoU).

    The surest answer chooses first. Of the objects of its class that are still free it takes the
    one that it overlaps most, if that is 0.5 or more. This is COCO's rule (Lin et al. 2014,
    arXiv:1405.0312), as ``COCOeval.evaluateImg`` of
    pycocotools matches: https://github.com/cocodataset/cocoapi
    """
    taken: dict[int, tuple[int, float]] = {}
    for number, (label, row) in enumerate(zip(found.tolist(), overlaps.tolist(), strict=True)):
        fits = [
            (overlap, index)
            for index, (overlap, wanted) in enumerate(zip(row, labels.tolist(), strict=True))
            if overlap >= LEAST_IOU and index not in taken and wanted in (label, UNKNOWN)
        ]
        if fits:
            overlap, index = max(fits)
            taken[index] = (number, overlap)
    return taken


def mask_iou(
    first: Bool[Tensor, "first height width"], second: Bool[Tensor, "second height width"]
) -> Float[Tensor, "first second"]:
    """Intersection over union of each mask with each other one."""
    one, two = first.flatten(1).float(), second.flatten(1).float()
    shared = one @ two.T
    return shared / (one.sum(1)[:, None] + two.sum(1) - shared).clamp(min=1)


def _foreground_iou(kinds: Tensor, scene: Scene) -> float:
    truth = scene.semantic
    if (
        UNKNOWN in scene.labels
    ):  # unknown objects have no kind of their own: was anything seen there at all?
        kinds, truth = (kinds > 0).long(), (truth > 0).long()
    each = [
        ((kinds == kind) & (truth == kind)).sum() / ((kinds == kind) | (truth == kind)).sum()
        for kind in truth.unique().tolist()
        if kind > 0
    ]
    return float(torch.stack(each).mean())


def _mean(found: dict[int, tuple[int, float]]) -> float:
    return sum(overlap for _, overlap in found.values()) / max(len(found), 1)


def _in_words(label: int, truth: list[int]) -> str:
    if label in truth:
        return "right" if len(truth) == 1 else f"right about 1 of {len(truth)}"
    return "wrong" if min(truth) < UNKNOWN else "has no word for it"
