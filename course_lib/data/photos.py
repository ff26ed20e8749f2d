"""Real photographs, embedded: small ones for convolutions and edges, large ones to reduce, and to
stand behind scenes.

All are CC0, CC-BY or in the public domain: data/LICENSES.md has origin, author and link of each.
"""

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from course_lib.assets import paths

# split: where its photos lie. The held-out ones were chosen by the hash of their names:
# data/build_photos.py
_FOLDERS = {
    "small": "photos/*.png",
    "train": "photos/large/train/*.webp",
    "held-out": "photos/large/held-out/*.webp",
}


def names(split: str = "small") -> list[str]:
    """The names of all photos of a split, in alphabetical order.

    ``"small"`` are for looking at; ``"train"`` and ``"held-out"`` have a shorter side of at least
    512 pixels, and nothing in this course is ever trained on the held-out ones.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in _FOLDERS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(_FOLDERS)}.")
    return sorted(path.stem for path in paths.data().glob(_FOLDERS[split]))


def photo(
    name: str, size: int | None = None, grey: bool = False
) -> Float[Tensor, "channels height width"]:
    """A photograph as a float32 tensor in [0, 1], 0 black and 1 white.

    Args:
        name: one of :func:`names`, of any split.
        size: give a square of this many pixels, cut from the middle and resampled; else the photo
            as it is.
        grey: one channel, the luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rather than red,
            green and blue.

    Raises:
        ValueError: if there is no such photo, or the size is not positive.
    """
    if size is not None and size < 1:
        raise ValueError(
            f"size is {size}: give a positive number of pixels, or None for the photo as it is."
        )
    return torch.from_numpy(_pixels(name, size, grey).copy())


def picture(name: str) -> Image.Image:
    """The same as a Pillow image in mode RGB, as large as it is embedded. It is read anew by every
    call.

    Raises:
        ValueError: if there is no such photo.
    """
    if name not in _files():
        raise ValueError(
            f"There is no photo {name!r}: choose one of {', '.join(sorted(_files()))}."
        )
    with Image.open(_files()[name]) as file:
        return file.convert("RGB")


@cache
def _files() -> dict[str, Path]:
    return {path.stem: path for pattern in _FOLDERS.values() for path in paths.data().glob(pattern)}


@lru_cache(16)  # a large photo takes 10 MB
def _pixels(name: str, size: int | None, grey: bool) -> np.ndarray:
    whole = picture(name).convert("L" if grey else "RGB")
    if size is not None:
        side = min(whole.size)
        left, top = (whole.width - side) // 2, (whole.height - side) // 2
        square = (left, top, left + side, top + side)
        whole = whole.resize((size, size), Image.Resampling.BICUBIC, box=square)
    pixels = np.asarray(whole, dtype=np.float32) / 255
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))
