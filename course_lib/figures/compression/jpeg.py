"""The figures of lesson 4 about JPEG. Every number in them comes from
``course_lib.compression.jpeg``.
"""

from collections.abc import Sequence

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
from course_lib.compression.codecs import pillow, whole_bytes
from course_lib.figures.convolution.kernels import SIGNED, typeset
from course_lib.figures.style import INK, MUTED, ORANGE, PAPER, course_style
from course_lib.metrics.images import psnr

Picture = Float[Tensor, "3 height width"]
_LUMA = 0  # the first of the three planes


def picture(axes: Axes, image: Picture) -> None:
    """A picture in [0, 1] without axes around it."""
    axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
    axes.axis("off")


def colours(image: Picture) -> Figure:
    """A picture and its three planes after the colour transform: brightness, and two differences of
    colour.
    """
    planes = jpeg.ycbcr(image).numpy()
    blue = LinearSegmentedColormap.from_list("blue", ["#8A7A00", "#B0B0B0", "#0050FF"])
    red = LinearSegmentedColormap.from_list("red", ["#008C8C", "#B0B0B0", "#FF2000"])
    looks = (
        ("Y: brightness", "gray", (0, 1)),
        ("Cb: how blue", blue, (-0.35, 0.35)),
        ("Cr: how red", red, None),
    )
    with course_style():
        figure, panels = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
        picture(panels[0], image)
        panels[0].set_title("the photo")
        for axes, plane, (title, shades, limits) in zip(panels[1:], planes, looks, strict=True):
            low, high = limits or (-0.35, 0.35)
            axes.imshow(plane, cmap=shades, vmin=low, vmax=high)
            axes.axis("off")
            axes.set_title(f"{title}\nstd {plane.std():.3f}")
    return figure


def waves() -> Figure:
    """The 64 waves of which every block is a sum: white where a wave is positive, black where it is
    negative.
    """
    rows = jpeg.dct_matrix()
    with course_style():
        figure, axes = plt.subplots(figsize=(6, 6.2), layout="constrained")
        gap, side = 2, jpeg.BLOCK + 2
        sheet = np.full((jpeg.BLOCK * side - gap,) * 2, np.nan)
        for down, across in np.ndindex(jpeg.BLOCK, jpeg.BLOCK):
            wave = torch.outer(rows[down], rows[across]).numpy()
            sheet[down * side : down * side + 8, across * side : across * side + 8] = (
                wave / np.abs(wave).max()
            )
        # The first one is even: a white square would vanish on the white ground.
        shown = plt.get_cmap("gray")(0.5 + sheet / 2.3)
        shown[np.isnan(sheet)] = 1
        axes.imshow(shown)
        places = np.arange(jpeg.BLOCK) * side + 3.5
        axes.set_xticks(places, range(jpeg.BLOCK))
        axes.set_yticks(places, range(jpeg.BLOCK))
        axes.set(xlabel="half waves across", ylabel="half waves down")
        axes.xaxis.set_label_position("top")
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def sum_of_waves(
    block: Float[Tensor, "8 8"], counts: Sequence[int] = (1, 3, 6, 10, 21, 64)
) -> Figure:
    """One block of pixels in [0, 1], built up of its first waves, the slowest first.

    Raises:
        ValueError: if a count is not 1 to 64.
    """
    if not all(1 <= count <= 64 for count in counts):
        raise ValueError(f"counts are {list(counts)}: choose numbers from 1 to 64.")
    amounts = jpeg.dct(block)
    speed = torch.arange(8)[:, None] + torch.arange(8)
    order = (speed * 8 + torch.arange(8)).flatten().argsort(stable=True)  # diagonal by diagonal
    with course_style():
        figure, panels = plt.subplots(1, len(counts) + 1, figsize=(11, 2.3), layout="constrained")
        for axes, count in zip(panels, counts, strict=False):
            kept = torch.zeros(64)
            kept[order[:count]] = amounts.flatten()[order[:count]]
            back = jpeg.inverse_dct(kept.view(8, 8))
            axes.imshow(back.numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_title(f"{count} wave{'s' if count > 1 else ''}")
        panels[-1].imshow(block.numpy(), cmap="gray", vmin=0, vmax=1)
        panels[-1].set_title("the block")
        for axes in panels:
            axes.set_xticks([])
            axes.set_yticks([])
    return figure


def one_block(image: Picture, row: int, column: int, quality: int) -> Figure:
    """What JPEG does to the brightness of one 8x8 block, in six tables of 64 numbers.

    Args:
        image: in [0, 1], both sides multiples of 8.
        row, column: of the block, counted in blocks.
        quality: 1 to 100.

    Raises:
        ValueError: if there is no such block.
    """
    before = jpeg.blocks(jpeg.planes(image)[_LUMA] + 128)
    if not (0 <= row < before.shape[0] and 0 <= column < before.shape[1]):
        raise ValueError(
            f"Block ({row}, {column}): there are {before.shape[0]} rows of {before.shape[1]} blocks."
        )
    pixels = before[row, column]
    amounts, steps = jpeg.dct(pixels - 128), jpeg.tables(quality)[_LUMA]
    whole = (amounts / steps).round()
    back = (jpeg.inverse_dct(whole * steps) + 128).clamp(0, 255)
    top = float(amounts.flatten()[1:].abs().max())
    with course_style():
        figure, panels = plt.subplots(2, 3, figsize=(11, 7.9), layout="constrained")
        _table(panels[0, 0], pixels, "1 · pixels, 0 to 255", "grey")
        _table(panels[0, 1], amounts, "2 · minus 128: amounts of waves", top)
        _table(panels[0, 2], steps, f"3 · steps at quality {quality}", "plain")
        _table(
            panels[1, 0], whole, f"4 · rounded quotients: {int((whole != 0).sum())} are not 0", 0
        )
        _table(panels[1, 1], back, "5 · the pixels that come back", "grey")
        _table(
            panels[1, 2],
            back - pixels,
            f"6 · the error, at most {(back - pixels).abs().max():.0f}",
            60,
        )
    return figure


def _table(axes: Axes, values: Float[Tensor, "8 8"], title: str, look: str | float) -> None:
    """64 numbers in cells: grey as the pixels are, plain, or coloured by sign up to the number
    ``look``.
    """
    found = values.numpy()
    if look == "grey":
        axes.imshow(found, cmap="gray", vmin=0, vmax=255)
    elif look == "plain":
        axes.imshow(found, cmap="Greys", vmin=0, vmax=2.5 * found.max())
    else:
        # a dark ground would swallow the ink
        limit = 1.6 * float(look or max(1, np.abs(found.flat[1:]).max()))
        axes.imshow(found.clip(-limit / 1.6, limit / 1.6), cmap=SIGNED, vmin=-limit, vmax=limit)
    for row, column in np.ndindex(found.shape):
        value = found[row, column]
        ink = PAPER if look == "grey" and value < 128 else INK
        faint = not isinstance(look, str) and round(float(value)) == 0
        number = typeset(f"{value:.0f}")
        axes.text(
            column, row, number, ha="center", va="center", fontsize=9, color=MUTED if faint else ink
        )
    axes.set_xticks(np.arange(-0.5, 8), [])
    axes.set_yticks(np.arange(-0.5, 8), [])
    axes.grid(color=MUTED, linewidth=0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    axes.set_title(title, fontsize=11)


def at_qualities(
    image: Picture, qualities: Sequence[int], corner: tuple[int, int], side: int = 64
) -> Figure:
    """A photo as Pillow's JPEG at several qualities, and a piece of each enlarged.

    Args:
        image: in [0, 1].
        qualities: 1 to 100.
        corner: the top left pixel of the piece, its row and its column.
        side: of the piece, in pixels.
    """
    top, left = corner
    with course_style():
        columns = len(qualities) + 1
        figure, panels = plt.subplots(
            2, columns, figsize=(11, 2 * 11 / columns + 0.7), layout="constrained"
        )
        figure.get_layout_engine().set(h_pad=0.02, hspace=0.02)
        for index, (whole, piece) in enumerate(panels.T):
            stored = pillow(image, "JPEG", qualities[index - 1]) if index else None
            shown = stored.image if stored else image
            picture(whole, shown)
            picture(piece, shown[:, top : top + side, left : left + side])
            whole.add_patch(
                Rectangle((left, top), side, side, fill=False, edgecolor=ORANGE, linewidth=2.5)
            )
            if stored:
                whole.set_title(f"quality {qualities[index - 1]}\n{stored.bytes:,} bytes")
                _below(piece, f"{psnr(shown, image):.1f} dB")
            else:
                whole.set_title(f"original\n{image.numel():,} bytes")
                _below(piece, "the frame, enlarged")
    return figure


def _below(axes: Axes, words: str) -> None:
    axes.text(
        0.5, -0.04, words, transform=axes.transAxes, ha="center", va="top", color=MUTED, fontsize=10
    )


def ours_and_theirs(ours: Picture, theirs: Picture, times: int = 40) -> Figure:
    """A JPEG by hand, the same by Pillow, and their difference, which is enlarged so that it can be
    seen at all.

    Both are in [0, 1], and compared in whole grey levels, as files and screens have them.
    """
    apart = whole_bytes(ours).astype(int) - whole_bytes(theirs)
    found = np.abs(apart)
    with course_style():
        figure, panels = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
        for axes, shown, title in zip(
            panels, (ours, theirs), ("by hand", "by Pillow"), strict=False
        ):
            picture(axes, shown)
            axes.set_title(title)
        panels[2].imshow((128 + times * apart).clip(0, 255).astype(np.uint8))
        panels[2].axis("off")
        panels[2].set_title(f"difference, {times} times as strong")
        words = f"mean {found.mean():.2f} of 255 levels, largest {found.max()};"
        _below(panels[2], f"{words}\n{np.mean(found <= 1):.1%} by 1 level or less")
    return figure
