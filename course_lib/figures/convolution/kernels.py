"""The figures of lesson 2. Every number in them is computed by the layer or the kernel that they
show.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.convolution.layers import conv2d, output_size
from course_lib.figures.style import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, RED, SKY, course_style

# Below zero orange, zero white, above zero blue: told apart with any kind of colour vision.
SIGNED = LinearSegmentedColormap.from_list("signed", [RED, "#F7F7F7", BLUE])
Grey = Float[Tensor, "height width"]
Kernel = Float[Tensor, "kernel_height kernel_width"]


def numbers(
    axes: Axes,
    values: Float[np.ndarray, "height width"],
    signed: bool = False,
    size: int | float = 9,
    digits: int = 2,
) -> None:
    """Draw a small matrix as a grid of coloured cells with its numbers in them.

    Args:
        axes: where to draw.
        values: (height, width), in [0, 1] for grey cells, or signed ones for the diverging colours.
        signed: which of the two.
        size: of the numbers, in points; 0 writes none.
        digits: after the point.
    """
    # a dark ground would swallow the ink
    top = max(float(np.abs(values).max()), 1e-9) * (1.6 if signed else 1)
    limits = (-top, top) if signed else (0, 1)
    axes.imshow(values, cmap=SIGNED if signed else "gray", vmin=limits[0], vmax=limits[1])
    for row, column in np.ndindex(values.shape) if size else ():
        value = values[row, column]
        ink = PAPER if not signed and value < 0.5 else INK
        label = f"{value:.{digits}f}" if digits else f"{value:g}"
        axes.text(column, row, typeset(label), ha="center", va="center", fontsize=size, color=ink)
    axes.set_xticks(np.arange(-0.5, values.shape[1]), [])
    axes.set_yticks(np.arange(-0.5, values.shape[0]), [])
    axes.grid(color=MUTED, linewidth=0.6)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)


def typeset(number: str) -> str:
    """A number with a real minus sign, and none before a zero."""
    return number.lstrip("-") if float(number) == 0 else number.replace("-", "−")


def sum_of_products(window: Tensor, kernel: Tensor) -> str:
    """The sum behind one output pixel, a line for each row of the kernel, with the terms that are
    not 0.
    """
    lines = []
    for pixels, weights in zip(window.tolist(), kernel.tolist(), strict=True):
        terms = [
            f"{p:.2f}·({w:g})".replace("-", "−") for p, w in zip(pixels, weights, strict=True) if w
        ]
        lines.append(" + ".join(terms) or "0 (this row of the kernel is all 0)")
    return "\n + ".join(lines)


def walk(image: Grey, kernel: Kernel, row: int, column: int) -> Figure:
    """The kernel lying on a small image at one place: the window, the products, their sum, and the
    output so far.

    Args:
        image: in [0, 1], about 8x10 so that its numbers can be read.
        kernel: smaller than the image.
        row, column: the output pixel that is being computed.

    Raises:
        ValueError: if there is no such output pixel.
    """
    height, width = kernel.shape
    output = conv2d(image[None, None], kernel[None, None])[0, 0]
    if not (0 <= row < output.shape[0] and 0 <= column < output.shape[1]):
        raise ValueError(
            f"Output pixel ({row}, {column}) is outside the output of {tuple(output.shape)}."
        )
    window = image[row : row + height, column : column + width]
    with course_style():
        figure, panels = plt.subplot_mosaic(
            [["image", "kernel", "output"], ["sum", "sum", "sum"]],
            figsize=(12, 5.6),
            width_ratios=[image.shape[1], height + 1.5, output.shape[1]],
            height_ratios=[4, 1.5],
            layout="constrained",
        )
        numbers(panels["image"], image.numpy(), size=8.5)
        panels["image"].set_title("input (0 black, 1 white)")
        numbers(panels["kernel"], kernel.numpy(), signed=True, size=12, digits=0)
        panels["kernel"].set_title("kernel")
        done = output.clone()
        done.view(-1)[row * output.shape[1] + column + 1 :] = 0
        numbers(panels["output"], done.numpy(), signed=True, size=0)
        for index, value in enumerate(
            output.flatten().tolist()[: row * output.shape[1] + column + 1]
        ):
            place = divmod(index, output.shape[1])
            panels["output"].text(
                place[1], place[0], typeset(f"{value:.2f}"), ha="center", va="center", fontsize=8.5
            )
        panels["output"].set_title("output so far")
        _frame(panels["image"], column, row, width, height, ORANGE)
        _frame(panels["output"], column, row, 1, 1, GREEN)
        panels["sum"].axis("off")
        text = f"   {sum_of_products(window, kernel)}\n = {typeset(f'{output[row, column]:.2f}')}"
        heading = f"output pixel (row {row}, column {column})"
        panels["sum"].text(0.02, 1.0, heading, fontsize=11, weight="bold", color=GREEN, va="top")
        panels["sum"].text(
            0.02, 0.78, text, fontsize=11.5, family="DejaVu Sans Mono", va="top", linespacing=1.5
        )
    return figure


def _frame(
    axes: Axes, left: int, top: int, width: int, height: int, colour: str, line: int | float = 3
) -> None:
    spot = (left - 0.5, top - 0.5)
    axes.add_patch(
        Rectangle(
            spot,
            width,
            height,
            fill=False,
            edgecolor=colour,
            linewidth=line,
            zorder=5,
            clip_on=False,
        )
    )


def responses(photos: Mapping[str, Grey], kernels: Mapping[str, Kernel]) -> Figure:
    """A row for each kernel: its numbers, and what it answers on each photo.

    Below zero is orange, above zero blue; the answers of a kernel without negative numbers stay
    grey.

    Args:
        photos: name and picture in [0, 1].
        kernels: name and kernel.
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
        for axes, (name, picture) in zip(panels[0, 1:], photos.items(), strict=True):
            axes.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_title(name)
            axes.axis("off")
        for line, (name, kernel) in zip(panels[1:], kernels.items(), strict=True):
            numbers(line[0], kernel.numpy(), signed=True, size=13, digits=0)
            line[0].set_title(name.replace(" (", "\n("))
            for axes, picture in zip(line[1:], photos.values(), strict=True):
                answer = conv2d(picture[None, None], kernel[None, None])[0, 0]
                if kernel.min() < 0:
                    signed_image(axes, answer)
                else:
                    axes.imshow(answer.numpy(), cmap="gray", vmin=0, vmax=1)
                    axes.axis("off")
        figure.tight_layout()
    return figure


def signed_image(axes: Axes, values: Grey) -> None:
    """An answer of a kernel: white where it is 0, orange below, blue above, full colour at the 99th
    percentile.
    """
    top = float(np.percentile(values.abs().numpy(), 99)) or 1.0
    axes.imshow(values.numpy(), cmap=SIGNED, vmin=-top, vmax=top)
    axes.axis("off")


def profile(picture: Grey, kernel: Kernel, row: int, columns: slice) -> Figure:
    """One row of a photo as a curve, and below it what the kernel answers along that row.

    Args:
        picture: in [0, 1].
        kernel: 3x3.
        row: the row of the photo, not at its border.
        columns: the part of the row to show.
    """
    answers = conv2d(picture[None, None], kernel[None, None], padding=1)[0, 0, row, columns].numpy()
    x = np.arange(picture.shape[1])[columns]
    with course_style():
        figure, (top, middle, bottom) = plt.subplots(
            3, 1, figsize=(9, 6.6), sharex=True, height_ratios=[1.2, 1.6, 1.6], layout="constrained"
        )
        strip = picture[row - 6 : row + 7, columns]
        top.imshow(
            strip.numpy(),
            cmap="gray",
            vmin=0,
            vmax=1,
            aspect="auto",
            extent=(x[0] - 0.5, x[-1] + 0.5, 6.5, -6.5),
        )
        top.axhline(0, color=ORANGE, linewidth=1.5)
        top.set_yticks([])
        top.set_title(f"the photo around row {row}")
        middle.step(x, picture[row, columns].numpy(), where="mid", color=INK)
        middle.set_ylabel("brightness")
        middle.set_ylim(-0.05, 1.05)
        middle.set_title("brightness along the row")
        bottom.axhline(0, color=MUTED, linewidth=1)
        bottom.fill_between(
            x, answers, 0, where=answers > 0, step="mid", color=BLUE, label="darker to brighter"
        )
        bottom.fill_between(
            x, answers, 0, where=answers < 0, step="mid", color=RED, label="brighter to darker"
        )
        bottom.set_title("what the kernel answers")
        bottom.set_ylabel("answer")
        bottom.set_xlabel("column (pixels)")
        bottom.legend(loc="upper right", ncols=2)
    return figure


def flipped(image: Grey, kernel: Kernel, correlated: Grey, convolved: Grey) -> Figure:
    """Correlation and true convolution of one bright pixel: the second is the kernel, the first the
    kernel turned.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, 4, figsize=(12, 3.4), width_ratios=[5, 3, 5, 5], layout="constrained"
        )
        titles = (
            "one bright pixel",
            "kernel",
            "cross-correlation\n(what torch does)",
            "true convolution",
        )
        for axes, values, title in zip(
            panels, (image, kernel, correlated, convolved), titles, strict=True
        ):
            numbers(axes, values.numpy(), signed=axes is not panels[0], size=11, digits=0)
            axes.set_title(title)
    return figure


def places(settings: Sequence[tuple[int, int, int, int]]) -> Figure:
    """Where a kernel stands, for several (size, kernel, stride, padding): dots are the centres, one
    an output pixel.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(settings), figsize=(3.1 * len(settings), 3.9), layout="constrained"
        )
        for axes, (size, kernel, stride, padding) in zip(
            np.atleast_1d(panels), settings, strict=True
        ):
            count = output_size(size, kernel, stride, padding)
            whole = np.ones((size + 2 * padding,) * 2)
            whole[padding : padding + size, padding : padding + size] = 0.35
            axes.imshow(
                whole, cmap=LinearSegmentedColormap.from_list("cells", [SKY, PAPER]), vmin=0, vmax=1
            )
            if padding:
                for row, column in np.argwhere(whole == 1):
                    axes.text(column, row, "0", ha="center", va="center", color=MUTED, fontsize=9)
            axes.set_xticks(np.arange(-0.5, len(whole)), [])
            axes.set_yticks(np.arange(-0.5, len(whole)), [])
            axes.grid(color=MUTED, linewidth=0.5)
            axes.tick_params(length=0)
            centres = np.arange(count) * stride + (kernel - 1) / 2
            axes.plot(
                *(part.ravel() for part in np.meshgrid(centres, centres)),
                "o",
                color=GREEN,
                markersize=6,
            )
            _frame(axes, 0, 0, kernel, kernel, ORANGE)
            if count > 1:
                _frame(axes, stride, 0, kernel, kernel, ORANGE, line=1.5)
            axes.set_title(f"stride {stride}, padding {padding}\n{size}x{size} → {count}x{count}")
    return figure
