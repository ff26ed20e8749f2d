"""Images from files that somebody else made: read as a viewer shows them, or refused in a sentence.

Pillow's ``convert("RGB")`` alone clips grey images of 16 bits and of floating-point numbers, and
turns transparent parts black: python-pillow/Pillow issues 2574 and 3011.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageOps
from torch import Tensor

# The value of white: of 16 bits, and of floating-point numbers the first that no pixel exceeds.
_WHITE_16_BITS = 65535
_WHITES_FLOAT = (1, 255, _WHITE_16_BITS)


def read_image(path: str | Path) -> Image.Image:
    """An image file in mode RGB, upright, with white where it is transparent.

    Grey values of 16 bits or of floating-point numbers are scaled to 8 bits. White is 65,535 in the
    former; in the latter 1, 255 or 65,535, whichever is the first that no pixel exceeds.

    Raises:
        ValueError: if the file is missing, or can't be read as an image; the message says why.
    """
    path = Path(path)
    if not path.is_file():
        kind = "a folder, not an image" if path.is_dir() else "not there"
        raise ValueError(f"{path} is {kind}: give an image file, such as a JPEG or PNG.")
    try:
        with warnings.catch_warnings():
            # Warnings are for those who serve strangers: this file is the user's own.
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                return _to_rgb(ImageOps.exif_transpose(opened))
    except Image.DecompressionBombError as problem:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise ValueError(
            f"{path.name} has more than {limit} million pixels: make it smaller and try again."
        ) from problem
    except MemoryError as problem:
        raise ValueError(
            f"There is not enough memory to read {path.name}: make it smaller and try again."
        ) from problem
    except _NotFinite as problem:
        raise ValueError(f"{path.name} has values that are not finite: save it again.") from problem
    except Exception as problem:  # a damaged file ends in almost any type, SyntaxError included
        raise ValueError(
            f"{path.name} can't be read as an image. Save it as JPEG or PNG and try again."
        ) from problem


def to_tensor(image: Image.Image) -> Float[Tensor, "3 height width"]:
    """An image in mode RGB as float32 in [0, 1]."""
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)
    return pixels.permute(2, 0, 1).contiguous()


class _NotFinite(Exception):
    """There are pixels without a value."""


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        grey = _to_8_bits(np.asarray(image), is_16_bits=image.mode != "F")
        return Image.fromarray(grey).convert("RGB")
    if image.mode.lower() in ("rgba", "la", "pa") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(
    values: Shaped[np.ndarray, "height width"], is_16_bits: bool
) -> UInt8[np.ndarray, "height width"]:
    """Grey values from 0 to white as 0 to 255."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise _NotFinite
    whites = (_WHITE_16_BITS,) if is_16_bits else _WHITES_FLOAT
    largest = values.max()
    white = next((white for white in whites if largest <= white), largest)
    return (np.clip(values / white, 0, 1) * 255).round().astype(np.uint8)
