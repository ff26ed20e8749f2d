"""Every model that the course trains, by name, and the module that knows how.

Such a module is called a family here. ``course train`` and ``course evaluate`` ask it for what
:class:`Family` lists.
"""

import importlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from torch import nn

from course_lib.training.loop import History

_FAMILIES = (
    "course_lib.vision.tasks",
    "course_lib.compression.autoencoder",
    "course_lib.diffusion.judge",
    "course_lib.diffusion.text_to_image",
)


class Family(Protocol):
    """What a module must have so that its models can be trained, measured and shipped."""

    EPOCH: int  # examples
    LEARNING_RATE: float
    MODELS: Mapping[str, Any]
    TESTS: Mapping[str, int]  # split: how many examples there are to measure on
    BARS: Mapping[str, Mapping[str, Mapping[str, float]]]  # model: split: metric: at least

    def model(self, name: str) -> nn.Module:
        """A new one, with random weights."""

    def epochs(self, name: str) -> int:
        """How many the first cycle of the shipped one had."""

    def facts(self, name: str, styles: Sequence[str] | None = None) -> dict[str, Any]:
        """What it is trained on, for its card; in these drawing styles, if it can do without the
        others.
        """

    def styles(self, name: str) -> Collection[str]:
        """Those that can be left out of its training; none if it can't do without."""

    def train(self, name: str, **options: Any) -> tuple[nn.Module, History]:
        """With the options ``epochs, device, workers, seed, start, learning_rate, checkpoint`` and,
        if there are styles, ``styles``."""

    def evaluate(
        self, name: str, model: nn.Module, split: str, count: int, **options: Any
    ) -> dict[str, float]:
        """Its figures on the first ``count`` test examples of a split."""


def names() -> list[str]:
    """All models, in the order of the lessons."""
    return [name for module in _FAMILIES for name in importlib.import_module(module).MODELS]


def family(name: str) -> Family:
    """The family of a model.

    Raises:
        ValueError: if there is no such model.
    """
    for module in map(importlib.import_module, _FAMILIES):
        if name in module.MODELS:
            return module
    raise ValueError(f"There is no model {name!r}: choose one of {', '.join(names())}.")
