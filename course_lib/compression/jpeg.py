"""The lossy stage of JPEG: colour transform, DCT of 8x8 blocks, quantisation (ITU-T T.81, T.871).

Of the lossless stage, only zigzag order and run-length coding are here; Huffman coding is left to
Pillow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int16, Num
from torch import Tensor
from torch.nn import functional as F

BLOCK = 8  # pixels
# T.81, annex K.1: the quantisation tables of quality 50, for luma and for chroma.
_LUMA_TABLE = """
    16  11  10  16  24  40  51  61
    12  12  14  19  26  58  60  55
    14  13  16  24  40  57  69  56
    14  17  22  29  51  87  80  62
    18  22  37  56  68 109 103  77
    24  35  55  64  81 104 113  92
    49  64  78  87 103 121 120 101
    72  92  95  98 112 100 103  99
"""
_CHROMA_TABLE = """
    17  18  24  47  99  99  99  99
    18  21  26  66  99  99  99  99
    24  26  56  99  99  99  99  99
    47  66  99  99  99  99  99  99
    99  99  99  99  99  99  99  99
    99  99  99  99  99  99  99  99
    99  99  99  99  99  99  99  99
    99  99  99  99  99  99  99  99
"""
# T.871, section 7.
_RGB_TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
# The level shift centres luma on 0, like chroma.
_LEVEL_SHIFT = torch.tensor([128.0, 0.0, 0.0])[:, None, None]


def rgb_to_ycbcr(image: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
    """RGB in [0, 1] to luma Y in [0, 1] and chroma Cb, Cr in [-0.5, 0.5]."""
    return torch.einsum("yc,chw->yhw", torch.tensor(_RGB_TO_YCBCR).to(image), image)


def ycbcr_to_rgb(image: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
    """The inverse of :func:`rgb_to_ycbcr`."""
    inverse = torch.linalg.inv(torch.tensor(_RGB_TO_YCBCR, dtype=torch.float64))
    return torch.einsum("cy,yhw->chw", inverse.to(image), image)


def to_planes(image: Float[Tensor, "3 height width"]) -> Float[Tensor, "3 height width"]:
    """The Y, Cb and Cr planes of an RGB image in [0, 1], as coded in JPEG.

    They hold integers from -128 to 127, luma after the level shift by 128.
    """
    return _round_half_up(rgb_to_ycbcr(image) * 255 - _LEVEL_SHIFT).clamp(-128, 127)


def to_blocks(plane: Float[Tensor, "height width"]) -> Float[Tensor, "rows columns 8 8"]:
    """Split a plane into 8x8 blocks.

    Raises:
        ValueError: if a side is not a multiple of 8.
    """
    height, width = plane.shape
    if height % BLOCK or width % BLOCK:
        raise ValueError(f"A plane of {height} x {width}: both must be multiples of {BLOCK}.")
    return plane.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(1, 2).contiguous()


def from_blocks(blocks: Float[Tensor, "rows columns 8 8"]) -> Float[Tensor, "height width"]:
    """The inverse of :func:`to_blocks`."""
    rows, columns, _, _ = blocks.shape
    return blocks.transpose(1, 2).reshape(rows * BLOCK, columns * BLOCK)


def dct_matrix(size: int = BLOCK) -> Float[Tensor, "size size"]:
    """The orthonormal DCT matrix: row k is a cosine with k half periods (T.81, annex A.3.3)."""
    k, x = torch.arange(size)[:, None], torch.arange(size)
    waves = torch.cos((2 * x + 1) * k * torch.pi / (2 * size)) * (2 / size) ** 0.5
    waves[0] /= 2**0.5
    return waves


def dct(blocks: Float[Tensor, "*count 8 8"]) -> Float[Tensor, "*count 8 8"]:
    """The 64 DCT coefficients of each block; the first (DC) is 8 times the block's mean."""
    waves = dct_matrix().to(blocks)
    return waves @ blocks @ waves.T


def inverse_dct(coefficients: Float[Tensor, "*count 8 8"]) -> Float[Tensor, "*count 8 8"]:
    """The inverse of :func:`dct`."""
    waves = dct_matrix().to(coefficients)
    return waves.T @ coefficients @ waves


def zigzag(table: Num[Tensor, "8 8"]) -> Num[Tensor, " 64"]:
    """The 64 entries of a table, diagonal by diagonal (T.81, figure A.6).

    Low frequencies come first, so that the zeros of a quantised block form long runs.
    """
    down, across = torch.meshgrid(torch.arange(BLOCK), torch.arange(BLOCK), indexing="ij")
    diagonal = down + across
    # Odd diagonals go down, even ones up.
    position = torch.where(diagonal % 2 == 1, down, across)
    return table.flatten()[(diagonal * BLOCK + position).flatten().argsort()]


def run_lengths(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of (number of zeros, non-zero coefficient after them); (0, 0) if zeros end the block.

    JPEG codes the AC coefficients in this form (T.81, F.1.2.2), but with runs of at most 15 zeros.

    Args:
        numbers: quantised coefficients in zigzag order.
    """
    pairs, zeros = [], 0
    for number in numbers:
        if number:
            pairs.append((zeros, number))
            zeros = 0
        else:
            zeros += 1
    return [*pairs, (0, 0)] if zeros else pairs


def quantisation_tables(quality: int) -> Float[Tensor, "3 8 8"]:
    """The quantisation steps of Y, Cb and Cr, scaled as in the Independent JPEG Group's library.

    Args:
        quality: 1 (coarsest) to 100.

    Raises:
        ValueError: if ``quality`` is out of range.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}: choose 1 to 100.")
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = [_LUMA_TABLE, _CHROMA_TABLE, _CHROMA_TABLE]
    base = torch.tensor([[int(step) for step in table.split()] for table in tables])
    return ((base * percent + 50) // 100).clamp(1, 255).float().view(3, BLOCK, BLOCK)


def quantise(
    coefficients: Float[Tensor, "*count 8 8"], steps: Float[Tensor, "8 8"]
) -> Float[Tensor, "*count 8 8"]:
    """DCT coefficients divided by the quantisation steps and rounded to integers."""
    return (coefficients / steps).round()


def encode_block(
    pixels: Float[Tensor, "8 8"], steps: Float[Tensor, "8 8"], waves: Float[Tensor, "8 8"]
) -> tuple[Float[Tensor, "8 8"], Float[Tensor, "8 8"]]:
    """The quantised coefficients of one block, and the decoded block.

    Args:
        pixels: luma from 0 to 255.
        steps: the quantisation steps.
        waves: :func:`dct_matrix`.
    """
    numbers = quantise(waves @ (pixels - 128) @ waves.T, steps)
    return numbers, (waves.T @ (numbers * steps) @ waves + 128).clamp(0, 255)


@dataclass(frozen=True)
class QuantisedImage:
    """The contents of a JPEG file before Huffman coding."""

    # Quantised coefficients of the Y, Cb and Cr blocks; most are 0.
    coefficients: tuple[Int16[Tensor, "_ _ 8 8"], ...]
    tables: Float[Tensor, "3 8 8"]  # the quantisation steps


def compress(
    image: Float[Tensor, "3 height width"], quality: int, subsample_chroma: bool = False
) -> QuantisedImage:
    """The lossy part of JPEG compression.

    Args:
        image: in [0, 1]; both sides are multiples of 8, or of 16 with ``subsample_chroma``.
        quality: 1 to 100.
        subsample_chroma: store one chroma value per 2x2 pixels ("4:2:0"), as most files do.

    Raises:
        ValueError: if the quality or a side is invalid.
    """
    tables = quantisation_tables(quality)
    luma, *chroma = to_planes(image)
    if subsample_chroma:
        chroma = [_round_half_up(F.avg_pool2d(plane[None], 2)[0]) for plane in chroma]
    coefficients = [
        quantise(dct(to_blocks(plane)), table).to(torch.int16)
        for plane, table in zip([luma, *chroma], tables, strict=True)
    ]
    return QuantisedImage(tuple(coefficients), tables)


def decompress(compressed: QuantisedImage) -> Float[Tensor, "3 height width"]:
    """The decoded RGB image, in [0, 1]."""
    planes = []
    for coefficients, table in zip(compressed.coefficients, compressed.tables, strict=True):
        plane = from_blocks(inverse_dct(coefficients.float() * table))
        planes.append(_round_half_up(plane).clamp(-128, 127))
    size = planes[0].shape[-2:]
    planes = [
        F.interpolate(plane[None, None], size, mode="bilinear", align_corners=False)[0, 0]
        for plane in planes
    ]
    return ycbcr_to_rgb((torch.stack(planes) + _LEVEL_SHIFT) / 255).clamp(0, 1)


def _round_half_up(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Round to integers, halves up as in the Independent JPEG Group's library."""
    return (values + 0.5).floor()
