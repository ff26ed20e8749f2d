"""The five levels side by side: which model answers, on which scenes it is trained and measured,
and how.

Lesson 5's U-Nets are here too: they answer level 4's question. ``course train`` and
``course evaluate`` run what is said here, as a family of ``course_lib.training.recipes``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from course_lib.assets import checkpoints
from course_lib.data import photos, scenes, sprites
from course_lib.data.compose import UNKNOWN, Scene
from course_lib.data.scenes import Scenes
from course_lib.metrics import detection
from course_lib.training.loop import History, fit_new
from course_lib.unet.model import UNet
from course_lib.vision import classifier, detector, instances, localizer, segmenter
from course_lib.vision.boxes import iou

EPOCH = 2000  # scenes
# small: at equal numbers of scenes the detector learned more in many small steps than in few large
# ones
BATCH = 8
LEARNING_RATE = 2e-3
TESTS = dict.fromkeys(scenes.SPLITS, len(scenes.TEST_SEEDS))


@dataclass(frozen=True)
class Level:
    """A level: its question, its model, and how to judge the answers."""

    number: int
    name: str  # of the checkpoint and of the module in course_lib.vision
    question: str
    module: ModuleType
    model: Callable[[], nn.Module]
    objects: tuple[int, int]  # in a scene, at least and at most
    epochs: int  # of EPOCH scenes, in the first cycle of the shipped checkpoint
    measure: Callable[[Sequence, Sequence[Scene], bool], dict[str, float]]


def _classified(answers: Sequence[Tensor], truth: Sequence[Scene], known: bool) -> dict[str, float]:
    guesses = [int(answer.argmax()) for answer in answers]
    if known:
        right = [guess == int(scene.labels[0]) for guess, scene in zip(guesses, truth, strict=True)]
        return {"top1": sum(right) / len(right)}
    groups = [sprites.group(scene.placements[0].name) for scene in truth]
    right = [
        sprites.group(sprites.CLASSES[guess]) == group
        for guess, group in zip(guesses, groups, strict=True)
    ]
    return {"group_top1": sum(right) / len(right)}


def _localized(
    answers: Sequence[tuple[Tensor, Tensor]], truth: Sequence[Scene], known: bool
) -> dict[str, float]:
    found, wanted = (
        torch.stack([box for _, box in answers]),
        torch.stack([scene.boxes[0] for scene in truth]),
    )
    overlap = {"box_iou": float(iou(found.cpu(), wanted).mean())}
    return (_classified([answer for answer, _ in answers], truth, known) if known else {}) | overlap


def _found(kind: str) -> Callable[[Sequence, Sequence[Scene], bool], dict[str, float]]:
    def measure(answers: Sequence, truth: Sequence[Scene], known: bool) -> dict[str, float]:
        labels, shapes = (
            [scene.labels for scene in truth],
            [getattr(scene, kind) for scene in truth],
        )
        agnostic = detection.average_precision(answers, labels, shapes, by_class=False)
        agnostic = {f"{name}_any_class": value for name, value in agnostic.items()}
        return (detection.average_precision(answers, labels, shapes) if known else {}) | agnostic

    return measure


def _segmented(answers: Sequence[Tensor], truth: Sequence[Scene], known: bool) -> dict[str, float]:
    kinds = torch.stack([answer.argmax(0).cpu() for answer in answers])
    right = torch.stack([scene.semantic for scene in truth])
    any_class = {
        "iou_any_class": detection.foreground_iou((kinds > 0).long(), (right > 0).long(), 1)
    }
    return (
        {"miou": detection.foreground_iou(kinds, right, len(sprites.CLASSES))} if known else {}
    ) | any_class


LEVELS = {
    level.name: level
    for level in (
        Level(
            1,
            "classifier",
            "What is it?",
            classifier,
            classifier.Classifier,
            (1, 1),
            8,
            _classified,
        ),
        Level(
            2,
            "localizer",
            "What and where is it?",
            localizer,
            localizer.Localizer,
            (1, 1),
            12,
            _localized,
        ),
        Level(
            3,
            "detector",
            "What and where is each?",
            detector,
            detector.Detector,
            (1, 5),
            20,
            _found("boxes"),
        ),
        Level(
            4,
            "segmenter",
            "What is each pixel?",
            segmenter,
            segmenter.Segmenter,
            (1, 5),
            16,
            _segmented,
        ),
        Level(
            *(
                5,
                "instances",
                "Which pixels are each?",
                instances,
                instances.InstanceSegmenter,
                (1, 5),
                16,
            ),
            _found("masks"),
        ),
    )
}


# The same U-Net with all its skip connections, with only the deepest of them, and with none.
UNETS = {
    name: Level(
        *(
            4,
            name,
            "What is each pixel?",
            segmenter,
            partial(UNet, 3, len(sprites.CLASSES) + 1, width=16, skips=skips),
        ),
        *((1, 5), 10, _segmented),
    )
    for name, skips in (("unet", 4), ("unet-deepest-skip", 1), ("unet-no-skips", 0))
}
MODELS = LEVELS | UNETS
# What each model must reach on photos that it was not trained on.
BARS = {
    name: {"new-backgrounds": bars}
    for name, bars in {
        "classifier": {"top1": 0.99},
        "localizer": {"box_iou": 0.90},
        "detector": {"map50": 0.98, "map": 0.80},
        "segmenter": {"miou": 0.90},
        "instances": {"map50": 0.95},
        "unet": {"miou": 0.90},
    }.items()
}


def level(name: str) -> Level:
    """A level, or a U-Net that answers one, by its name.

    Raises:
        ValueError: if there is no such level.
    """
    if name not in MODELS:
        raise ValueError(f"There is no model {name!r}: choose one of {', '.join(MODELS)}.")
    return MODELS[name]


def model(name: str) -> nn.Module:
    """A level's model with random weights."""
    return level(name).model()


def epochs(name: str) -> int:
    """How many epochs the first cycle of the shipped model had; its card tells of them all."""
    return level(name).epochs


def styles(name: str) -> list[str]:
    """The drawing styles that a level's model is trained on."""
    return sprites.styles()


def facts(name: str, styles: Sequence[str] | None = None) -> dict[str, Any]:
    """What a level's model is trained on: in all drawing styles that are not held out, or in
    these.
    """
    return {
        "split": "seen",
        "side": scenes.SIZE,
        "objects in a scene": list(level(name).objects),
        "classes": len(sprites.CLASSES),
        "styles": sprites.styles("train") if styles is None else list(styles),
        "photos": len(photos.names("train")),
    }


def load(name: str) -> nn.Module:
    """The shipped model of a level, on the CPU, ready to predict.

    Raises:
        FileNotFoundError: if its checkpoint is not there; the message says how to get it back.
        ValueError: if there is no such level.
    """
    shipped = level(name).model()
    shipped.load_state_dict(checkpoints.load(name))
    return shipped.eval()


def train(
    name: str,
    *,
    epochs: int | None = None,
    device: torch.device | None = None,
    workers: int = 0,
    seed: int = 0,
    styles: Sequence[str] | None = None,
    start: Mapping[str, Tensor] | None = None,
    learning_rate: float = LEARNING_RATE,
    checkpoint: str | Path | None = None,
) -> tuple[nn.Module, History]:
    """Train a level's model on scenes of the split ``"seen"``, new ones in every epoch.

    Args:
        name: which level.
        epochs: of 2,000 scenes each; by default as many as the first cycle of the shipped
            checkpoint had.
        device: where to train.
        workers: processes that make scenes ahead of time.
        seed: of the first weights and of the scenes.
        styles: drawing styles to train on, rather than all that are not held out.
        start: weights to begin with, for another cycle of the learning rate; by default random
            ones.
        learning_rate: the highest one of the cycle.
        checkpoint: file to go on from after an interruption.

    Raises:
        FloatingPointError: if the loss stops being a number.
        ValueError: if there is no such level or style, or the checkpoint belongs to a run with
            another number of steps or another seed.
    """
    chosen = level(name)
    data: DataLoader = scenes.loader(
        EPOCH, batch=BATCH, workers=workers, objects=chosen.objects, styles=styles
    )
    return fit_new(
        *(chosen.model, chosen.module.loss, data, chosen.epochs if epochs is None else epochs),
        seed=seed,
        start=start,
        learning_rate=learning_rate,
        device=device,
        checkpoint=checkpoint,
        label=name,
    )


def evaluate(
    name: str,
    model: nn.Module,
    split: str,
    count: int = 500,
    *,
    size: int = scenes.SIZE,
    styles: Sequence[str] | None = None,
) -> dict[str, float]:
    """What a model reaches on the first ``count`` test scenes of a split.

    Where the objects are not of the trained classes (``"unseen-objects"``) only what does not need
    the right name
    is measured: whether they were found, and for level 1 whether the guess is of the right group.

    Raises:
        ModuleNotFoundError: without torchmetrics, if the level needs it; the message says how to
            install it.
        ValueError: if there is no such level, split or style, or not 1 to 1,000 scenes are asked
            for.
    """
    chosen = level(name)
    if not 1 <= count <= len(scenes.TEST_SEEDS):
        raise ValueError(
            f"There are not {count} test scenes: choose 1 to {len(scenes.TEST_SEEDS)}."
        )
    data = Scenes(
        scenes.TEST_SEEDS[:count], size=size, objects=chosen.objects, split=split, styles=styles
    )
    truth = [data[index] for index in range(count)]
    known = all(int(scene.labels.max()) < UNKNOWN for scene in truth)
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    answers: list = []
    for begin in range(0, count, 50):
        images = torch.stack([scene.image for scene in truth[begin : begin + 50]]).to(device)
        answer = chosen.module.predict(model, images)
        answers += list(zip(*answer, strict=True)) if isinstance(answer, tuple) else list(answer)
    model.train(was_training)
    return chosen.measure(answers, truth, known)
