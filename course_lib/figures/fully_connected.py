"""The figures of lesson 1. Every line, number and colour in them comes from a real layer or a
measurement.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor, nn

from course_lib.figures.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    ROLES,
    course_style,
)
from course_lib.profiling.cost import Cost, as_matrix, in_words, power_law

# A weight's colour in every figure here: orange below zero, grey at zero, blue above.
SIGNED = LinearSegmentedColormap.from_list("signed", [ORANGE, "#EFEFEF", BLUE])
KINDS = ("fully connected", "convolution")


def connections(linear: nn.Linear, conv: nn.Conv2d, image: Float[Tensor, "height width"]) -> Figure:
    """Both layers as wires from the pixels of one image to the pixels they compute, coloured by the
    real weights.

    The wires to two output pixels are drawn in colour; all others stay grey.

    Args:
        linear: from height x width numbers to as many.
        conv: from one channel to one, with padding that keeps the size.
        image: the input, about 5x5 so that its wires can be told apart.
    """
    height, width = image.shape
    # near two corners, one step from the border
    chosen = [
        width + 1,
        (height - 2) * width + width - 2,
    ]
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 5.2))
        for axes, kind, layer, shape in (
            (panels[0], KINDS[0], linear, (height * width,)),
            (panels[1], KINDS[1], conv, (1, height, width)),
        ):
            matrix = as_matrix(layer, *shape).numpy()
            output = layer(image.reshape(1, *shape)).detach().view(height, width).numpy()
            _wires(axes, matrix, image.numpy(), output, chosen)
            each = [int(np.count_nonzero(matrix[pixel])) for pixel in chosen]
            values = len(np.unique(matrix[chosen][matrix[chosen] != 0]))
            axes.set_title(f"{kind}: {np.count_nonzero(matrix)} wires", color=ROLES[kind])
            axes.text(
                0.5,
                -0.02,
                f"{each[0]} + {each[1]} wires to the two marked pixels,\ncarrying {values} different weights",
                transform=axes.transAxes,
                ha="center",
                va="top",
            )
    return figure


def _wires(
    axes: Axes, matrix: np.ndarray, image: np.ndarray, output: np.ndarray, chosen: Sequence[int]
) -> None:
    """The input plane on the left, the output plane on the right, and a wire for every weight that
    is not 0.
    """
    starts, ends = _plane(image.shape, 0.0), _plane(image.shape, 3.4)
    into, out_of = np.nonzero(matrix)
    wires = np.stack([starts.mean(1)[out_of], ends.mean(1)[into]], axis=1)
    axes.add_collection(LineCollection(wires, colors=FAINT, linewidths=0.35, zorder=1))
    for corners, values, role in ((starts, image, "input"), (ends, output, "output")):
        shades = Normalize(values.min(), values.max())(values.ravel())
        axes.add_collection(
            PolyCollection(
                corners,
                facecolors=plt.cm.gray(shades),
                edgecolors=ROLES[role],
                linewidths=1.0,
                zorder=2,
            )
        )
        x, y = corners[..., 0].mean(), corners[..., 1].max()
        axes.text(x, y + 0.12, f"{role} pixels", ha="center", va="bottom", color=INK)
    axes.add_collection(
        PolyCollection(
            ends[list(chosen)], facecolors="none", edgecolors=RED, linewidths=2.4, zorder=3
        )
    )
    marked = np.isin(into, chosen)
    weights = (matrix / np.abs(matrix).max())[into, out_of][marked]
    colours = SIGNED((weights + 1) / 2)
    thick = 0.6 + 2.2 * np.abs(weights)
    axes.add_collection(LineCollection(wires[marked], colors=colours, linewidths=thick, zorder=4))
    axes.scatter(
        *wires[marked][:, 0].T, s=14, color=colours, edgecolors=INK, linewidths=0.5, zorder=5
    )
    axes.set(xlim=(-0.3, 4.7), ylim=(-0.1, 3.6), aspect="equal")
    axes.axis("off")


def _plane(shape: tuple[int, int], left: float) -> np.ndarray:
    """The corners of each pixel, (pixels, 4, 2), of an image that stands in space and is seen from
    the side.
    """
    height, width = shape
    row, column = np.divmod(np.arange(height * width), width)
    corners = []
    for down, right in ((0, 0), (0, 1), (1, 1), (1, 0)):
        across, up = (column + right) / width, 1 - (row + down) / height
        corners.append(np.stack([left + 1.0 * across, 2.4 * up + 0.75 * across], axis=-1))
    return np.stack(corners, axis=1)


def matrices(linear: nn.Linear, conv: nn.Conv2d, height: int, width: int) -> Figure:
    """Both layers as the matrix that multiplies the flattened image; zeros are left white."""
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 5.3), layout="constrained")
        for axes, kind, matrix in (
            (panels[0], KINDS[0], as_matrix(linear, height * width).numpy()),
            (panels[1], KINDS[1], as_matrix(conv, 1, height, width).numpy()),
        ):
            limit = np.abs(matrix).max()
            colours = axes.imshow(
                np.where(matrix == 0, np.nan, matrix), cmap=SIGNED, vmin=-limit, vmax=limit
            )
            share = np.count_nonzero(matrix) / matrix.size
            distinct = len(np.unique(matrix[matrix != 0]))
            axes.set_title(
                f"{kind}: {share:.1%} of {matrix.size:,} entries\nare used, with {distinct:,} different values",
                color=ROLES[kind],
            )
            axes.set(xlabel="input pixel", ylabel="output pixel")
            axes.spines[:].set_visible(True)
            lines = np.arange(0, height * width + 1, width)
            axes.set_xticks(lines)
            axes.set_yticks(lines)
            figure.colorbar(colours, ax=axes, label="weight", shrink=0.75)
    return figure


def growth(
    sides: Sequence[int],
    costs: Mapping[str, Sequence[Cost]],
    timed_sides: Mapping[str, Sequence[int]],
    seconds: Mapping[str, Sequence[float]],
) -> Figure:
    """Parameters, memory, FLOPs and time against the image's side, on log-log axes, each with its
    fitted slope.

    The slope of the times is fitted to the three largest sizes of each kind.

    Args:
        sides: image sides in pixels.
        costs: for each kind of layer, its cost at these sides.
        timed_sides: for each kind, the sides at which it was timed.
        seconds: for each kind, the seconds of a forward pass at those sides.
    """
    counted = {
        "parameters": lambda one: one.parameters,
        "memory for them, bytes": lambda one: one.bytes,
        "FLOPs of one pass": lambda one: one.flops,
    }
    curves = {
        title: {kind: (sides, [of(c) for c in costs[kind]]) for kind in KINDS}
        for title, of in counted.items()
    }
    curves["time of one pass, seconds"] = {
        kind: (timed_sides[kind], seconds[kind]) for kind in KINDS
    }
    with course_style():
        figure, panels = plt.subplots(2, 2, figsize=(11, 8.2), layout="constrained")
        for axes, (title, lines) in zip(panels.flat, curves.items(), strict=True):
            # A small layer's time is mostly the time to call it, so only the largest sizes show how
            # it grows.
            first = -3 if "time" in title else 0
            for kind, (x, y) in lines.items():
                exponent, factor = power_law(x[first:], y[first:])
                fitted = [factor * side**exponent for side in x[first:]]
                axes.loglog(x, y, "o", color=ROLES[kind], markersize=6)
                axes.loglog(
                    x[first:], fitted, color=ROLES[kind], label=f"{kind}: slope {abs(exponent):.2f}"
                )
            axes.set_title(title)
            axes.set_xlabel("side of the image, pixels")
            axes.set_xticks(sides, [str(side) for side in sides])
            axes.minorticks_off()
            axes.grid(True)
            axes.legend(loc="upper left")
            low, high = axes.get_ylim()
            axes.set_ylim(low, high * (high / low) ** 0.22)  # room for the legend above the curves
            axes.set_xlim(sides[0] / 1.25, sides[-1] * 1.25)
    return figure


def changes(rows: Mapping[str, Float[Tensor, "count 1 height width"]]) -> Figure:
    """A table of images: one row for each change, named at its left; every column is one image."""
    with course_style():
        columns = max(len(images) for images in rows.values())
        figure, panels = plt.subplots(
            len(rows),
            columns,
            figsize=(1.15 * columns + 2.2, 1.2 * len(rows)),
            squeeze=False,
            layout="constrained",
        )
        for line, (name, images) in zip(panels, rows.items(), strict=True):
            for axes, image in zip(line, images, strict=True):
                axes.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=1)
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=10, color=INK)
    return figure


def robustness(
    shifts: Sequence[int],
    at_shift: Mapping[str, np.ndarray],
    as_taken: Mapping[str, np.ndarray],
    shuffled: Mapping[str, np.ndarray],
    chance: float,
) -> Figure:
    """Test accuracy against the shift, and with and without the shuffle; a dot is one seed, a line
    their mean.

    Args:
        shifts: in pixels.
        at_shift: for each kind of network, accuracies of shape (seeds, shifts).
        as_taken: for each kind, accuracies of shape (seeds,) on the images as they are.
        shuffled: the same for networks trained and tested on shuffled images.
        chance: the accuracy of guessing.
    """
    with course_style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(11, 4.6), layout="constrained", width_ratios=(1.25, 1)
        )
        for kind in KINDS:
            found = np.asarray(at_shift[kind])
            left.plot(shifts, found.mean(0), color=ROLES[kind], label=kind)
            left.plot(
                np.tile(shifts, (len(found), 1)).T,
                found.T,
                ".",
                color=ROLES[kind],
                alpha=0.6,
                markersize=7,
            )
        left.axhline(chance, color=MUTED, linewidth=1.2, linestyle="--")
        left.text(shifts[0], chance + 0.015, "guessing", color=MUTED, va="bottom")
        left.set(
            title="The images move",
            xlabel="shift, pixels",
            ylabel="test accuracy",
            xticks=shifts,
            ylim=(0, 1.03),
        )
        left.legend(loc="lower left", bbox_to_anchor=(0, 0.16))

        pairs = {kind: np.stack([as_taken[kind], shuffled[kind]]) for kind in KINDS}
        for place, kind in enumerate(KINDS):
            x = np.array([0.0, 1.0]) + 0.06 * (2 * place - 1)
            right.plot(x, pairs[kind].mean(1), color=ROLES[kind], label=kind)
            right.plot(x, pairs[kind], "o", color=ROLES[kind], markeredgecolor=PAPER, markersize=7)
        right.set(title="The pixels are shuffled", ylabel="test accuracy", xlim=(-0.35, 1.35))
        right.set_xticks([0, 1], ["as taken", "all shuffled\nin one way"])
        right.margins(y=0.25)
        right.legend(loc="best")
        for axes in (left, right):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if axes is left else 1))
            axes.grid(True, axis="y")
    return figure


def sizes(side: int, fully_connected: Cost, convolution: Cost) -> str:
    """One printed line that sets both layers side by side."""
    one, other = fully_connected, convolution
    return (
        f"{side:>4} x {side:<4} fully connected: {in_words(one.parameters):>13} parameters, "
        f"{in_words(one.bytes, 'B'):>8}   convolution: {in_words(other.parameters)}, {in_words(other.bytes, 'B')}"
    )
