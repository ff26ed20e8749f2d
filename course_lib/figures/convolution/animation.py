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
from course_lib.figures.style import BLACK, FAINT, INK, MUTED, ORANGE, PAPER, font

_CELL, _GAP, _TITLE = 26, 22, 28  # screen pixels
_WEIGHT = 44  # the side of a cell that holds a number
_SLOW_FRAMES = 10  # the first frames stay long enough to read the sum


def show_sliding_kernel(
    image: Float[Tensor, "height width"], kernel: Float[Tensor, "side side"], bias: float = 0.0
) -> None:
    """Show :func:`sliding_frames` as an animation, slowly at first."""
    frames = sliding_frames(image, kernel, bias)
    frames = [frame for frame in frames[:_SLOW_FRAMES] for _ in range(5)] + frames[_SLOW_FRAMES:]
    side = kernel.shape[0]
    show_gif(
        gif_bytes(frames, milliseconds=200),
        alt=f"An animation. An outline of {side} by {side} pixels moves row by row over a small "
        "zero-padded image. Below are the weights of the kernel, the pixels inside the outline, "
        "and the sum of their products plus the bias, which becomes one pixel of the output.",
        caption="The same weights visit every position. In the input black is 0, as in the border "
        "of zeros; in the output, "
        "which has negative numbers too, 0 is mid grey. Weights: pink below zero, green above.",
    )


def sliding_frames(
    image: Float[Tensor, "height width"], kernel: Float[Tensor, "side side"], bias: float = 0.0
) -> list[Image.Image]:
    """A frame for each output pixel: the window on the input, the output so far, and the sum.

    Args:
        image: in [0, 1], about 8x8.
        kernel: of odd size, at most 3 so that the numbers fit; zero padding keeps the output the
            same size as the image.
        bias: added to each sum.
    """
    padding = kernel.shape[0] // 2
    padded = F.pad(image, [padding] * 4)
    sums = F.conv2d(image[None, None], kernel[None, None], padding=padding)[0, 0]
    output = sums + bias
    normalised = 0.5 + output / (2 * output.abs().max().clamp(min=1e-9))
    frames = []
    for computed, (row, column) in enumerate(np.ndindex(*image.shape), 1):
        canvas, draw, right = _blank_frame(image.shape, kernel.shape[0])
        _draw_pixels(draw, padded, (0, _TITLE), padded.numel())
        _draw_padding(draw, padded.shape, padding)
        _draw_pixels(draw, normalised, (right, _TITLE + _CELL * padding), computed)
        _draw_outline(draw, (_CELL * column, _TITLE + _CELL * row), kernel.shape[0])
        _draw_outline(draw, (right + _CELL * column, _TITLE + _CELL * (row + padding)), 1)
        window = padded[row : row + kernel.shape[0], column : column + kernel.shape[0]]
        top = 2 * _TITLE + _CELL * len(padded)
        _draw_sum(draw, top, kernel, window, (float(sums[row, column]), bias))
        frames.append(canvas)
    return frames


def _blank_frame(shape: Sequence[int], side: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """An empty frame with its titles; the third value is the left edge of the output."""
    height, width = (size + side - 1 for size in shape)
    right = _CELL * width + _GAP
    size = (
        max(right + _CELL * shape[1] + 4, 2 * side * _WEIGHT + 236),
        2 * _TITLE + _CELL * height + _WEIGHT * side + 6,
    )
    canvas = Image.new("RGB", size, PAPER)
    draw, below = ImageDraw.Draw(canvas), _TITLE * 1.5 + _CELL * height
    for left, y, title in (
        (0, _TITLE / 2, "zero-padded input"),
        (right, _TITLE / 2, "output so far"),
        (0, below, "kernel"),
        (side * _WEIGHT + 34, below, "\u00d7 window, entry by entry"),
    ):
        draw.text((left, y), title, fill=INK, font=font(16, bold=True), anchor="lm")
    return canvas, draw, right


def _draw_outline(draw: ImageDraw.ImageDraw, corner: tuple[int, int], cells: int) -> None:
    """Outline a square of ``cells`` by ``cells`` pixels of an image in orange."""
    left, top = corner
    end = (left + _CELL * cells, top + _CELL * cells)
    draw.rectangle((left, top, *end), outline=ORANGE, width=4)


def _draw_padding(draw: ImageDraw.ImageDraw, shape: Sequence[int], padding: int) -> None:
    """Draw the padding as black cells with the digit 0, and a line around the image."""
    height, width = shape
    for row, column in np.ndindex(height, width):
        if padding <= row < height - padding and padding <= column < width - padding:
            continue
        left, top = _CELL * column, _TITLE + _CELL * row
        draw.rectangle((left, top, left + _CELL, top + _CELL), fill=BLACK, outline=MUTED)
        middle = (left + _CELL / 2, top + _CELL / 2)
        draw.text(middle, "0", fill=FAINT, font=font(14), anchor="mm")
    inside = (_CELL * padding, _TITLE + _CELL * padding)
    end = (_CELL * (width - padding), _TITLE + _CELL * (height - padding))
    draw.rectangle((*inside, *end), outline=PAPER, width=2)


def _draw_sum(
    draw: ImageDraw.ImageDraw,
    top: int,
    kernel: Float[Tensor, "side side"],
    window: Float[Tensor, "side side"],
    terms: tuple[float, float],
) -> None:
    """Draw the weights, the pixels of the window, and the sum of their products plus the bias.

    Args:
        top: the upper edge of the numbers, in screen pixels.
        terms: the sum of the products, and the bias.
    """
    side = len(kernel)
    weights = WEIGHT_COLOURS((kernel / kernel.abs().max().clamp(min=1e-9)).numpy() / 2 + 0.5)
    start = side * _WEIGHT + 34
    for row, column in np.ndindex(side, side):
        colour = tuple(round(255 * part) for part in weights[row, column][:3])
        grey = round(255 * float(window[row, column]))
        for left, value, fill in (
            (0, kernel[row, column], colour),
            (start, window[row, column], (grey, grey, grey)),
        ):
            x, y = left + _WEIGHT * column, top + _WEIGHT * row
            draw.rectangle((x, y, x + _WEIGHT, y + _WEIGHT), fill=fill, outline=MUTED)
            ink = PAPER if sum(fill) < 3 * 110 else INK
            centre = (x + _WEIGHT / 2, y + _WEIGHT / 2)
            draw.text(centre, _format(value), fill=ink, font=font(13), anchor="mm")
    total, bias = terms
    name_x, value_x = start + side * _WEIGHT + 14, start + side * _WEIGHT + 196
    for line, (name, value) in enumerate(
        (("sum of products", total), ("+ bias", bias), ("=", total + bias))
    ):
        line_font, y = font(15, bold=line == 2), top + (line + 0.5) * _WEIGHT
        draw.text((name_x, y), name, fill=INK, font=line_font, anchor="lm")
        draw.text((value_x, y), _format(value), fill=INK, font=line_font, anchor="rm")


def _format(value: float | Tensor) -> str:
    """A number with two decimals and a typographic minus sign."""
    return f"{float(value):.2f}".replace("-0.00", "0.00").replace("-", "\u2212")


def _draw_pixels(
    draw: ImageDraw.ImageDraw, image: Tensor, corner: tuple[int, int], count: int
) -> None:
    """Draw the first ``count`` pixels of an image in [0, 1], the others as empty cells."""
    for index, value in enumerate(image.flatten().tolist()):
        row, column = divmod(index, image.shape[1])
        left, top = corner[0] + _CELL * column, corner[1] + _CELL * row
        grey = round(255 * value)
        fill = (grey, grey, grey) if index < count else PAPER
        box = (left, top, left + _CELL, top + _CELL)
        draw.rectangle(box, fill=fill, outline=MUTED if index < count else FAINT)


def show_learning_kernels(
    stages: Sequence[Float[Tensor, "kernels 3 side side"]], titles: Sequence[str]
) -> None:
    """Show kernels at several stages of their training as an animation, one frame per stage."""
    frames = [_kernel_grid(kernels, title) for kernels, title in zip(stages, titles, strict=True)]
    show_gif(
        gif_bytes(frames, milliseconds=700),
        alt=f"An animation of {len(stages[0])} kernels in a grid. They begin as noise and become "
        "stripes in several directions and patches of colour.",
        caption="Each kernel is scaled to its own maximum; mid grey is zero.",
    )


def _kernel_grid(
    kernels: Float[Tensor, "kernels 3 side side"], title: str, columns: int = 8
) -> Image.Image:
    cell, rows = 60, -(-len(kernels) // columns)
    canvas = Image.new("RGB", (columns * cell, rows * cell + _TITLE), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((4, _TITLE / 2), title, fill=INK, font=font(15, bold=True), anchor="lm")
    for index, kernel in enumerate(kernels):
        row, column = divmod(index, columns)
        scaled = (kernel / kernel.abs().max() * 127.5 + 127.5).to(torch.uint8)
        tile = Image.fromarray(scaled.permute(1, 2, 0).numpy())
        tile = tile.resize((cell - 6, cell - 6), Image.Resampling.NEAREST)
        canvas.paste(tile, (column * cell + 3, _TITLE + row * cell + 3))
    return canvas
