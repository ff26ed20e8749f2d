"""Pictures of descriptions: one or two objects on a plain background, with sentences for them.

A picture is a pure function of its seed, so the data set is unlimited and needs no storage.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.data import captioned, descriptions
from course_lib.data.compose import Light, Placement, compose
from course_lib.data.descriptions import OPPOSITE, PLACES, STYLES, Description, Item

SIZE = captioned.SIZE  # pixels
# The side of an object as a fraction of the picture's: in the middle, and at a place. The ranges
# have gaps between them, so that every picture shows one size only. A large object in the middle
# may extend beyond the picture; one without a size is as large as in a captioned picture.
_SIDES: dict[str, dict[str | None, tuple[float, float]]] = {
    "middle": {"small": (0.35, 0.5), None: captioned.SIDES, "large": (1.0, 1.1)},
    "place": {"small": (0.26, 0.31), None: (0.37, 0.42), "large": (0.47, 0.51)},
}
# The centre x, y of an object at a place, relative to the picture's, as fractions of its side.
_OFFSETS = {"left": (-0.25, 0), "right": (0.25, 0), "top": (0, -0.25), "bottom": (0, 0.25)}

Image = Float[Tensor, "3 height width"]


class DescribedPicture(NamedTuple):
    """A picture in [0, 1], and its complete description, with styles and places."""

    image: Image
    description: Description


def described_picture(
    seed: int,
    size: int = SIZE,
    *,
    kind: str = "mixed",
    held_out: bool = False,
    drawings: str | None = None,
) -> DescribedPicture:
    """The picture of a seed; the same arguments always give the same picture.

    Args:
        seed: 0 or more.
        size: the picture's side in pixels, 16 or more.
        kind, held_out: as for :func:`course_lib.data.descriptions.sample`.
        drawings: one of ``sprites.styles("held-out")``, to draw all objects in instead of in the
            described style.

    Raises:
        ValueError: for an unknown kind or style, or a number out of range.
    """
    description = sample_description(seed, kind=kind, held_out=held_out)
    return DescribedPicture(draw(description, seed, size, drawings=drawings), description)


def sample_description(seed: int, *, kind: str = "mixed", held_out: bool = False) -> Description:
    """The description of the picture of a seed, without drawing it.

    Arguments and errors are those of :func:`described_picture`.
    """
    if seed < 0:
        raise ValueError(f"The seed is {seed}: it must be 0 or more.")
    # The order of the random draws is part of the data set: changing it changes every picture.
    return descriptions.sample(np.random.default_rng([seed, held_out]), kind, held_out=held_out)


def sample_sentences(seed: int, count: int) -> list[str]:
    """``count`` sentences for the training picture of a seed: of random forms, each leaving random
    parts of the description open.
    """
    rng = np.random.default_rng([seed, 2])  # other random numbers than for the picture
    description = sample_description(seed)
    return [
        descriptions.describe(
            descriptions.leave_open(description, rng=rng),
            int(rng.integers(len(descriptions.FORMS))),
        )
        for _ in range(count)
    ]


def mean_side(description: Description) -> float:
    """The expected side of the objects, as a fraction of the picture's."""
    ranges = [_sides(item) for item in description.objects]
    return float(np.mean(ranges))


def draw(
    description: Description, seed: int = 0, size: int = SIZE, *, drawings: str | None = None
) -> Image:
    """A picture of a description, in [0, 1]; what the description leaves open depends on the seed.

    ``size`` and ``drawings`` are as for :func:`described_picture`.
    """
    if size < 16:
        raise ValueError(f"The size is {size}: it must be 16 or more.")
    rng = np.random.default_rng([seed, 3])
    items = description.objects
    if len(items) == 2 and items[0].place is None:
        place = list(PLACES)[rng.integers(len(PLACES))]
        items = (replace(items[0], place=place), replace(items[1], place=OPPOSITE[place]))
    placements = []
    for item in items:
        style = item.style or list(STYLES)[rng.integers(len(STYLES))]
        offset = np.array(_OFFSETS.get(item.place or "", (0, 0)))
        # towards and away from the picture's border, an object at a place has less room
        x, y = 0.5 + offset + rng.uniform(-0.05, 0.05, 2) * np.where(offset, 0.3, 1)
        placements.append(
            Placement(
                name=item.name,
                style=drawings or STYLES[style],
                x=float(x),
                y=float(y),
                size=float(rng.uniform(*_sides(item))),
                angle=float(rng.uniform(-10, 10)),
                flip=bool(rng.random() < 0.5),
            )
        )
    # Slightly different shades of each colour, so that a colour's name is not a single RGB value.
    shade = np.array(captioned.COLOURS[description.colour]) + rng.uniform(-0.03, 0.03, 3)
    background = np.broadcast_to(shade.astype(np.float32), (size, size, 3))
    return compose(background, placements, Light(shadow=0.0)).image


def _sides(item: Item) -> tuple[float, float]:
    """The smallest and the largest side of an object."""
    return _SIDES["place" if item.place else "middle"][item.size]


class DescribedPictures(Dataset):
    """The pictures of a range of seeds, drawn on access."""

    def __init__(self, seeds: range) -> None:
        self.seeds = seeds

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> DescribedPicture:
        return described_picture(self.seeds[index])

    def text(self, index: int) -> str:
        """The complete description, without drawing the picture."""
        return repr(sample_description(self.seeds[index]))


def draw_all(pictures: Sequence[DescribedPicture]) -> Float[Tensor, "pictures 3 height width"]:
    """The images of several pictures, as one batch."""
    return torch.stack([picture.image for picture in pictures])
