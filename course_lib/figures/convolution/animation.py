"""The animations of lessons 1 and 2: a kernel that slides, and kernels that are learned."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from course_lib.figures.diffusion.animation import show_gif
from course_lib.figures.fully_connected import WEIGHT_COLOURS
from course_lib.figures.images import gif_bytes
from course_lib.figures.style import FAINT, INK, MUTED, ORANGE, PAPER, font

_CELL, _GAP, _TITLE = 26, 22, 28  # screen pixels
_WEIGHT = 44  # the side of a cell that holds a number
_SLOW = 10  # so many frames are shown long enough to read the sum


def show_sliding_kernel(
    image: Float[Tensor, "height width"], kernel: Float[Tensor, "side side"], bias: float = 0.0
) -> None:
    """Show :func:`sliding_frames` as an animation, slowly at first."""
    frames = sliding_frames(image, kernel, bias)
    frames = [frame for frame in frames[:_SLOW] for _ in range(5)] + frames[_SLOW:]
    side = kernel.shape[0]
    show_gif(
        gif_bytes(frames, milliseconds=200),
        alt=f"An animation. A frame of {side} by {side} pixels moves row by row over a small image "
        "with a ring of zeros around it. Below stand the weights of the kernel, the pixels in the "
        "frame, and the sum of their products plus the bias. It becomes one pixel of the output.",
        caption="The same weights visit every position. In the input black is 0; in the output, "
        "which has negative numbers too, 0 is mid grey. Weights: pink below zero, green above.",
    )


def sliding_frames(
    image: Float[Tensor, "height width"], kernel: Float[Tensor, "side side"], bias: float = 0.0
) -> list[Image.Image]:
    """A frame for each output pixel: the window on the input, the output so far, and the sum.

    Args:
        image: in [0, 1], about 8x8.
        kernel: of odd side, at most 3 if the numbers are to fit; the image is padded with zeros,
            so that the output has its size.
        bias: added to each sum.
    """
    reach = kernel.shape[0] // 2
    padded = F.pad(image, [reach] * 4)
    products = F.conv2d(image[None, None], kernel[None, None], padding=reach)[0, 0]
    output = products + bias
    shades = 0.5 + output / (2 * output.abs().max().clamp(min=1e-9))
    frames = []
    for done, (row, column) in enumerate(np.ndindex(*image.shape), 1):
        sheet, pen, right = _blank(image.shape, kernel.shape[0])
        _cells(pen, padded, (0, _TITLE), padded.numel())
        _zeros(pen, padded.shape, reach)
        _cells(pen, shades, (right, _TITLE + _CELL * reach), done)
        _frame(pen, (_CELL * column, _TITLE + _CELL * row), kernel.shape[0])
        _frame(pen, (right + _CELL * column, _TITLE + _CELL * (row + reach)), 1)
        window = padded[row : row + kernel.shape[0], column : column + kernel.shape[0]]
        top = 2 * _TITLE + _CELL * len(padded)
        _sum(pen, top, kernel, window, (float(products[row, column]), bias))
        frames.append(sheet)
    return frames


def _blank(shape: Sequence[int], side: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """An empty frame with its titles; the third value is the left edge of the output."""
    height, width = (size + side - 1 for size in shape)
    right = _CELL * width + _GAP
    size = (
        max(right + _CELL * shape[1] + 4, 2 * side * _WEIGHT + 236),
        2 * _TITLE + _CELL * height + _WEIGHT * side + 6,
    )
    sheet = Image.new("RGB", size, PAPER)
    pen, below = ImageDraw.Draw(sheet), _TITLE * 1.5 + _CELL * height
    for left, y, title in (
        (0, _TITLE / 2, "input, zeros around it"),
        (right, _TITLE / 2, "output so far"),
        (0, below, "kernel"),
        (side * _WEIGHT + 34, below, "window"),
    ):
        pen.text((left, y), title, fill=INK, font=font(16, bold=True), anchor="lm")
    return sheet, pen, right


def _frame(pen: ImageDraw.ImageDraw, corner: tuple[int, int], cells: int) -> None:
    """An orange frame around some cells of an image."""
    left, top = corner
    end = (left + _CELL * cells, top + _CELL * cells)
    pen.rectangle((left, top, *end), outline=ORANGE, width=4)


def _zeros(pen: ImageDraw.ImageDraw, shape: Sequence[int], reach: int) -> None:
    """The zeros of the padding, as empty cells with the digit 0."""
    height, width = shape
    for row, column in np.ndindex(height, width):
        if reach <= row < height - reach and reach <= column < width - reach:
            continue
        left, top = _CELL * column, _TITLE + _CELL * row
        pen.rectangle((left, top, left + _CELL, top + _CELL), fill=PAPER, outline=FAINT)
        middle = (left + _CELL / 2, top + _CELL / 2)
        pen.text(middle, "0", fill=MUTED, font=font(14), anchor="mm")


def _sum(
    pen: ImageDraw.ImageDraw,
    top: int,
    kernel: Float[Tensor, "side side"],
    window: Float[Tensor, "side side"],
    terms: tuple[float, float],
) -> None:
    """The weights, the pixels under them, and the sum of their products plus the bias.

    Args:
        top: where the numbers begin, in screen pixels.
        terms: the sum of the products, and the bias.
    """
    side = len(kernel)
    weights = WEIGHT_COLOURS((kernel / kernel.abs().max().clamp(min=1e-9)).numpy() / 2 + 0.5)
    middle = top + side * _WEIGHT / 2
    start = side * _WEIGHT + 34
    pen.text((start - 17, middle), "\u00d7", fill=INK, font=font(20), anchor="mm")
    for row, column in np.ndindex(side, side):
        colour = tuple(round(255 * part) for part in weights[row, column][:3])
        grey = round(255 * float(window[row, column]))
        for left, value, fill in (
            (0, kernel[row, column], colour),
            (start, window[row, column], (grey, grey, grey)),
        ):
            x, y = left + _WEIGHT * column, top + _WEIGHT * row
            pen.rectangle((x, y, x + _WEIGHT, y + _WEIGHT), fill=fill, outline=MUTED)
            ink = PAPER if sum(fill) < 3 * 110 else INK
            centre = (x + _WEIGHT / 2, y + _WEIGHT / 2)
            pen.text(centre, _signed(value), fill=ink, font=font(14), anchor="mm")
    total, bias = terms
    names, values = start + side * _WEIGHT + 14, start + side * _WEIGHT + 196
    for line, (name, value) in enumerate(
        (("sum of products", total), ("+ bias", bias), ("=", total + bias))
    ):
        face, y = font(15, bold=line == 2), top + (line + 0.5) * _WEIGHT
        pen.text((names, y), name, fill=INK, font=face, anchor="lm")
        pen.text((values, y), _signed(value), fill=INK, font=face, anchor="rm")


def _signed(value: float | Tensor) -> str:
    """A number with two decimals and a true minus sign."""
    return f"{float(value):.2f}".replace("-0.00", "0.00").replace("-", "\u2212")


def _cells(pen: ImageDraw.ImageDraw, shades: Tensor, corner: tuple[int, int], count: int) -> None:
    """Draw the first ``count`` pixels of an image in [0, 1], the others empty."""
    for index, shade in enumerate(shades.flatten().tolist()):
        row, column = divmod(index, shades.shape[1])
        left, top = corner[0] + _CELL * column, corner[1] + _CELL * row
        grey = round(255 * shade)
        fill = (grey, grey, grey) if index < count else PAPER
        box = (left, top, left + _CELL, top + _CELL)
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
