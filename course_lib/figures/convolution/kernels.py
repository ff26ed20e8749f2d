"""The figures of lesson 2 about kernels; their numbers are computed with the kernels shown."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.convolution.layers import conv2d, output_size
from course_lib.figures.style import (
    BLUE,
    DIVERGING,
    GREEN,
    INK,
    MUTED,
    PAPER,
    RED,
    SKY,
    course_style,
)

Grey = Float[Tensor, "height width"]
Kernel = Float[Tensor, "kernel_height kernel_width"]


def draw_number_grid(
    axes: Axes,
    values: Float[np.ndarray, "height width"],
    signed: bool = False,
    size: int | float = 9,
    digits: int = 2,
    limit: float | None = None,
) -> None:
    """Draw a small matrix as a grid of coloured cells with numbers.

    Args:
        axes: where to draw.
        values: in [0, 1] for grey cells, of any range for signed colours.
        signed: whether to use the diverging colours, with white at zero.
        size: font size of the numbers, in points; 0 writes none.
        digits: after the decimal point; 0 writes numbers in their shortest form.
        limit: the absolute value with the strongest colour; by default the largest of ``values``.
    """
    limit = float(np.abs(values).max()) if limit is None else limit
    # The darkest colours are left out, or dark text would be illegible on them.
    limit = max(limit, 1e-9) * (1.6 if signed else 1)
    limits = (-limit, limit) if signed else (0, 1)
    axes.imshow(values, cmap=DIVERGING if signed else "gray", vmin=limits[0], vmax=limits[1])
    for row, column in np.ndindex(values.shape) if size else ():
        value = values[row, column]
        ink = PAPER if not signed and value < 0.5 else INK
        text = format_number(f"{value:.{digits}f}" if digits else f"{value:g}")
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)
    axes.set_xticks(np.arange(-0.5, values.shape[1]), [])
    axes.set_yticks(np.arange(-0.5, values.shape[0]), [])
    axes.grid(color=MUTED, linewidth=0.6)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)


def format_number(number: str) -> str:
    """A number with a typographic minus sign, and without a sign if it is zero."""
    return number.lstrip("-") if float(number) == 0 else number.replace("-", "−")


def sum_of_products(window: Tensor, kernel: Tensor) -> str:
    """One output pixel's sum of products as text: a line per kernel row, zero weights omitted."""
    lines = []
    for pixels, weights in zip(window.tolist(), kernel.tolist(), strict=True):
        terms = [
            f"{pixel:.2f}·({weight:g})".replace("-", "−")
            for pixel, weight in zip(pixels, weights, strict=True)
            if weight
        ]
        lines.append(" + ".join(terms) or "0 (this row of the kernel is all 0)")
    return "\n + ".join(lines)


def convolution_step(image: Grey, kernel: Kernel, row: int, column: int) -> Figure:
    """A convolution at one output pixel: its window with the weights, the sum of products, and the
    output so far.

    Args:
        image: in [0, 1], about 8x10 so that its numbers are legible.
        kernel: smaller than the image.
        row: the row of the output pixel to compute.
        column: its column.

    Raises:
        ValueError: if there is no such output pixel.
    """
    height, width = kernel.shape
    output = conv2d(image[None, None], kernel[None, None])[0, 0]
    if not (0 <= row < output.shape[0] and 0 <= column < output.shape[1]):
        raise ValueError(
            f"Output pixel ({row}, {column}) is outside the output of {tuple(output.shape)}: "
            "choose a smaller row or column, from 0."
        )
    window = image[row : row + height, column : column + width]
    with course_style():
        figure, panels = plt.subplot_mosaic(
            [["image", "output"], ["image", "sum"]],
            figsize=(11.5, 5),
            width_ratios=[image.shape[1], output.shape[1] - 1],
            height_ratios=[output.shape[0], 3],
            layout="constrained",
        )
        draw_number_grid(panels["image"], image.numpy(), size=8.5)
        _draw_weights(panels["image"], kernel, row, column)
        panels["image"].set_title("input (0 black, 1 white), and the kernel's weights")
        _draw_partial_output(panels["output"], output, row * output.shape[1] + column + 1)
        panels["output"].set_title("output so far")
        _draw_outline(panels["image"], column, row, width, height, INK)
        _draw_outline(panels["output"], column, row, 1, 1, GREEN)
        value = format_number(f"{output[row, column]:.2f}")
        text = f"   {sum_of_products(window, kernel)}\n = {value}"
        heading = f"output pixel (row {row}, column {column})"
        panels["sum"].axis("off")
        panels["sum"].text(0.1, 1.0, heading, fontsize=11, weight="bold", color=GREEN, va="top")
        panels["sum"].text(
            0.1, 0.8, text, fontsize=11.5, family="DejaVu Sans Mono", va="top", linespacing=1.4
        )
    return figure


def _draw_weights(axes: Axes, kernel: Kernel, top: int, left: int) -> None:
    """Write each weight of a kernel below the pixel that it multiplies, in the weight's colour."""
    limit = 1.6 * max(float(kernel.abs().max()), 1e-9)  # as in draw_number_grid
    for row, column in np.ndindex(*kernel.shape):
        weight = float(kernel[row, column])
        text = format_number(f"{weight:g}")
        axes.text(
            left + column,
            top + row + 0.3,
            f"×{text}",
            ha="center",
            va="center",
            fontsize=7.5,
            weight="bold",
            color=INK,
            bbox={
                "facecolor": DIVERGING(weight / (2 * limit) + 0.5),
                "edgecolor": "none",
                "pad": 1,
            },
        )


def _draw_partial_output(axes: Axes, output: Grey, count: int) -> None:
    """Draw only the first ``count`` pixels of an output.

    The whole output sets the colour scale, so that a value has the same colour at every step.
    """
    partial = output.clone()
    partial.view(-1)[count:] = 0
    draw_number_grid(axes, partial.numpy(), signed=True, size=0, limit=float(output.abs().max()))
    for index, value in enumerate(output.flatten().tolist()[:count]):
        row, column = divmod(index, output.shape[1])
        text = format_number(f"{value:.2f}")
        axes.text(column, row, text, ha="center", va="center", fontsize=8.5)


def _draw_outline(
    axes: Axes,
    left: int,
    top: int,
    width: int,
    height: int,
    colour: str,
    linewidth: int | float = 3,
    has_border: bool = True,
) -> None:
    """Outline cells. With a white border around it the line is visible on any grey."""
    outline = Rectangle(
        (left - 0.5, top - 0.5),
        width,
        height,
        fill=False,
        edgecolor=colour,
        linewidth=linewidth,
        zorder=5,
        clip_on=False,
    )
    if has_border:
        border = patheffects.withStroke(linewidth=linewidth + 2.5, foreground=PAPER)
        outline.set_path_effects([border])
    axes.add_patch(outline)


def kernel_responses(photos: Mapping[str, Grey], kernels: Mapping[str, Kernel]) -> Figure:
    """A row for each kernel: its weights, and its response to each photo.

    Orange is below zero, blue above; the responses of a kernel without negative weights are grey.

    Args:
        photos: by name, in [0, 1].
        kernels: by name.
    """
    rows, columns = len(kernels) + 1, len(photos) + 1
    with course_style():
        figure, panels = plt.subplots(
            rows,
            columns,
            figsize=(2.2 + 3 * len(photos), 3 * rows),
            width_ratios=[2.2] + [3] * len(photos),
        )
        panels[0, 0].axis("off")
        for axes, (name, photo) in zip(panels[0, 1:], photos.items(), strict=True):
            axes.imshow(photo.numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_title(name)
            axes.axis("off")
        for line, (name, kernel) in zip(panels[1:], kernels.items(), strict=True):
            draw_number_grid(line[0], kernel.numpy(), signed=True, size=13, digits=0)
            line[0].set_title(name.replace(" (", "\n("))
            for axes, photo in zip(line[1:], photos.values(), strict=True):
                response = conv2d(photo[None, None], kernel[None, None])[0, 0]
                if kernel.min() < 0:
                    draw_signed_image(axes, response)
                else:
                    axes.imshow(response.numpy(), cmap="gray", vmin=0, vmax=1)
                    axes.axis("off")
        figure.tight_layout()
    return figure


def one_photo_many_kernels(
    photo: Grey,
    kernels: Mapping[str, Kernel],
    crop: tuple[int, int, int] | None = None,
) -> Figure:
    """A photo, and below it each kernel with a part of the photo as the kernel responds to it.

    Args:
        photo: in [0, 1].
        kernels: by name. Weights that are not whole numbers are written as fractions.
        crop: top, left and side, in pixels, of the part that is shown enlarged, so that single
            pixels can be seen; by default the whole photo.
    """
    top, left, side = crop or (0, 0, min(photo.shape))
    part = slice(top, top + side), slice(left, left + side)
    with course_style():
        figure, table = plt.subplots(
            2,
            len(kernels) + 1,
            figsize=(2.2 * (len(kernels) + 1), 4.1),
            height_ratios=[1, 0.62],
            layout="constrained",
        )
        table[1, 0].imshow(photo.numpy(), cmap="gray", vmin=0, vmax=1)
        if crop:
            _draw_outline(table[1, 0], left, top, side, side, INK, linewidth=2)
        table[0, 0].imshow(photo[part].numpy(), cmap="gray", vmin=0, vmax=1)
        table[0, 0].set_title("the photo")
        for axes in table[:, 0]:
            axes.axis("off")
        for (axes, grid), (name, kernel) in zip(table.T[1:], kernels.items(), strict=True):
            # with padding, so that a response lies where its pixels are
            response = conv2d(photo[None, None], kernel[None, None], padding=len(kernel) // 2)[0, 0]
            if abs(float(kernel.sum())) < 1e-4:
                draw_signed_image(axes, response[part])
            else:
                axes.imshow(response[part].numpy(), cmap="gray", vmin=0, vmax=1)
                axes.axis("off")
            axes.set_title(name.partition(" (")[0])
            draw_number_grid(grid, kernel.numpy(), signed=True, size=0)
            for row, column in np.ndindex(*kernel.shape):
                fraction = Fraction(float(kernel[row, column])).limit_denominator(100)
                text = str(fraction).replace("-", "−")
                grid.text(column, row, text, ha="center", va="center", fontsize=10, color=INK)
    return figure


def draw_signed_image(axes: Axes, values: Grey) -> None:
    """Draw a response: white at 0, orange below, blue above, saturated at the 99th percentile."""
    limit = float(np.percentile(values.abs().numpy(), 99)) or 1.0
    axes.imshow(values.numpy(), cmap=DIVERGING, vmin=-limit, vmax=limit)
    axes.axis("off")


def row_profile(photo: Grey, kernel: Kernel, row: int, columns: slice) -> Figure:
    """The brightness along one row of a photo, and the kernel's response along that row.

    The kernel sees three rows: the curve is their mean, weighted as the kernel weights them.

    Args:
        photo: in [0, 1].
        kernel: 3x3, a column times a row such as Sobel's for vertical edges.
        row: the row of the photo, at least 6 rows from the border.
        columns: the part of the row to show.
    """
    weights = kernel.abs().sum(1, keepdim=True) / kernel.abs().sum()
    curve = (weights * photo[row - 1 : row + 2, columns]).sum(0)
    response = conv2d(photo[None, None], kernel[None, None], padding=1)[0, 0, row, columns].numpy()
    x = np.arange(photo.shape[1])[columns]
    with course_style():
        figure, (top, middle, bottom) = plt.subplots(
            3, 1, figsize=(9, 6.6), sharex=True, height_ratios=[1.2, 1.6, 1.6], layout="constrained"
        )
        strip = photo[row - 6 : row + 7, columns]
        top.imshow(
            strip.numpy(),
            cmap="gray",
            vmin=0,
            vmax=1,
            aspect="auto",
            extent=(x[0] - 0.5, x[-1] + 0.5, 6.5, -6.5),
        )
        for edge in (-1.5, 1.5):
            line = top.axhline(edge, color=INK, linewidth=1.2)
            line.set_path_effects([patheffects.withStroke(linewidth=3, foreground=PAPER)])
        top.set_yticks([])
        top.set_title(f"the photo around row {row}; between the lines: the kernel's three rows")
        middle.step(x, curve.numpy(), where="mid", color=INK)
        middle.set_ylabel("brightness")
        middle.set_ylim(-0.05, 1.05)
        middle.set_title(
            "brightness along the row, mean of the three rows with the kernel's weights"
        )
        bottom.axhline(0, color=MUTED, linewidth=1)
        bottom.fill_between(
            x, response, 0, where=response > 0, step="mid", color=BLUE, label="darker to brighter"
        )
        bottom.fill_between(
            x, response, 0, where=response < 0, step="mid", color=RED, label="brighter to darker"
        )
        bottom.set_title("response of the kernel")
        bottom.set_ylabel("response")
        bottom.set_xlabel("column (pixels)")
        bottom.legend(loc="upper right", ncols=2)
    return figure


def correlation_vs_convolution(
    image: Grey, kernel: Kernel, correlated: Grey, convolved: Grey
) -> Figure:
    """Cross-correlation and true convolution of an image with one bright pixel.

    True convolution gives the kernel, cross-correlation the kernel flipped in both directions.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, 4, figsize=(12, 3.4), width_ratios=[5, 3, 5, 5], layout="constrained"
        )
        titles = (
            "one bright pixel",
            "kernel",
            "cross-correlation",
            "true convolution",
        )
        for axes, values, title in zip(
            panels, (image, kernel, correlated, convolved), titles, strict=True
        ):
            draw_number_grid(axes, values.numpy(), signed=axes is not panels[0], size=11, digits=0)
            axes.set_title(title)
    return figure


def kernel_positions(settings: Sequence[tuple[int, int, int, int]]) -> Figure:
    """Where the kernel is applied: a dot at its centre for each output pixel.

    Args:
        settings: (image size, kernel size, stride, padding) of each panel. All panels have the
            same scale.
    """
    half = max(size + 2 * padding for size, _, _, padding in settings) / 2 + 0.2
    cells = LinearSegmentedColormap.from_list("cells", [SKY, PAPER])
    with course_style():
        figure, panels = plt.subplots(
            1, len(settings), figsize=(3.2 * len(settings), 3.9), layout="constrained"
        )
        for axes, (size, kernel, stride, padding) in zip(
            np.atleast_1d(panels), settings, strict=True
        ):
            count = output_size(size, kernel, stride, padding)
            padded = np.ones((size + 2 * padding,) * 2)
            padded[padding : padding + size, padding : padding + size] = 0.35
            axes.imshow(padded, cmap=cells, vmin=0, vmax=1)
            if padding:
                for row, column in np.argwhere(padded == 1):
                    axes.text(column, row, "0", ha="center", va="center", color=MUTED, fontsize=9)
            axes.set_xticks(np.arange(-0.5, len(padded)), [])
            axes.set_yticks(np.arange(-0.5, len(padded)), [])
            axes.tick_params(length=0)
            for line in np.arange(-0.5, len(padded)):
                ends = (-0.5, len(padded) - 0.5)
                axes.plot((line, line), ends, color=MUTED, linewidth=0.5)
                axes.plot(ends, (line, line), color=MUTED, linewidth=0.5)
            centres = np.arange(count) * stride + (kernel - 1) / 2
            x: np.ndarray
            y: np.ndarray
            x, y = np.meshgrid(centres, centres)
            axes.plot(x.ravel(), y.ravel(), "o", color=GREEN, markersize=6)
            if count > 1:
                _draw_outline(axes, stride, 0, kernel, kernel, INK, 1.3, has_border=False)
            _draw_outline(axes, 0, 0, kernel, kernel, INK, 2.8, has_border=False)
            middle = (len(padded) - 1) / 2
            axes.set(xlim=(middle - half, middle + half), ylim=(middle + half, middle - half))
            axes.spines[:].set_visible(False)
            axes.set_title(
                f"kernel {kernel}x{kernel}, stride {stride},\n"
                f"padding {padding}: {size}x{size} → {count}x{count}"
            )
    return figure
