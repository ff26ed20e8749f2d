"""The animations of lessons 1 and 2: a kernel that slides, and kernels that are learned."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from course_lib.figures.diffusion.animation import show_gif
from course_lib.figures.images import gif_bytes
from course_lib.figures.style import FAINT, INK, MUTED, ORANGE, PAPER, font

_CELL, _GAP, _TITLE = 30, 46, 30  # screen pixels


def show_sliding_kernel(
    image: Float[Tensor, "height width"], kernel: Float[Tensor, "side side"]
) -> None:
    """Show :func:`sliding_frames` as an animation."""
    frames = sliding_frames(image, kernel)
    show_gif(
        gif_bytes(frames, milliseconds=110),
        alt=f"An animation. A frame of {kernel.shape[0]} by {kernel.shape[1]} pixels moves over a "
        "small image, row by row; at each position one output pixel appears next to it.",
        caption="The same kernel visits every position. The frame is its window; it reaches over "
        "the border, where the missing pixels count as 0.",
    )


def sliding_frames(
    image: Float[Tensor, "height width"], kernel: Float[Tensor, "side side"]
) -> list[Image.Image]:
    """A frame for each output pixel: the window on the input, and the output so far.

    Args:
        image: in [0, 1], about 8x8.
        kernel: of odd side; the image is padded with zeros, so that the output has its size.
    """
    reach = kernel.shape[0] // 2
    output = F.conv2d(image[None, None], kernel[None, None], padding=reach)[0, 0]
    low, high = float(output.min()), float(output.max())
    shades = (output - low) / max(high - low, 1e-9)
    height, width = image.shape
    frames = []
    for row, column in np.ndindex(height, width):
        done = row * width + column + 1
        sheet, pen, right = _blank(height, width)
        _cells(pen, image, _CELL, image.numel())
        _cells(pen, shades, right, done)
        corner = (_CELL * (column - reach + 1), _TITLE + _CELL * (row - reach))
        end = tuple(start + _CELL * kernel.shape[0] for start in corner)
        pen.rectangle((*corner, *end), outline=ORANGE, width=4)
        corner = (right + _CELL * column, _TITLE + _CELL * row)
        pen.rectangle((*corner, corner[0] + _CELL, corner[1] + _CELL), outline=ORANGE, width=4)
        frames.append(sheet)
    return frames


def _blank(height: int, width: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """An empty frame with its titles; the third value is the left edge of the output."""
    right = _CELL * (width + 1) + _GAP
    size = (right + _CELL * width + 4, _TITLE + _CELL * (height + 1))
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for left, title in ((_CELL, "input"), (right, "output so far")):
        pen.text((left, _TITLE / 2), title, fill=INK, font=font(15, bold=True), anchor="lm")
    return sheet, pen, right


def _cells(pen: ImageDraw.ImageDraw, shades: Tensor, left: int, count: int) -> None:
    """Draw the first ``count`` pixels of an image in [0, 1], the others empty."""
    for index, shade in enumerate(shades.flatten().tolist()):
        row, column = divmod(index, shades.shape[1])
        corner = (left + _CELL * column, _TITLE + _CELL * row)
        grey = round(255 * shade)
        fill = (grey, grey, grey) if index < count else PAPER
        box = (*corner, corner[0] + _CELL, corner[1] + _CELL)
        pen.rectangle(box, fill=fill, outline=MUTED if index < count else FAINT)


def show_learning_kernels(
    stages: Sequence[Float[Tensor, "kernels 3 side side"]], titles: Sequence[str]
) -> None:
    """Show kernels at several stages of their training as an animation, one frame per stage."""
    frames = [_gallery(kernels, title) for kernels, title in zip(stages, titles, strict=True)]
    show_gif(
        gif_bytes(frames, milliseconds=700),
        alt=f"An animation of {len(stages[0])} kernels in a grid. They begin as noise and become "
        "stripes in several directions and patches of colour.",
        caption="All kernels, from the first step to the last. Mid grey is zero.",
    )


def _gallery(
    kernels: Float[Tensor, "kernels 3 side side"], title: str, columns: int = 8
) -> Image.Image:
    cell, rows = 60, -(-len(kernels) // columns)
    sheet = Image.new("RGB", (columns * cell, rows * cell + _TITLE), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((4, _TITLE / 2), title, fill=INK, font=font(15, bold=True), anchor="lm")
    for index, kernel in enumerate(kernels):
        row, column = divmod(index, columns)
        scaled = (kernel / kernel.abs().max() * 127.5 + 127.5).to(torch.uint8)
        tile = Image.fromarray(scaled.permute(1, 2, 0).numpy())
        tile = tile.resize((cell - 6, cell - 6), Image.Resampling.NEAREST)
        sheet.paste(tile, (column * cell + 3, _TITLE + row * cell + 3))
    return sheet
