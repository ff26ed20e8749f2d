"""JPEG's lossy half by hand: colours, cosine transform of 8x8 blocks, quantisation. ITU-T T.81 and
T.871.

What follows in a file, the packing of the whole numbers (Huffman coding), loses nothing and is left
to Pillow.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int16
from torch import Tensor
from torch.nn import functional as F

BLOCK = 8  # pixels
# T.81, annex K.1: how coarsely each of the 64 waves is stored at quality 50, for brightness and for
# colour.
LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
# T.871, section 7: red, green and blue to brightness and two differences of colour.
_TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
# so that brightness, too, can be below and above 0
_MIDDLE = torch.tensor([128.0, 0.0, 0.0])[:, None, None]


def ycbcr(image: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
    """Red, green, blue in [0, 1] to brightness in [0, 1] and two differences of colour in [-0.5,
    0.5].
    """
    return torch.einsum("yc,chw->yhw", torch.tensor(_TO_YCBCR).to(image), image)


def rgb(image: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
    """The way back from :func:`ycbcr`."""
    back = torch.linalg.inv(torch.tensor(_TO_YCBCR, dtype=torch.float64))
    return torch.einsum("cy,yhw->chw", back.to(image), image)


def planes(image: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
    """The planes of an image in [0, 1] as a file has them: whole numbers from -128 to 127,
    brightness less 128.
    """
    return _whole(ycbcr(image) * 255 - _MIDDLE).clamp(-128, 127)


def blocks(plane: Float[Tensor, "height width"]) -> Float[Tensor, "rows columns 8 8"]:
    """A plane cut into squares of 8x8.

    Raises:
        ValueError: if a side is no multiple of 8.
    """
    height, width = plane.shape
    if height % BLOCK or width % BLOCK:
        raise ValueError(f"A plane of {height} x {width}: both must be multiples of {BLOCK}.")
    return plane.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(1, 2).contiguous()


def plane(blocks: Float[Tensor, "rows columns 8 8"]) -> Float[Tensor, "height width"]:
    """The way back from :func:`blocks`."""
    rows, columns, _, _ = blocks.shape
    return blocks.transpose(1, 2).reshape(rows * BLOCK, columns * BLOCK)


def dct_matrix(size: int = BLOCK) -> Float[Tensor, "size size"]:
    """Row k is a cosine wave of k half periods, of length 1; all rows are at right angles: T.81,
    annex A.3.3.
    """
    k, x = torch.arange(size)[:, None], torch.arange(size)
    waves = torch.cos((2 * x + 1) * k * torch.pi / (2 * size)) * (2 / size) ** 0.5
    waves[0] /= 2**0.5
    return waves


def dct(blocks: Float[Tensor, "*count 8 8"]) -> Float[Tensor, "*count 8 8"]:
    """How much of each of the 64 waves a block holds; the first is eight times its mean."""
    waves = dct_matrix().to(blocks)
    return waves @ blocks @ waves.T


def inverse_dct(amounts: Float[Tensor, "*count 8 8"]) -> Float[Tensor, "*count 8 8"]:
    """The way back from :func:`dct`: the waves, added up."""
    waves = dct_matrix().to(amounts)
    return waves.T @ amounts @ waves


def tables(quality: int) -> Float[Tensor, "3 8 8"]:
    """The step of each wave, for brightness and the two colours, as the Independent JPEG Group
    scales them.

    Args:
        quality: 1 (coarsest) to 100.

    Raises:
        ValueError: if it is another number.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}: choose 1 to 100.")
    per_cent = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = torch.tensor([LUMA, CHROMA, CHROMA]).reshape(3, BLOCK, BLOCK)
    return ((base * per_cent + 50) // 100).clamp(1, 255).float()


@dataclass(frozen=True)
class Compressed:
    """What a JPEG file holds: whole numbers, most of them 0, and the steps that they count."""

    # of the blocks of brightness and of the two colours
    numbers: tuple[Int16[Tensor, "_ _ 8 8"], ...]
    steps: Float[Tensor, "3 8 8"]


def compress(
    image: Float[Tensor, "3 height width"], quality: int, halve_colours: bool = False
) -> Compressed:
    """Everything that JPEG throws away is thrown away here.

    Args:
        image: in [0, 1]; both sides are multiples of 8, or of 16 with ``halve_colours``.
        quality: 1 to 100.
        halve_colours: store one colour for each 2x2 pixels, as files usually do ("4:2:0").

    Raises:
        ValueError: if the quality or a side is something else.
    """
    steps = tables(quality)
    brightness, *colours = planes(image)
    if halve_colours:
        colours = [_whole(F.avg_pool2d(colour[None], 2)[0]) for colour in colours]
    parts = [brightness, *colours]
    numbers = [
        (dct(blocks(part)) / step).round().to(torch.int16)
        for part, step in zip(parts, steps, strict=True)
    ]
    return Compressed(tuple(numbers), steps)


def decompress(compressed: Compressed) -> Float[Tensor, "3 height width"]:
    """The picture that is left, in [0, 1]."""
    pairs = zip(compressed.numbers, compressed.steps, strict=True)
    parts = [
        _whole(plane(inverse_dct(numbers.float() * step))).clamp(-128, 127)
        for numbers, step in pairs
    ]
    full = parts[0].shape[-2:]
    parts = [
        F.interpolate(part[None, None], full, mode="bilinear", align_corners=False)[0, 0]
        for part in parts
    ]
    return rgb((torch.stack(parts) + _MIDDLE) / 255).clamp(0, 1)


def _whole(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The nearest whole numbers: a file keeps 8 bits of each plane, and halves go up as in the
    Group's library.
    """
    return (values + 0.5).floor()
