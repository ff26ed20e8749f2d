"""Image codecs with a common interface: each returns the decoded image and the size in bytes."""

import io
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from course_lib.compression.pca import BlockPCA
from course_lib.compression.shortcut_autoencoder import Autoencoder
from course_lib.metrics.images import psnr, ssim

# Pillow's options for the smallest files.
_PILLOW_OPTIONS: dict[str, dict] = {"JPEG": {"optimize": True}, "WEBP": {"method": 6}}
_START_OF_IMAGE = b"\xff\xd8"  # a JPEG file begins with it
_START_OF_SCAN = 0xDA  # the marker of the last part before a JPEG file's codes
_RANGE_BYTES = 8  # minimum and maximum of a channel, 4 bytes each
# Without a container, as encoder and decoder share the settings. "lc": the upper 4 bits of the byte
# before select the probabilities of the next one; "pb": no structure of 4 bytes is assumed.
_LZMA = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}
_BATCH = 20  # images per forward pass of the autoencoder


@dataclass(frozen=True)
class EncodedImage:
    """The size of an encoded image, and the decoded image."""

    image: Float[Tensor, "3 height width"]  # decoded, in [0, 1]
    bytes: int
    header: int = 0  # how many of these bytes a JPEG file spends before its codes, on tables

    @property
    def bits_per_pixel(self) -> float:
        """The rate; 24 for an uncompressed 8-bit RGB image."""
        return 8 * self.bytes / self.image[0].numel()


class RateDistortion(NamedTuple):
    """Mean rate and quality over several images."""

    bits_per_pixel: float
    psnr: float  # dB
    ssim: float


def to_uint8(image: Float[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    """An image in [0, 1] as Pillow expects it: 0 to 255, channels last. Values are clamped."""
    return (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def pillow(
    image: Float[Tensor, "3 height width"], format: str, quality: int, **options: Any
) -> EncodedImage:
    """Encode with Pillow, as JPEG or WebP.

    Args:
        image: in [0, 1].
        format: ``"JPEG"``, with Huffman tables optimised for this image, or ``"WEBP"``, with the
            slowest, most effective method.
        quality: 1 to 100.
        options: further options of Pillow; ``subsampling=0`` keeps the full chroma resolution of a
            JPEG.

    Raises:
        ValueError: if the format is unknown or the quality out of range.
    """
    if format not in _PILLOW_OPTIONS or not 1 <= quality <= 100:
        formats = " or ".join(map(repr, _PILLOW_OPTIONS))
        raise ValueError(f"{format!r} at quality {quality}: choose {formats}, and 1 to 100.")
    return _open(_save(Image.fromarray(to_uint8(image)), format, quality, **options))


def _save(image: Image.Image, format: str, quality: int, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, quality=quality, **(_PILLOW_OPTIONS[format] | options))
    return file.getvalue()


def _open(file: bytes) -> EncodedImage:
    with Image.open(io.BytesIO(file)) as opened:
        pixels = np.asarray(opened.convert("RGB"), dtype=np.float32) / 255
    decoded = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    return EncodedImage(decoded, len(file), _jpeg_header(file))


def _jpeg_header(file: bytes) -> int:
    """The bytes of a JPEG file before its codes (ITU-T T.81, B.1.1): tables, sizes, markers; or 0.

    Each part before the codes is a marker of two bytes and, after the first marker, a length of
    two bytes that counts itself. The codes follow the part "start of scan".
    """
    if not file.startswith(_START_OF_IMAGE):
        return 0
    position, marker = 2, 0
    while marker != _START_OF_SCAN:
        marker = file[position + 1]
        position += 2 + int.from_bytes(file[position + 2 : position + 4], "big")
    return position


def pillow_within(
    max_bytes: int,
    image: Float[Tensor, "3 height width"],
    format: str = "JPEG",
    count_header: bool = True,
) -> EncodedImage:
    """The highest quality that takes at most ``max_bytes`` bytes.

    Args:
        max_bytes: of the file.
        image: in [0, 1].
        format: ``"JPEG"`` or ``"WEBP"``.
        count_header: whether the header of a JPEG file counts.

    Raises:
        ValueError: if even the lowest quality takes more.
    """
    pixels = Image.fromarray(to_uint8(image))

    def counted(file: bytes) -> int:
        return len(file) - (0 if count_header else _jpeg_header(file))

    low, high = 1, 100
    best = _save(pixels, format, low)
    if counted(best) > max_bytes:
        raise ValueError(
            f"Even quality 1 takes {counted(best)} bytes: allow more than {max_bytes} bytes."
        )
    while low < high:  # binary search: the size grows with the quality
        middle = (low + high + 1) // 2
        candidate = _save(pixels, format, middle)
        if counted(candidate) <= max_bytes:
            low, best = middle, candidate
        else:
            high = middle - 1
    return _open(best)


def quantise(
    latents: Float[Tensor, "channels height width"], bits: int
) -> tuple[UInt8[Tensor, "channels height width"], Float[Tensor, "channels 2"]]:
    """Integers from 0 to 2^bits - 1, and the minimum and maximum of each channel.

    Raises:
        ValueError: if ``bits`` is not 1 to 8.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits is {bits}: choose 1 to 8.")
    low, high = latents.amin((1, 2), keepdim=True), latents.amax((1, 2), keepdim=True)
    scaled = (latents - low) / (high - low).clamp(min=1e-12)
    return (scaled * (2**bits - 1)).round().byte(), torch.cat([low, high], 1)[..., 0]


def dequantise(
    numbers: UInt8[Tensor, "channels height width"], ranges: Float[Tensor, "channels 2"], bits: int
) -> Float[Tensor, "channels height width"]:
    """The inverse of :func:`quantise`, up to rounding."""
    low, high = ranges[:, 0, None, None], ranges[:, 1, None, None]
    return low + numbers.float() / (2**bits - 1) * (high - low)


@torch.no_grad()
def encode(
    model: Autoencoder, images: Float[Tensor, "*batch 3 height width"]
) -> Float[Tensor, "*batch channels rows columns"]:
    """The latent means of one image or of a batch.

    Args:
        model: on any device.
        images: in [0, 1], on the CPU.

    Returns:
        The means on the CPU, not multiplied by ``scaling_factor``.
    """
    device = next(model.parameters()).device
    batches = images.reshape(-1, *images.shape[-3:]).split(_BATCH)
    means = torch.cat(
        [model.encode(batch.to(device) * 2 - 1).mean.float().cpu() for batch in batches]
    )
    return means.view(*images.shape[:-3], *means.shape[1:])


@torch.no_grad()
def decode(
    model: Autoencoder, latents: Float[Tensor, "*batch channels rows columns"]
) -> Float[Tensor, "*batch 3 height width"]:
    """The inverse of :func:`encode`: images in [0, 1], on the CPU."""
    device = next(model.parameters()).device
    batches = latents.reshape(-1, *latents.shape[-3:]).split(_BATCH)
    images = torch.cat([model.decode(batch.to(device)).float().cpu() for batch in batches])
    return (images / 2 + 0.5).clamp(0, 1).view(*latents.shape[:-3], *images.shape[1:])


def compress_lzma(data: bytes) -> bytes:
    """The data, losslessly compressed by LZMA, as in .xz and .7z files."""
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=[_LZMA])


def autoencoder(
    model: Autoencoder, image: Float[Tensor, "3 height width"], bits: int | None = None
) -> EncodedImage:
    """The autoencoder's latent means, quantised and compressed with LZMA.

    Args:
        model: on any device.
        image: in [0, 1].
        bits: per value, 1 to 8; None: not quantised, 4 bytes per value.
    """
    return pack_latent(model, encode(model, image), bits)


def pack_latent(
    model: Autoencoder,
    latent: Float[Tensor, "channels rows columns"],
    bits: int | None = None,
    compress: Callable[[bytes], bytes] = compress_lzma,
) -> EncodedImage:
    """As :func:`autoencoder`, from a latent that :func:`encode` has computed.

    ``compress``: a lossless method of compression.
    """
    values, size = _quantise_and_pack(latent, bits, compress)
    return EncodedImage(decode(model, values), size)


def block_pca(
    model: BlockPCA, image: Float[Tensor, "3 height width"], bits: int | None = None
) -> EncodedImage:
    """The blocks' PCA coefficients, quantised and compressed as in :func:`autoencoder`."""
    latents, size = _quantise_and_pack(model.encode(image), bits)
    return EncodedImage(model.decode(latents), size)


def _quantise_and_pack(
    latents: Float[Tensor, "channels _ _"],
    bits: int | None,
    compress: Callable[[bytes], bytes] = compress_lzma,
) -> tuple[Float[Tensor, "channels _ _"], int]:
    """The dequantised values, and the size in bytes."""
    if bits is None:
        return latents, 4 * latents.numel()
    numbers, ranges = quantise(latents, bits)
    size = len(compress(numbers.numpy().tobytes())) + _RANGE_BYTES * len(ranges)
    return dequantise(numbers, ranges, bits), size


def rate_distortion(
    encoded: Sequence[EncodedImage], originals: Sequence[Float[Tensor, "3 height width"]]
) -> RateDistortion:
    """The mean rate and distortion of a codec over images.

    Args:
        encoded: one for each original.
        originals: in [0, 1], in the same order.

    Raises:
        ValueError: if there are no images, or the lists differ in length.
    """
    if not encoded or len(encoded) != len(originals):
        raise ValueError(
            f"{len(encoded)} encoded images and {len(originals)} originals: give at least one pair."
        )
    pairs = [(code.image, original) for code, original in zip(encoded, originals, strict=True)]
    return RateDistortion(
        float(np.mean([code.bits_per_pixel for code in encoded])),
        float(np.mean([psnr(*pair) for pair in pairs])),
        float(np.mean([ssim(*pair) for pair in pairs])),
    )
