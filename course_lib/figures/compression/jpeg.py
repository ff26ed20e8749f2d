"""The figures of lesson 4 about JPEG; their numbers come from ``course_lib.compression.jpeg``."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.compression import jpeg
from course_lib.compression.codecs import pillow, to_uint8
from course_lib.figures.convolution.kernels import format_number
from course_lib.figures.style import DIVERGING, INK, MUTED, ORANGE, PAPER, course_style
from course_lib.metrics.images import psnr

Image = Float[Tensor, "3 height width"]
_LUMA = 0  # the first of the three planes


def draw_image(axes: Axes, image: Image) -> None:
    """Draw an image in [0, 1], without axes."""
    axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
    axes.axis("off")


def colour_planes(image: Image) -> Figure:
    """An image and its three planes after the colour transform: luma and two chroma planes."""
    planes = jpeg.rgb_to_ycbcr(image).numpy()
    blue = LinearSegmentedColormap.from_list("blue", ["#8A7A00", "#B0B0B0", "#0050FF"])
    red = LinearSegmentedColormap.from_list("red", ["#008C8C", "#B0B0B0", "#FF2000"])
    styles = (
        ("Y: brightness", "gray", (0, 1)),
        ("Cb: how blue", blue, (-0.35, 0.35)),
        ("Cr: how red", red, (-0.35, 0.35)),
    )
    with course_style():
        figure, panels = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
        draw_image(panels[0], image)
        panels[0].set_title("the photo")
        for axes, plane, (title, cmap, (low, high)) in zip(panels[1:], planes, styles, strict=True):
            axes.imshow(plane, cmap=cmap, vmin=low, vmax=high)
            axes.axis("off")
            axes.set_title(f"{title}\nstd {plane.std():.3f}")
    return figure


def dct_basis() -> Figure:
    """The 64 basis functions of the DCT: white is positive, black negative."""
    rows = jpeg.dct_matrix()
    with course_style():
        figure, axes = plt.subplots(figsize=(6, 6.2), layout="constrained")
        gap, side = 2, jpeg.BLOCK + 2
        canvas = np.full((jpeg.BLOCK * side - gap,) * 2, np.nan)
        for down, across in np.ndindex(jpeg.BLOCK, jpeg.BLOCK):
            basis = torch.outer(rows[down], rows[across]).numpy()
            canvas[down * side : down * side + 8, across * side : across * side + 8] = (
                basis / np.abs(basis).max()
            )
        # The first function is constant: pure white would be invisible on the white background.
        pixels = plt.get_cmap("gray")(0.5 + canvas / 2.3)
        pixels[np.isnan(canvas)] = 1
        axes.imshow(pixels)
        ticks = np.arange(jpeg.BLOCK) * side + 3.5
        axes.set_xticks(ticks, range(jpeg.BLOCK))
        axes.set_yticks(ticks, range(jpeg.BLOCK))
        axes.set(
            xlabel="horizontal frequency (half waves per block)",
            ylabel="vertical frequency (half waves per block)",
        )
        axes.xaxis.set_label_position("top")
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def dct_reconstruction(
    block: Float[Tensor, "8 8"],
    counts: Sequence[int] = (1, 3, 6, 10, 21, 64),
    photo: Image | None = None,
    position: tuple[int, int] = (0, 0),
) -> Figure:
    """A block of pixels in [0, 1], reconstructed from its lowest frequencies.

    Args:
        block: the pixels.
        counts: how many coefficients to use in each panel, diagonal by diagonal.
        photo: contains the block; it is drawn first, and below it an enlarged crop of it, in which
            the block is outlined. The crop is outlined in the photo.
        position: row and column of the block in the photo, counted in blocks.

    Raises:
        ValueError: if a count is not from 1 to 64.
    """
    if not all(1 <= count <= 64 for count in counts):
        raise ValueError(f"counts are {list(counts)}: choose numbers from 1 to 64.")
    coefficients = jpeg.dct(block)
    diagonal = torch.arange(8)[:, None] + torch.arange(8)
    order = (diagonal * 8 + torch.arange(8)).flatten().argsort(stable=True)
    titles = [f"{count} wave{'s' if count > 1 else ''}" for count in counts]
    pairs = zip(counts, titles, strict=True)
    titles = ["64: the block" if count == 64 else title for count, title in pairs]
    with course_style():
        figure = plt.figure(figsize=(10, 5.7), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.08, w_pad=0.04)
        first = 0 if photo is None else 1
        columns = -(-len(counts) // 2)
        grid = figure.add_gridspec(2, first + columns)
        if photo is not None:
            upper, lower = (figure.add_subplot(grid[line, 0]) for line in range(2))
            _draw_block_position(upper, lower, photo, *position)
        for index, (title, count) in enumerate(zip(titles, counts, strict=True)):
            axes = figure.add_subplot(grid[index // columns, first + index % columns])
            lowest = torch.zeros(64)
            lowest[order[:count]] = coefficients.flatten()[order[:count]]
            shown = jpeg.inverse_dct(lowest.view(8, 8))
            axes.imshow(shown.numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.set_title(title)
    return figure


def _draw_block_position(upper: Axes, lower: Axes, photo: Image, row: int, column: int) -> None:
    """The photo with an outlined crop, and the crop with exactly the block outlined."""
    side = 40  # pixels of the crop, 5 blocks
    height, width = photo.shape[1:]
    top = min(max(8 * row - 16, 0), max(height - side, 0))
    left = min(max(8 * column - 16, 0), max(width - side, 0))
    draw_image(upper, photo)
    draw_image(lower, photo[:, top : top + side, left : left + side])
    outline: dict[str, Any] = {"fill": False, "edgecolor": ORANGE, "linewidth": 2}
    # The centre of a pixel has integer coordinates, so a pixel begins half a pixel before.
    upper.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, **outline))
    corner = (8 * column - left - 0.5, 8 * row - top - 0.5)
    lower.add_patch(Rectangle(corner, 8, 8, **outline))
    upper.set_title("the photo")
    lower.set_title("the block in it")


def block_tables(image: Image, row: int, column: int, quality: int) -> Figure:
    """What JPEG does to the luma of one 8x8 block, in six tables of 64 numbers.

    Args:
        image: in [0, 1], both sides multiples of 8.
        row: of the block, counted in blocks.
        column: of the block.
        quality: 1 to 100.

    Raises:
        ValueError: if there is no such block.
    """
    blocks = jpeg.to_blocks(jpeg.to_planes(image)[_LUMA] + 128)
    if not (0 <= row < blocks.shape[0] and 0 <= column < blocks.shape[1]):
        raise ValueError(
            f"There is no block ({row}, {column}): choose one of the {blocks.shape[0]} rows of "
            f"{blocks.shape[1]} blocks, counted from 0."
        )
    pixels = blocks[row, column]
    coefficients = jpeg.dct(pixels - 128)
    table = jpeg.quantisation_tables(quality)[_LUMA]
    quantised = (coefficients / table).round()
    decoded = (jpeg.inverse_dct(quantised * table) + 128).clamp(0, 255)
    error = decoded - pixels
    nonzero = int((quantised != 0).sum())
    largest = float(coefficients.flatten()[1:].abs().max())
    with course_style():
        figure, panels = plt.subplots(2, 3, figsize=(11, 7.9), layout="constrained")
        upper, lower = panels
        _draw_table(upper[0], pixels, "1 · pixels, 0 to 255", "grey")
        _draw_table(upper[1], coefficients, "2 · DCT of pixels − 128", largest)
        _draw_table(upper[2], table, f"3 · quantisation table, quality {quality}", "plain")
        _draw_table(lower[0], quantised, f"4 · quantised: {nonzero} are not 0", 0)
        _draw_table(lower[1], decoded, "5 · decoded pixels", "grey")
        _draw_table(lower[2], error, f"6 · error, at most {error.abs().max():.0f}", 60)
    return figure


def _draw_table(
    axes: Axes, values: Float[Tensor, "8 8"], title: str, colouring: str | float | int
) -> None:
    """Draw 64 numbers in coloured cells.

    Args:
        axes: where to draw.
        values: the numbers.
        title: of the table.
        colouring: "grey" for pixels, "plain", or the limit of the diverging colours; 0 sets it to
            the largest AC coefficient.
    """
    numbers = values.numpy()
    if colouring == "grey":
        axes.imshow(numbers, cmap="gray", vmin=0, vmax=255)
    elif colouring == "plain":
        axes.imshow(numbers, cmap="Greys", vmin=0, vmax=2.5 * numbers.max())
    else:
        limit = float(colouring or max(1, np.abs(numbers.flat[1:]).max()))
        # The darkest colours are left out, or dark text would be illegible on them.
        axes.imshow(
            numbers.clip(-limit, limit), cmap=DIVERGING, vmin=-1.6 * limit, vmax=1.6 * limit
        )
    for row, column in np.ndindex(numbers.shape):
        value = numbers[row, column]
        ink = PAPER if colouring == "grey" and value < 128 else INK
        if not isinstance(colouring, str) and round(float(value)) == 0:
            ink = MUTED
        text = format_number(f"{value:.0f}")
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=ink)
    axes.set_xticks(np.arange(-0.5, 8), [])
    axes.set_yticks(np.arange(-0.5, 8), [])
    axes.grid(color=MUTED, linewidth=0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    axes.set_title(title, fontsize=11)


def compare_qualities(
    image: Image, qualities: Sequence[int], corner: tuple[int, int], side: int = 64
) -> Figure:
    """A photo as Pillow's JPEG at several qualities, each with an enlarged crop.

    Args:
        image: in [0, 1].
        qualities: 1 to 100.
        corner: row and column of the crop's top left pixel.
        side: of the crop, in pixels.
    """
    top, left = corner
    columns = len(qualities) + 1
    with course_style():
        figure, panels = plt.subplots(
            2, columns, figsize=(11, 2 * 11 / columns + 0.7), layout="constrained"
        )
        figure.get_layout_engine().set(h_pad=0.02, hspace=0.02)
        for (upper, lower), quality in zip(panels.T, [None, *qualities], strict=True):
            decoded = image
            title, caption = f"original\n{image.numel():,} bytes", "enlarged crop"
            if quality is not None:
                encoded = pillow(image, "JPEG", quality)
                decoded = encoded.image
                title = f"quality {quality}\n{encoded.bytes:,} bytes"
                caption = f"{psnr(decoded, image):.1f} dB"
            draw_image(upper, decoded)
            draw_image(lower, decoded[:, top : top + side, left : left + side])
            upper.add_patch(
                Rectangle((left, top), side, side, fill=False, edgecolor=ORANGE, linewidth=2.5)
            )
            upper.set_title(title)
            _draw_caption(lower, caption)
    return figure


def _draw_caption(axes: Axes, text: str) -> None:
    axes.text(
        0.5, -0.04, text, transform=axes.transAxes, ha="center", va="top", color=MUTED, fontsize=10
    )


def compare_with_pillow(ours: Image, theirs: Image, times: int = 40, rounding: int = 2) -> Figure:
    """The course's JPEG, Pillow's JPEG, and their amplified difference.

    Rounding decoded planes and pixels changes values by one or two levels. The difference image
    omits such small differences, and so shows the effect of different coefficients.

    Args:
        ours: decoded, in [0, 1]; compared after rounding to 8 bits.
        theirs: the same image decoded from Pillow's file.
        times: the factor by which the difference is amplified.
        rounding: pixels that differ by at most this many levels, of 255, are drawn as equal.
    """
    difference = to_uint8(ours).astype(int) - to_uint8(theirs)
    error = np.abs(difference)
    shown = np.where(error.max(2, keepdims=True) > rounding, difference, 0)
    with course_style():
        figure, panels = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
        draw_image(panels[0], ours)
        panels[0].set_title("ours")
        draw_image(panels[1], theirs)
        panels[1].set_title("Pillow")
        panels[2].imshow((128 + times * shown).clip(0, 255).astype(np.uint8))
        panels[2].axis("off")
        panels[2].set_title(f"difference over {rounding} levels, × {times}")
        _draw_caption(
            panels[2],
            f"mean {error.mean():.2f} of 255 levels, largest {error.max()};\n"
            f"{np.mean(error <= rounding):.1%} by {rounding} levels or less",
        )
    return figure
