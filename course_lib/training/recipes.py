"""The recipe of every model of the course, by name: how to make, train and evaluate it.

Recipes are built lazily: listing the names imports neither torch nor a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

    from course_lib.training.loop import History

State: TypeAlias = "Mapping[str, Tensor]"
_LEVELS = ("classifier", "localizer", "detector", "segmenter", "instances")
_UNETS = ("unet", "unet-deepest-skip", "unet-no-skips")


@dataclass(frozen=True)
class Recipe:
    """How to make, train, evaluate and describe one model.

    ``train`` takes ``epochs, device, workers, seed, initial_weights, learning_rate, batch_size``
    and ``checkpoint``; ``evaluate`` takes the model, a split and the number of examples. If there
    are ``styles``, ``train``, ``evaluate`` and ``dataset_description`` also take a list of styles.
    """

    name: str
    examples_per_epoch: int
    epochs: int  # the default; a shipped model may have had more, in several trainings
    learning_rate: float  # the peak of the one-cycle schedule
    batch_size: int
    make_model: Callable[[], nn.Module]  # with random weights
    train: Callable[..., tuple[nn.Module, History]]
    evaluate: Callable[..., dict[str, float]]
    test_splits: Mapping[str, int]  # the number of test examples of each split
    thresholds: Mapping[str, Mapping[str, float]]  # the minimum, by split and metric
    dataset_description: Callable[..., dict[str, Any]]  # for the model card
    styles: Sequence[str] = ()  # drawing styles that can be left out of the training
    preview_image: Callable[[nn.Module], Image.Image] | None = None
    # What a checkpoint stores instead of the model's tensors, if that is smaller, and the way back:
    # see packing.py.
    pack: Callable[[State], State] = dict
    unpack: Callable[[State], State] = dict


def _8_bits() -> dict[str, Any]:
    from course_lib.training import packing

    return {"pack": packing.to_8_bits, "unpack": packing.from_8_bits}


def _vision(name: str) -> Recipe:
    from course_lib.data import sprites
    from course_lib.vision import tasks

    task = tasks.get_task(name)
    return Recipe(
        name=name,
        examples_per_epoch=tasks.EXAMPLES_PER_EPOCH,
        epochs=task.epochs,
        learning_rate=tasks.LEARNING_RATE,
        batch_size=tasks.BATCH_SIZE,
        make_model=task.make_model,
        train=partial(tasks.train, name),
        evaluate=partial(tasks.evaluate, name),
        test_splits=tasks.TEST_SPLITS,
        thresholds=tasks.THRESHOLDS.get(name, {}),
        dataset_description=partial(tasks.dataset_description, name),
        styles=sprites.styles(),
        # the levels' models are small
        **(_8_bits() if name in _UNETS else {}),
    )


def _from_module(name: str, module: ModuleType, **others: Any) -> Recipe:
    """A recipe from a module that defines the usual constants and functions.

    ``others``: the remaining fields of the recipe.
    """
    return Recipe(
        name=name,
        examples_per_epoch=module.EXAMPLES_PER_EPOCH,
        epochs=module.EPOCHS,
        learning_rate=module.LEARNING_RATE,
        batch_size=module.BATCH,
        train=module.train,
        test_splits=module.TEST_SPLITS,
        thresholds=module.THRESHOLDS,
        dataset_description=module.dataset_description,
        **others,
    )


def _autoencoder(name: str) -> Recipe:
    from course_lib.compression import autoencoder

    return _from_module(
        name,
        autoencoder,
        make_model=autoencoder.make_model,
        evaluate=autoencoder.evaluate,
        **_8_bits(),
    )


def _judge(name: str) -> Recipe:
    from course_lib.diffusion import judge, judge_training

    return _from_module(
        name, judge_training, make_model=judge.Judge, evaluate=judge_training.evaluate
    )


def _denoiser(name: str) -> Recipe:
    from course_lib.diffusion import denoiser_training, small_denoiser

    return _from_module(
        name,
        denoiser_training,
        make_model=small_denoiser.Denoiser,
        evaluate=denoiser_training.evaluate,
        **_8_bits(),
    )


def _text_to_image(name: str) -> Recipe:
    from course_lib.diffusion import sentence_evaluation, text_to_image

    return _from_module(
        name,
        text_to_image,
        make_model=text_to_image.make_model,
        evaluate=sentence_evaluation.evaluate,
        preview_image=sentence_evaluation.preview_image,
        **_8_bits(),
    )


def _flow(name: str) -> Recipe:
    from course_lib.diffusion import flow_training

    return _from_module(
        name,
        flow_training,
        make_model=flow_training.VelocityUNet,
        evaluate=flow_training.evaluate,
        **_8_bits(),
    )


def _dit(name: str) -> Recipe:
    from course_lib.diffusion import small_dit

    return _from_module(
        name,
        small_dit,
        make_model=small_dit.make_model,
        evaluate=small_dit.evaluate,
        preview_image=small_dit.preview_image,
        **_8_bits(),
    )


def _controlnet(name: str) -> Recipe:
    from course_lib.diffusion import edge_control

    return _from_module(
        name,
        edge_control,
        make_model=edge_control.make_model,
        evaluate=edge_control.evaluate,
        preview_image=edge_control.preview_image,
        pack=edge_control.pack,
        unpack=edge_control.unpack,
    )


def _one_step(name: str) -> Recipe:
    from course_lib.diffusion import one_step

    return _from_module(
        name,
        one_step,
        make_model=one_step.make_model,
        evaluate=one_step.evaluate,
        preview_image=one_step.preview_image,
        pack=one_step.pack,
        unpack=one_step.unpack,
    )


_RECIPES: dict[str, Callable[[str], Recipe]] = {
    **dict.fromkeys((*_LEVELS, *_UNETS), _vision),
    "autoencoder": _autoencoder,
    "judge": _judge,
    "denoiser": _denoiser,
    "tiny-sd": _text_to_image,
    "flow": _flow,
    "one-step": _one_step,
    "dit": _dit,
    "controlnet": _controlnet,
}


def names() -> list[str]:
    """All models, in the order of the lessons."""
    return list(_RECIPES)


def recipe(name: str) -> Recipe:
    """The recipe of a model.

    Raises:
        ValueError: if there is no such model.
    """
    if name not in _RECIPES:
        raise ValueError(f"There is no model {name!r}: choose one of {', '.join(_RECIPES)}.")
    return _RECIPES[name](name)
