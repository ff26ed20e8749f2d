"""Captioned pictures: one drawn object on a ground of one colour, with the sentence that says so.

A picture is a function of its seed, so there are as many as one wants and none has to be stored.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.data import captions, sprites
from course_lib.data.compose import Light, Placement, compose

SIZE = 128  # pixels
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
# split: (styles, whether the object and its colour are a held-out combination; None: any)
SPLITS = {
    "seen": ("train", False),
    "new-combinations": ("train", True),
    "held-out-style": ("held-out", None),
}


class Captioned(NamedTuple):
    """A picture in [0, 1], its sentence, and what the sentence is made of: the object's and the
    ground's names.
    """

    image: Float[Tensor, "3 height width"]
    caption: str
    name: str
    colour: str


def held_out(name: str, colour: str) -> bool:
    """Whether nothing is ever trained on this object on this ground: one combination in ten, by
    hash.
    """
    return zlib.crc32(f"{name} on {colour}".encode()) % 10 == 0


def sentence(name: str, colour: str) -> str:
    """``("owl", "orange")`` becomes ``"an owl on an orange background"``."""
    return f"{captions.with_article(name)} on {captions.with_article(colour)} background"


def captioned(
    seed: int, size: int = SIZE, *, split: str = "seen", objects: Sequence[str] | None = None
) -> Captioned:
    """The picture of a seed: the same one whenever and wherever it is asked for.

    Args:
        seed: 0 or more.
        size: the picture's side in pixels.
        split: one of ``SPLITS``.
        objects: the names to choose from; by default all of ``sprites.names()``.

    Raises:
        ValueError: if there is no such split or object, or the numbers make no sense.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(SPLITS)}.")
    if seed < 0 or size < 16:
        raise ValueError(f"seed {seed}, size {size}: seed must be 0 or more, and size 16 or more.")
    style_split, wanted = SPLITS[split]
    rng = np.random.default_rng([seed, list(SPLITS).index(split)])
    combinations = [
        (name, colour)
        for name in (objects or sprites.names())
        for colour in COLOURS
        if wanted is None or held_out(name, colour) == wanted
    ]
    if not combinations:
        raise ValueError(
            f"None of the objects {list(objects or [])} has a combination in the split {split!r}."
        )
    name, colour = combinations[rng.integers(len(combinations))]
    styles = sprites.styles(style_split)
    placement = Placement(
        *(name, styles[rng.integers(len(styles))], *map(float, rng.uniform(0.45, 0.55, 2))),
        *(float(rng.uniform(0.7, 0.9)), float(rng.uniform(-10, 10))),
        flip=bool(rng.random() < 0.5),
    )
    # nobody's red is always the same red
    ground = np.array(COLOURS[colour]) + rng.uniform(-0.03, 0.03, 3)
    background = np.broadcast_to(ground.astype(np.float32), (size, size, 3))
    made = compose(background, [placement], Light(shadow=0.0))
    return Captioned(made.image, sentence(name, colour), name, colour)


class CaptionedPictures(Dataset):
    """The pictures of a range of seeds, each made when it is asked for."""

    def __init__(self, seeds: range, **options) -> None:
        """``options`` are those of :func:`captioned`."""
        self.seeds, self.options = seeds, options

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Captioned:
        return captioned(self.seeds[index], **self.options)
