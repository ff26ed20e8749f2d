"""Captioned pictures: one object on a plain background, with a caption that names both.

A picture is a pure function of its seed, so the data set is unlimited and needs no storage.
"""

import zlib
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.data import captions, sprites
from course_lib.data.compose import Light, Placement, compose

SIZE = 128  # pixels
SIDES = (0.7, 0.9)  # of an object, as a fraction of the picture's side
COLOURS = {
    "red": (0.84, 0.15, 0.16),
    "orange": (0.98, 0.55, 0.16),
    "yellow": (0.98, 0.88, 0.25),
    "green": (0.24, 0.64, 0.30),
    "blue": (0.18, 0.38, 0.80),
    "purple": (0.52, 0.26, 0.66),
    "pink": (0.97, 0.66, 0.79),
    "brown": (0.50, 0.32, 0.18),
    "black": (0.06, 0.06, 0.07),
    "white": (0.97, 0.97, 0.96),
}
# Half of the text-to-image model's objects, see :mod:`course_lib.data.descriptions`: those of the
# smaller models of lessons 6 and 8.
OBJECTS = (
    "dog",
    "cat",
    "rabbit",
    "fox",
    "lion",
    "pig",
    "frog",
    "penguin",
    "owl",
    "butterfly",
    "turtle",
    "fish",
    "elephant",
    "apple",
    "banana",
    "strawberry",
    "pizza",
    "car",
    "bus",
    "rocket",
    "house",
    "crown",
    "guitar",
    "robot",
)
# split: (styles, whether object and colour are a held-out combination; None: either)
SPLITS = {
    "seen": ("train", False),
    "new-combinations": ("train", True),
    "held-out-style": ("held-out", None),
}


class CaptionedPicture(NamedTuple):
    """A picture in [0, 1], its caption, the object's name and the background colour's name."""

    image: Float[Tensor, "3 height width"]
    caption: str
    name: str
    colour: str


def is_held_out(name: str, colour: str) -> bool:
    """Whether this combination of object and colour is excluded from training.

    About one combination in ten, chosen by hash.
    """
    return zlib.crc32(f"{name} on {colour}".encode()) % 10 == 0


@cache
def _combinations(objects: tuple[str, ...], held_out: bool | None) -> list[tuple[str, str]]:
    """The pairs of object and colour; ``held_out`` as in ``SPLITS``.

    Cached: finding them takes ten times as long as drawing a small picture.
    """
    return [
        (name, colour)
        for name in objects
        for colour in COLOURS
        if held_out is None or is_held_out(name, colour) == held_out
    ]


def make_caption(name: str, colour: str) -> str:
    """``("owl", "orange")`` becomes ``"an owl on an orange background"``."""
    return f"{captions.with_article(name)} on {captions.with_article(colour)} background"


def captioned_picture(
    seed: int, size: int = SIZE, *, split: str = "seen", objects: Sequence[str] | None = None
) -> CaptionedPicture:
    """The picture of a seed; the same arguments always give the same picture.

    Args:
        seed: 0 or more.
        size: the picture's side in pixels.
        split: one of ``SPLITS``.
        objects: the names to choose from; by default all of ``sprites.names()``.

    Raises:
        ValueError: for an unknown split or object, or a number out of range.
    """
    if seed < 0 or size < 16:
        raise ValueError(f"seed {seed}, size {size}: seed must be 0 or more, and size 16 or more.")
    # The order of the random draws is part of the data set: changing it changes every picture.
    rng, name, colour = _sample_combination(seed, split, objects)
    styles = sprites.styles(SPLITS[split][0])
    style = styles[rng.integers(len(styles))]
    x, y = map(float, rng.uniform(0.45, 0.55, 2))
    placement = Placement(
        name=name,
        style=style,
        x=x,
        y=y,
        size=float(rng.uniform(*SIDES)),
        angle=float(rng.uniform(-10, 10)),
        flip=bool(rng.random() < 0.5),
    )
    # Slightly different shades of each colour, so that a colour's name is not a single RGB value.
    shade = np.array(COLOURS[colour]) + rng.uniform(-0.03, 0.03, 3)
    background = np.broadcast_to(shade.astype(np.float32), (size, size, 3))
    scene = compose(background, [placement], Light(shadow=0.0))
    return CaptionedPicture(scene.image, make_caption(name, colour), name, colour)


def _sample_combination(
    seed: int, split: str, objects: Sequence[str] | None
) -> tuple[np.random.Generator, str, str]:
    """The random numbers that follow, the object and the colour of :func:`captioned_picture`."""
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(SPLITS)}.")
    combinations = _combinations(tuple(objects or sprites.names()), SPLITS[split][1])
    if not combinations:
        raise ValueError(
            f"The split {split!r} has no picture of {list(objects or [])}: choose other objects."
        )
    rng = np.random.default_rng([seed, list(SPLITS).index(split)])
    return rng, *combinations[rng.integers(len(combinations))]


class CaptionedPictures(Dataset):
    """The pictures of a range of seeds, drawn on access."""

    def __init__(
        self,
        seeds: range,
        size: int = SIZE,
        *,
        split: str = "seen",
        objects: Sequence[str] | None = None,
    ) -> None:
        """Arguments as for :func:`captioned_picture`."""
        self.seeds, self.size, self.split, self.objects = seeds, size, split, objects

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> CaptionedPicture:
        return captioned_picture(
            self.seeds[index], self.size, split=self.split, objects=self.objects
        )

    def text(self, index: int) -> str:
        """The caption, without drawing the picture."""
        return make_caption(*_sample_combination(self.seeds[index], self.split, self.objects)[1:])
