"""The five levels side by side: which model answers, on which scenes it is trained and measured, and how.

``course train LEVEL`` and ``course evaluate`` run what is said here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from course_lib import checkpoints, metrics
from course_lib.data import scenes, sprites
from course_lib.data.compose import UNKNOWN, Scene
from course_lib.data.scenes import Scenes
from course_lib.training import History, fit
from course_lib.vision import classifier, detector, instances, localizer, segmenter
from course_lib.vision.boxes import iou

EPOCH = 2000  # scenes
BATCH = 8  # small: at equal numbers of scenes the detector learned more in many small steps than in few large ones
LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Level:
    """A level: its question, its model, and how to judge the answers."""

    number: int
    name: str  # of the checkpoint and of the module in course_lib.vision
    question: str
    module: ModuleType
    model: type[nn.Module]
    objects: tuple[int, int]  # in a scene, at least and at most
    epochs: int  # of EPOCH scenes, for the shipped checkpoint
    measure: Callable[[Sequence, Sequence[Scene], bool], dict[str, float]]


def _classified(answers: Sequence[Tensor], truth: Sequence[Scene], known: bool) -> dict[str, float]:
    guesses = [int(answer.argmax()) for answer in answers]
    if known:
        right = [guess == int(scene.labels[0]) for guess, scene in zip(guesses, truth, strict=True)]
        return {"top1": sum(right) / len(right)}
    groups = [sprites.group(scene.placements[0].name) for scene in truth]
    right = [sprites.group(sprites.CLASSES[guess]) == group for guess, group in zip(guesses, groups, strict=True)]
    return {"group_top1": sum(right) / len(right)}


def _localized(answers: Sequence[tuple[Tensor, Tensor]], truth: Sequence[Scene], known: bool) -> dict[str, float]:
    found, wanted = torch.stack([box for _, box in answers]), torch.stack([scene.boxes[0] for scene in truth])
    overlap = {"box_iou": float(iou(found.cpu(), wanted).mean())}
    return (_classified([answer for answer, _ in answers], truth, known) if known else {}) | overlap


def _found(kind: str) -> Callable[[Sequence, Sequence[Scene], bool], dict[str, float]]:
    def measure(answers: Sequence, truth: Sequence[Scene], known: bool) -> dict[str, float]:
        labels, shapes = [scene.labels for scene in truth], [getattr(scene, kind) for scene in truth]
        agnostic = metrics.average_precision(answers, labels, shapes, by_class=False)
        agnostic = {f"{name}_any_class": value for name, value in agnostic.items()}
        return (metrics.average_precision(answers, labels, shapes) if known else {}) | agnostic

    return measure


def _segmented(answers: Sequence[Tensor], truth: Sequence[Scene], known: bool) -> dict[str, float]:
    kinds = torch.stack([answer.argmax(0).cpu() for answer in answers])
    right = torch.stack([scene.semantic for scene in truth])
    any_class = {"iou_any_class": metrics.foreground_iou((kinds > 0).long(), (right > 0).long(), 1)}
    return ({"miou": metrics.foreground_iou(kinds, right, len(sprites.CLASSES))} if known else {}) | any_class


LEVELS = {
    level.name: level
    for level in (
        Level(1, "classifier", "What is it?", classifier, classifier.Classifier, (1, 1), 8, _classified),
        Level(2, "localizer", "What and where is it?", localizer, localizer.Localizer, (1, 1), 12, _localized),
        Level(3, "detector", "What and where is each?", detector, detector.Detector, (1, 5), 20, _found("boxes")),
        Level(4, "segmenter", "What is each pixel?", segmenter, segmenter.Segmenter, (1, 5), 16, _segmented),
        Level(
            *(5, "instances", "Which pixels are each?", instances, instances.InstanceSegmenter, (1, 5), 16),
            _found("masks"),
        ),
    )
}


def level(name: str) -> Level:
    """A level by its name.

    Raises:
        ValueError: if there is no such level.
    """
    if name not in LEVELS:
        raise ValueError(f"There is no model {name!r}: choose one of {', '.join(LEVELS)}.")
    return LEVELS[name]


def load(name: str) -> nn.Module:
    """The shipped model of a level, on the CPU, ready to predict.

    Raises:
        ValueError: if there is no such level.
    """
    model = level(name).model()
    model.load_state_dict(checkpoints.load(name))
    return model.eval()


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
        epochs: of 2,000 scenes each; by default as many as made the shipped checkpoint.
        device: where to train.
        workers: processes that make scenes ahead of time.
        seed: of the first weights and of the scenes.
        styles: drawing styles to train on, rather than all that are not held out.
        start: weights to begin with, for another cycle of the learning rate; by default random ones.
        learning_rate: the highest one of the cycle.
        checkpoint: file to go on from after an interruption.

    Raises:
        ValueError: if there is no such level.
    """
    chosen = level(name)
    torch.manual_seed(seed)
    model = chosen.model()
    if start is not None:
        model.load_state_dict(start)
    data: DataLoader = scenes.loader(EPOCH, batch=BATCH, workers=workers, objects=chosen.objects, styles=styles)
    epochs = chosen.epochs if epochs is None else epochs
    history = fit(
        *(model, chosen.module.loss, data, epochs),
        learning_rate=learning_rate,
        device=device,
        checkpoint=checkpoint,
        seed=seed,
        label=name,
    )
    return model.eval(), history


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

    Where the objects are not of the trained classes (``"unseen-objects"``) only what does not need the right name
    is measured: whether they were found, and for level 1 whether the guess is of the right group.

    Raises:
        ValueError: if there is no such level or split.
    """
    chosen = level(name)
    if not 1 <= count <= len(scenes.TEST_SEEDS):
        raise ValueError(f"count is {count}: there are {len(scenes.TEST_SEEDS)} test scenes.")
    data = Scenes(scenes.TEST_SEEDS[:count], size=size, objects=chosen.objects, split=split, styles=styles)
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
