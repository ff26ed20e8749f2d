"""Ways to store a picture in few bytes, behind one face: the picture that comes back, and the bytes
it took.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from course_lib.compression.pca import BlockPCA
from course_lib.metrics.images import psnr, ssim
from course_lib.sd.vae import AutoencoderKL

_BEST: dict[str, dict] = {"JPEG": {"optimize": True}, "WEBP": {"method": 6}}
_RANGE_BYTES = 8  # lowest and highest value of a channel, 4 bytes each


@dataclass(frozen=True)
class Stored:
    """A picture as it comes back, in [0, 1], and how many bytes were stored."""

    image: Float[Tensor, "3 height width"]
    bytes: int

    @property
    def bits_per_pixel(self) -> float:
        """Where red, green and blue with 8 bits each have 24."""
        return 8 * self.bytes / self.image[0].numel()


class Point(NamedTuple):
    """What a way to store pictures costs and what it keeps, as means over the pictures."""

    bits_per_pixel: float
    psnr: float  # dB
    ssim: float


def whole_bytes(image: Float[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    """A picture in [0, 1] as Pillow takes it: 0 to 255, the channels last. What lies outside is
    clamped.
    """
    return (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def pillow(
    image: Float[Tensor, "3 height width"], format: str, quality: int, **options: Any
) -> Stored:
    """As a file of Pillow's own encoders.

    Args:
        image: in [0, 1].
        format: ``"JPEG"``, with Huffman tables made for this picture, or ``"WEBP"``, with its
            slowest search.
        quality: 1 to 100.
        options: more of Pillow's, as ``subsampling=0`` for a JPEG that keeps the colours of every
            pixel.

    Raises:
        ValueError: if there is no such format or quality.
    """
    if format not in _BEST or not 1 <= quality <= 100:
        raise ValueError(
            f"{format!r} at quality {quality}: choose {' or '.join(map(repr, _BEST))}, and 1 to 100."
        )
    file = io.BytesIO()
    Image.fromarray(whole_bytes(image)).save(
        file, format, quality=quality, **_BEST[format] | options
    )
    with Image.open(file) as read:
        back = np.asarray(read.convert("RGB"), dtype=np.float32) / 255
    return Stored(torch.from_numpy(back.transpose(2, 0, 1).copy()), len(file.getvalue()))


def at_most(size: int, image: Float[Tensor, "3 height width"], format: str = "JPEG") -> Stored:
    """The best of a format's qualities that stays within ``size`` bytes.

    Raises:
        ValueError: if even the lowest quality takes more.
    """
    low, high = 1, 100
    best = pillow(image, format, low)
    if best.bytes > size:
        raise ValueError(f"Even quality 1 takes {best.bytes} bytes, more than {size}: allow more.")
    while low < high:  # bytes grow with quality
        middle = (low + high + 1) // 2
        tried = pillow(image, format, middle)
        low, high, best = (middle, high, tried) if tried.bytes <= size else (low, middle - 1, best)
    return best


def quantise(
    latents: Float[Tensor, "channels height width"], bits: int
) -> tuple[UInt8[Tensor, "channels height width"], Float[Tensor, "channels 2"]]:
    """Values to whole numbers from 0 to 2^bits - 1, and each channel's lowest and highest value.

    Raises:
        ValueError: if ``bits`` is not 1 to 8.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits is {bits}: choose 1 to 8.")
    low, high = latents.amin((1, 2), keepdim=True), latents.amax((1, 2), keepdim=True)
    share = (latents - low) / (high - low).clamp(min=1e-12)
    return (share * (2**bits - 1)).round().byte(), torch.cat([low, high], 1)[..., 0]


def dequantise(
    numbers: UInt8[Tensor, "channels height width"], ranges: Float[Tensor, "channels 2"], bits: int
) -> Float[Tensor, "channels height width"]:
    """The way back from :func:`quantise`, but for the rounding."""
    low, high = ranges[:, 0, None, None], ranges[:, 1, None, None]
    return low + numbers.float() / (2**bits - 1) * (high - low)


@torch.no_grad()
def encoded(
    model: AutoencoderKL, image: Float[Tensor, "3 height width"]
) -> Float[Tensor, "latents rows columns"]:
    """The means of a picture's latent, on the CPU. The picture is in [0, 1], on the CPU too."""
    return (
        model.encode(image[None].to(next(model.parameters()).device) * 2 - 1).mean[0].float().cpu()
    )


@torch.no_grad()
def decoded(
    model: AutoencoderKL, latents: Float[Tensor, "latents rows columns"]
) -> Float[Tensor, "3 height width"]:
    """The picture of a latent, in [0, 1]; both are on the CPU."""
    back = model.decode(latents[None].to(next(model.parameters()).device))[0].float().cpu()
    return (back / 2 + 0.5).clamp(0, 1)


def autoencoder(
    model: AutoencoderKL, image: Float[Tensor, "3 height width"], bits: int | None = None
) -> Stored:
    """As the autoencoder's latent: its means, quantised and packed by zlib; with ``bits`` None as
    they are.

    ``image`` is in [0, 1]. Unquantised, 4 bytes a value are counted.
    """
    latents, size = _packed(encoded(model, image), bits)
    return Stored(decoded(model, latents), size)


def linear(
    code: BlockPCA, image: Float[Tensor, "3 height width"], bits: int | None = None
) -> Stored:
    """As the principal components of its blocks, stored in the same way as :func:`autoencoder`
    stores its latent.
    """
    latents, size = _packed(code.encode(image), bits)
    return Stored(code.decode(latents), size)


def _packed(
    latents: Float[Tensor, "channels _ _"], bits: int | None
) -> tuple[Float[Tensor, "channels _ _"], int]:
    """The values as they come back, and the bytes that they take."""
    if bits is None:
        return latents, 4 * latents.numel()
    numbers, ranges = quantise(latents, bits)
    size = len(zlib.compress(numbers.numpy().tobytes(), 9)) + _RANGE_BYTES * len(ranges)
    return dequantise(numbers, ranges, bits), size


def judge(stored: Sequence[Stored], pictures: Sequence[Float[Tensor, "3 height width"]]) -> Point:
    """What pictures cost that were stored in one way, and how near they came back: means over all.

    Args:
        stored: what became of each picture.
        pictures: as they were, in the same order.

    Raises:
        ValueError: if there is none, or one of the two has more.
    """
    if not stored or len(stored) != len(pictures):
        raise ValueError(
            f"{len(stored)} stored pictures and {len(pictures)} to compare with: give at least one pair."
        )
    pairs = list(zip((one.image for one in stored), pictures, strict=True))
    figures = (
        [one.bits_per_pixel for one in stored],
        [psnr(*pair) for pair in pairs],
        [ssim(*pair) for pair in pairs],
    )
    return Point(*(float(np.mean(each)) for each in figures))
