"""Bundled photographs: small ones for convolutions, large ones for compression and backgrounds.

All are CC0, CC-BY or in the public domain: data/LICENSES.md gives the origin, author and link of
each.
"""

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from course_lib.assets import paths

# The held-out photos were chosen by the hash of their names: data/build_photos.py
_PATTERNS = {
    "small": "photos/*.png",
    "train": "photos/large/train/*.webp",
    "held-out": "photos/large/held-out/*.webp",
}


def names(split: str = "small") -> list[str]:
    """The names of all photos of a split, in alphabetical order.

    Photos of ``"train"`` and ``"held-out"`` have a shorter side of at least 512 pixels. Nothing in
    this course is trained on the held-out ones.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in _PATTERNS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(_PATTERNS)}.")
    return sorted(path.stem for path in paths.data_path().glob(_PATTERNS[split]))


def photo(
    name: str, size: int | None = None, grey: bool = False
) -> Float[Tensor, "channels height width"]:
    """A photograph as a float32 tensor in [0, 1], where 0 is black and 1 is white.

    Args:
        name: one of :func:`names`, of any split.
        size: side of a square in pixels, cropped from the centre and resampled; None for the whole
            photo in its original size.
        grey: return one channel, the luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Raises:
        ValueError: for an unknown photo or a size that is not positive.
    """
    if size is not None and size < 1:
        raise ValueError(
            f"size is {size}: give a positive number of pixels, or None for the original size."
        )
    return torch.from_numpy(_pixels(name, size, grey).copy())


def picture(name: str) -> Image.Image:
    """The photo as a Pillow image in mode RGB and in its original size; a new copy on each call.

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
    return {
        path.stem: path
        for pattern in _PATTERNS.values()
        for path in paths.data_path().glob(pattern)
    }


@lru_cache(16)  # up to 10 MB per photo
def _pixels(name: str, size: int | None, grey: bool) -> np.ndarray:
    image = picture(name).convert("L" if grey else "RGB")
    if size is not None:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=square)
    pixels = np.asarray(image, dtype=np.float32) / 255
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))
