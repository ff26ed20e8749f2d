"""Real photographs, embedded, for convolutions, edges and everything that wants a real picture.

All are CC0 or in the public domain: data/LICENSES.md has origin, author and link of each.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from course_lib import paths


def names() -> list[str]:
    """The names of all photos, in alphabetical order."""
    return sorted(path.stem for path in paths.data("photos").glob("*.png"))


def photo(name: str, size: int | None = None, grey: bool = False) -> Float[Tensor, "channels height width"]:
    """A photograph as a float32 tensor in [0, 1], 0 black and 1 white.

    Args:
        name: one of :func:`names`.
        size: give a square of this many pixels, cut from the middle and resampled; else the photo as it is.
        grey: one channel, the luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rather than red, green and blue.

    Raises:
        ValueError: if there is no such photo, or the size is not positive.
    """
    if name not in names():
        raise ValueError(f"There is no photo {name!r}: choose one of {', '.join(names())}.")
    if size is not None and size < 1:
        raise ValueError(f"size is {size}: give a positive number of pixels, or None for the photo as it is.")
    return torch.from_numpy(_pixels(name, size, grey).copy())


@cache
def _pixels(name: str, size: int | None, grey: bool) -> np.ndarray:
    with Image.open(paths.data("photos", f"{name}.png")) as file:
        picture = file.convert("L" if grey else "RGB")
    if size is not None:
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = (left, top, left + side, top + side)
        picture = picture.resize((size, size), Image.Resampling.BICUBIC, box=square)
    pixels = np.asarray(picture, dtype=np.float32) / 255
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))
