"""The five levels of lesson 3 as tasks: their models, training data, and metrics.

Lesson 5's U-Nets, for level 4's task (semantic segmentation), are here too. ``course train``
and ``course evaluate`` use this module through ``course_lib.training.recipes``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import nms

from course_lib.assets import checkpoints
from course_lib.data import photos, scenes, sprites
from course_lib.data.compose import UNKNOWN, Scene
from course_lib.data.scenes import Scenes
from course_lib.metrics import detection
from course_lib.training import packing
from course_lib.training.loop import History, fit_new
from course_lib.unet import UNet
from course_lib.vision import classifier, detector, instances, localizer, segmenter
from course_lib.vision.boxes import iou

EXAMPLES_PER_EPOCH = 2000
# Small: for a fixed number of scenes, the detector learned more with many small batches.
BATCH_SIZE = 8
_MAX_CACHED_SCENES = 200  # up to this many test scenes are cached for the next model
LEARNING_RATE = 2e-3
TEST_SPLITS = dict.fromkeys(scenes.SPLITS, len(scenes.TEST_SEEDS))

# (predictions, target scenes, whether all objects are of known classes) to metrics by name
Metric = Callable[[Sequence, Sequence[Scene], bool], dict[str, float]]


@dataclass(frozen=True)
class VisionTask:
    """One model's task: its question, data, training length and metrics."""

    level: int
    name: str  # of the model and its checkpoint
    question: str
    module: ModuleType  # with ``loss`` and ``predict``
    make_model: Callable[[], nn.Module]
    objects: tuple[int, int]  # minimum and maximum number in a scene
    epochs: int  # of EXAMPLES_PER_EPOCH scenes, in the first cycle of the shipped checkpoint
    metric: Metric


def _classification_metrics(
    predictions: Sequence[Tensor], targets: Sequence[Scene], known: bool
) -> dict[str, float]:
    """``top1`` accuracy; for unknown classes, accuracy of the sprite group (``group_top1``)."""
    labels = [int(prediction.argmax()) for prediction in predictions]
    if known:
        correct = [
            label == int(scene.labels[0]) for label, scene in zip(labels, targets, strict=True)
        ]
        return {"top1": sum(correct) / len(correct)}
    true_groups = [sprites.group(scene.placements[0].name) for scene in targets]
    correct = [
        sprites.group(sprites.CLASSES[label]) == group
        for label, group in zip(labels, true_groups, strict=True)
    ]
    return {"group_top1": sum(correct) / len(correct)}


def _localization_metrics(
    predictions: Sequence[tuple[Tensor, Tensor]], targets: Sequence[Scene], known: bool
) -> dict[str, float]:
    """``box_iou``, and for known classes ``top1``."""
    predicted_boxes = torch.stack([box for _, box in predictions]).cpu()
    true_boxes = torch.stack([scene.boxes[0] for scene in targets])
    metrics = {"box_iou": float(iou(predicted_boxes, true_boxes).mean())}
    if known:
        classes = [probabilities for probabilities, _ in predictions]
        metrics = _classification_metrics(classes, targets, known) | metrics
    return metrics


def _detection_metrics(
    shape: str, predictions: Sequence, targets: Sequence[Scene], known: bool
) -> dict[str, float]:
    """Average precision of ``shape`` ("boxes" or "masks"), with and without regard to the class."""
    labels = [scene.labels for scene in targets]
    shapes = [getattr(scene, shape) for scene in targets]
    merged: Sequence = predictions
    if shape == "boxes":
        merged = [_suppress_any_class(detections) for detections in predictions]
    any_class = detection.average_precision(merged, labels, shapes, by_class=False)
    metrics = {f"{name}_any_class": value for name, value in any_class.items()}
    if known:
        metrics = detection.average_precision(predictions, labels, shapes) | metrics
    return metrics


def _suppress_any_class(predicted: detector.Detections) -> detector.Detections:
    """Class-agnostic non-maximum suppression: removes boxes of other classes on the same object."""
    keep = nms(predicted.boxes, predicted.scores, detector.IOU_THRESHOLD)
    return detector.Detections(*(part[keep] for part in predicted))


def _segmentation_metrics(
    predictions: Sequence[Tensor], targets: Sequence[Scene], known: bool
) -> dict[str, float]:
    """``iou_any_class`` of foreground against background, and for known classes ``miou``."""
    predicted = torch.stack([prediction.argmax(0).cpu() for prediction in predictions])
    true = torch.stack([scene.semantic for scene in targets])
    foreground_iou = detection.foreground_iou((predicted > 0).long(), (true > 0).long(), 1)
    metrics = {"iou_any_class": foreground_iou}
    if known:
        miou = detection.foreground_iou(predicted, true, len(sprites.CLASSES))
        metrics = {"miou": miou} | metrics
    return metrics


LEVELS = {
    task.name: task
    for task in (
        VisionTask(
            level=1,
            name="classifier",
            question="What is it?",
            module=classifier,
            make_model=classifier.Classifier,
            objects=(1, 1),
            epochs=8,
            metric=_classification_metrics,
        ),
        VisionTask(
            level=2,
            name="localizer",
            question="What is it, and where?",
            module=localizer,
            make_model=localizer.Localizer,
            objects=(1, 1),
            epochs=12,
            metric=_localization_metrics,
        ),
        VisionTask(
            level=3,
            name="detector",
            question="What is there, and where?",
            module=detector,
            make_model=detector.Detector,
            objects=(1, 5),
            epochs=20,
            metric=partial(_detection_metrics, "boxes"),
        ),
        VisionTask(
            level=4,
            name="segmenter",
            question="What does each pixel show?",
            module=segmenter,
            make_model=segmenter.Segmenter,
            objects=(1, 5),
            epochs=16,
            metric=_segmentation_metrics,
        ),
        VisionTask(
            level=5,
            name="instances",
            question="Which pixels go together?",
            module=instances,
            make_model=instances.InstanceSegmenter,
            objects=(1, 5),
            epochs=16,
            metric=partial(_detection_metrics, "masks"),
        ),
    )
}
# The same U-Net with all skip connections, with only the deepest, and with none.
UNETS = {
    name: VisionTask(
        level=4,
        name=name,
        question="What does each pixel show?",
        module=segmenter,
        make_model=partial(UNet, 3, len(sprites.CLASSES) + 1, width=16, skips=skips),
        objects=(1, 5),
        epochs=10,
        metric=_segmentation_metrics,
    )
    for name, skips in (("unet", 4), ("unet-deepest-skip", 1), ("unet-no-skips", 0))
}
MODELS = LEVELS | UNETS
# The minimum metrics of each shipped model on photos it was not trained on.
THRESHOLDS = {
    name: {"new-backgrounds": metrics}
    for name, metrics in {
        "classifier": {"top1": 0.99},
        "localizer": {"box_iou": 0.90},
        "detector": {"map50": 0.98, "map": 0.80},
        "segmenter": {"miou": 0.90},
        "instances": {"map50": 0.95},
        "unet": {"miou": 0.90},
    }.items()
}


def get_task(name: str) -> VisionTask:
    """The task of a model in ``MODELS``.

    Raises:
        ValueError: for an unknown model.
    """
    if name not in MODELS:
        raise ValueError(f"There is no model {name!r}: choose one of {', '.join(MODELS)}.")
    return MODELS[name]


def dataset_description(name: str, styles: Sequence[str] | None = None) -> dict[str, Any]:
    """A description of a model's training data, for its card.

    ``styles``: the drawing styles; by default all that are not held out.
    """
    return {
        "split": "seen",
        "side": scenes.SIZE,
        "objects in a scene": list(get_task(name).objects),
        "classes": len(sprites.CLASSES),
        "styles": sprites.styles("train") if styles is None else list(styles),
        "photos": len(photos.names("train")),
    }


def make_model(name: str) -> nn.Module:
    """A model with random weights.

    Raises:
        ValueError: for an unknown model.
    """
    return get_task(name).make_model()


def load(name: str) -> nn.Module:
    """A shipped model, on the CPU, in eval mode.

    Raises:
        FileNotFoundError: if its checkpoint is missing.
        ValueError: for an unknown model.
    """
    model = make_model(name)
    model.load_state_dict(packing.from_8_bits(checkpoints.load(name)))
    return model.eval()


def train(
    name: str,
    *,
    epochs: int | None = None,
    examples: int | None = None,
    workers: int = 0,
    styles: Sequence[str] | None = None,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH_SIZE,
    **options: Any,
) -> tuple[nn.Module, History]:
    """Train a model on scenes of the split ``"seen"``, with new scenes in every epoch.

    Args:
        name: of the model.
        epochs: number of epochs; by default as in the first cycle of the shipped checkpoint.
        examples: scenes per epoch, 2,000 by default.
        workers: number of processes that generate scenes in advance.
        styles: drawing styles to train on; by default all that are not held out.
        learning_rate: the peak of the one-cycle schedule.
        batch_size: scenes per step.
        options: passed to :func:`fit_new`: ``device``, ``seed``, ``initial_weights``,
            ``score``, ``checkpoint``.

    Raises:
        FloatingPointError: if the loss is not finite.
        ValueError: for an unknown model or style, or if the checkpoint belongs to a run with a
            different number of steps or a different seed.
    """
    task = get_task(name)
    data = scenes.loader(
        EXAMPLES_PER_EPOCH if examples is None else examples,
        batch_size=batch_size,
        workers=workers,
        objects=task.objects,
        styles=styles,
    )
    return fit_new(
        task.make_model,
        task.module.loss,
        data,
        task.epochs if epochs is None else epochs,
        learning_rate=learning_rate,
        label=name,
        **options,
    )


@lru_cache(maxsize=2)
def _test_scenes(
    count: int, size: int, objects: tuple[int, int], split: str, styles: tuple[str, ...] | None
) -> list[Scene]:
    """The first test scenes; cached, because several models are tested on them."""
    data = Scenes(scenes.TEST_SEEDS[:count], size=size, objects=objects, split=split, styles=styles)
    return [data[index] for index in range(count)]


def predict(name: str, model: nn.Module, targets: Sequence[Scene]) -> list:
    """A model's prediction for each scene, computed in batches of 50 on the model's device.

    Raises:
        ValueError: for an unknown model.
    """
    task = get_task(name)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    predictions: list = []
    for begin in range(0, len(targets), 50):
        images = torch.stack([scene.image for scene in targets[begin : begin + 50]]).to(device)
        batch = task.module.predict(model, images)
        predictions.extend(zip(*batch, strict=True) if isinstance(batch, tuple) else batch)
    model.train(was_training)
    return predictions


def measure(name: str, predictions: Sequence, targets: Sequence[Scene]) -> dict[str, float]:
    """The metrics of predictions that :func:`predict` returned for these scenes.

    For objects of unknown classes, only class-agnostic metrics are computed, and for level 1 the
    accuracy of the predicted class's sprite group.

    Raises:
        ModuleNotFoundError: if the metric needs torchmetrics and it is not installed.
        ValueError: for an unknown model.
    """
    known = all(int(scene.labels.max()) < UNKNOWN for scene in targets)
    return get_task(name).metric(predictions, targets, known)


def evaluate(
    name: str,
    model: nn.Module,
    split: str,
    count: int = 500,
    *,
    size: int = scenes.SIZE,
    styles: Sequence[str] | None = None,
) -> dict[str, float]:
    """A model's metrics on the first ``count`` test scenes of a split; see :func:`measure`.

    Raises:
        ModuleNotFoundError: if the metric needs torchmetrics and it is not installed.
        ValueError: for an unknown model, split or style, or a count outside 1 to 1,000.
    """
    task = get_task(name)
    if not 1 <= count <= len(scenes.TEST_SEEDS):
        raise ValueError(
            f"There are not {count} test scenes: choose 1 to {len(scenes.TEST_SEEDS)}."
        )
    make_scenes = _test_scenes if count <= _MAX_CACHED_SCENES else _test_scenes.__wrapped__
    targets = make_scenes(
        count, size, task.objects, split, None if styles is None else tuple(styles)
    )
    return measure(name, predict(name, model, targets), targets)
