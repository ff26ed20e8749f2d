"""Read users' image files as an image viewer shows them, or reject them with a short explanation.

Pillow's ``convert("RGB")`` alone clips 16-bit and floating-point grey values (python-pillow/Pillow
issues 2574 and 3011). It also drops transparency, which shows hidden colours, often black.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageOps
from torch import Tensor

# The values that may be white: the first one that no pixel exceeds is used.
_INTEGER_WHITES = (65535,)
_FLOAT_WHITES = (1, 255, 65535)


def read_image(path: str | Path) -> Image.Image:
    """An image file in mode RGB, rotated as its EXIF data say, on white where it is transparent.

    16-bit, 32-bit and floating-point grey values are scaled to 8 bits. White is 65,535 in integer
    images, and the first of 1, 255 and 65,535 that no pixel exceeds in floating-point images. If a
    pixel exceeds 65,535, white is the image's maximum.

    Raises:
        ValueError: if the file is missing, or can't be read as an image; the message says why.
    """
    path = Path(path)
    if not path.is_file():
        reason = "is a folder, not an image" if path.is_dir() else "does not exist"
        raise ValueError(f"{path} {reason}: give an image file, such as a JPEG or PNG.")
    try:
        with warnings.catch_warnings():
            # Pillow warns about large and malformed files. Here the file is the user's own.
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
        raise ValueError(f"{path.name} has infinite or NaN pixels: replace them.") from problem
    except Exception as problem:  # decoding a damaged file can raise any type, even SyntaxError
        raise ValueError(
            f"{path.name} can't be read as an image. Save it as JPEG or PNG and try again."
        ) from problem


def to_tensor(image: Image.Image) -> Float[Tensor, "3 height width"]:
    """An image in mode RGB as float32 in [0, 1]."""
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)
    return pixels.permute(2, 0, 1).contiguous()


class _NotFinite(Exception):
    """A pixel is infinite or not a number."""


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        grey = _to_8_bits(np.asarray(image), is_integer=image.mode != "F")
        return Image.fromarray(grey).convert("RGB")
    if image.mode.lower() in ("rgba", "la", "pa") or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(background, image).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(
    values: Shaped[np.ndarray, "height width"], is_integer: bool
) -> UInt8[np.ndarray, "height width"]:
    """Scale grey values from [0, white] to [0, 255]."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise _NotFinite
    whites = _INTEGER_WHITES if is_integer else _FLOAT_WHITES
    largest = values.max()
    white = next((white for white in whites if largest <= white), largest)
    return (np.clip(values / white, 0, 1) * 255).round().astype(np.uint8)
