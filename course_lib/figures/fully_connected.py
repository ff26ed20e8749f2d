"""The figures of lesson 1, drawn from real layers and measurements."""

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
from course_lib.profiling.cost import ForwardCost, as_matrix, fit_power_law, format_count

# The colour of a weight: orange below zero, grey at zero, blue above.
WEIGHT_COLOURS = LinearSegmentedColormap.from_list("weights", [ORANGE, "#EFEFEF", BLUE])
LAYER_KINDS = ("fully connected", "convolution")


def connections(linear: nn.Linear, conv: nn.Conv2d, image: Float[Tensor, "height width"]) -> Figure:
    """Both layers as lines from input pixels to output pixels, coloured by the real weights.

    Only the connections of two output pixels are coloured; all others are grey.

    Args:
        linear: a layer from height x width features to as many.
        conv: one channel in and out, with padding that keeps the size.
        image: the input, about 5x5 so that the lines stay distinguishable.
    """
    height, width = image.shape
    # Two output pixels near opposite corners, one step from the border.
    highlighted = [width + 1, (height - 2) * width + width - 2]
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 5.2))
        for axes, kind, layer, shape in (
            (panels[0], LAYER_KINDS[0], linear, (height * width,)),
            (panels[1], LAYER_KINDS[1], conv, (1, height, width)),
        ):
            matrix = as_matrix(layer, *shape).numpy()
            output = layer(image.reshape(1, *shape)).detach().view(height, width).numpy()
            _draw_connections(axes, matrix, image.numpy(), output, highlighted)
            first, second = (int(np.count_nonzero(matrix[pixel])) for pixel in highlighted)
            values = len(np.unique(matrix[highlighted][matrix[highlighted] != 0]))
            axes.set_title(f"{kind}: {np.count_nonzero(matrix)} connections", color=ROLES[kind])
            axes.text(
                0.5,
                -0.02,
                f"{first} + {second} connections to the two marked pixels,\n"
                f"with {values} different weights",
                transform=axes.transAxes,
                ha="center",
                va="top",
            )
    return figure


def _draw_connections(
    axes: Axes,
    matrix: np.ndarray,
    image: np.ndarray,
    output: np.ndarray,
    highlighted: Sequence[int],
) -> None:
    """Draw the input plane, the output plane, and a line for every weight that is not 0."""
    inputs, outputs = _plane(image.shape, 0.0), _plane(image.shape, 3.4)
    target, source = np.nonzero(matrix)
    lines = np.stack([inputs.mean(1)[source], outputs.mean(1)[target]], axis=1)
    axes.add_collection(LineCollection(lines, colors=FAINT, linewidths=0.35, zorder=1))
    for corners, values, role in ((inputs, image, "input"), (outputs, output, "output")):
        shades = Normalize(values.min(), values.max())(values.ravel())
        axes.add_collection(
            PolyCollection(
                corners,  # type: ignore[arg-type]
                facecolors=plt.get_cmap("gray")(shades),
                edgecolors=ROLES[role],
                linewidths=1.0,
                zorder=2,
            )
        )
        x, y = corners[..., 0].mean(), corners[..., 1].max()
        axes.text(x, y + 0.12, f"{role} pixels", ha="center", va="bottom", color=INK)
    axes.add_collection(
        PolyCollection(
            outputs[list(highlighted)],  # type: ignore[arg-type]
            facecolors="none",
            edgecolors=RED,
            linewidths=2.4,
            zorder=3,
        )
    )
    coloured = np.isin(target, highlighted)
    weights = (matrix / np.abs(matrix).max())[target, source][coloured]
    colours = WEIGHT_COLOURS((weights + 1) / 2)
    widths = 0.6 + 2.2 * np.abs(weights)
    axes.add_collection(
        LineCollection(lines[coloured], colors=colours, linewidths=widths, zorder=4)
    )
    x, y = lines[coloured][:, 0].T
    axes.scatter(x, y, s=14, color=colours, edgecolors=INK, linewidths=0.5, zorder=5)
    axes.set(xlim=(-0.3, 4.7), ylim=(-0.1, 3.6), aspect="equal")
    axes.axis("off")


def _plane(shape: tuple[int, int], left: float) -> np.ndarray:
    """The corners of each pixel of an upright image in perspective: (pixels, 4, 2)."""
    height, width = shape
    row, column = np.divmod(np.arange(height * width), width)
    corners = []
    for down, right in ((0, 0), (0, 1), (1, 1), (1, 0)):
        across, up = (column + right) / width, 1 - (row + down) / height
        corners.append(np.stack([left + 1.0 * across, 2.4 * up + 0.75 * across], axis=-1))
    return np.stack(corners, axis=1)


def weight_matrices(linear: nn.Linear, conv: nn.Conv2d, height: int, width: int) -> Figure:
    """Both layers as the matrix that multiplies the flattened image; zeros stay white."""
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 5.3), layout="constrained")
        for axes, kind, matrix in (
            (panels[0], LAYER_KINDS[0], as_matrix(linear, height * width).numpy()),
            (panels[1], LAYER_KINDS[1], as_matrix(conv, 1, height, width).numpy()),
        ):
            limit = np.abs(matrix).max()
            colours = axes.imshow(
                np.where(matrix == 0, np.nan, matrix), cmap=WEIGHT_COLOURS, vmin=-limit, vmax=limit
            )
            nonzero = np.count_nonzero(matrix) / matrix.size
            distinct = len(np.unique(matrix[matrix != 0]))
            axes.set_title(
                f"{kind}: {nonzero:.1%} of {matrix.size:,} entries\n"
                f"are not 0, with {distinct:,} different values",
                color=ROLES[kind],
            )
            axes.set(xlabel="input pixel", ylabel="output pixel")
            axes.spines[:].set_visible(True)
            lines = np.arange(0, height * width + 1, width)
            axes.set_xticks(lines)
            axes.set_yticks(lines)
            figure.colorbar(colours, ax=axes, label="weight", shrink=0.75)
    return figure


def cost_growth(
    sides: Sequence[int],
    costs: Mapping[str, Sequence[ForwardCost]],
    timed_sides: Mapping[str, Sequence[int]],
    seconds: Mapping[str, Sequence[float]],
) -> Figure:
    """Parameters, memory, FLOPs and time against the image's side, log-log, with fitted slopes.

    The slope of the times is fitted to the three largest sizes of each kind.

    Args:
        sides: image sides in pixels.
        costs: for each kind of layer, its cost at these sides.
        timed_sides: for each kind, the sides at which it was timed.
        seconds: for each kind, the seconds of a forward pass at those sides.
    """
    counts = {
        "parameters": lambda cost: cost.parameters,
        "memory of the parameters, bytes": lambda cost: cost.bytes,
        "FLOPs per pass": lambda cost: cost.flops,
    }
    curves: dict[str, dict[str, tuple[Sequence[int], Sequence[float]]]] = {
        title: {kind: (sides, [count(cost) for cost in costs[kind]]) for kind in LAYER_KINDS}
        for title, count in counts.items()
    }
    curves["time per pass, seconds"] = {
        kind: (timed_sides[kind], seconds[kind]) for kind in LAYER_KINDS
    }
    with course_style():
        figure, panels = plt.subplots(2, 2, figsize=(11, 8.2), layout="constrained")
        for axes, (title, lines) in zip(panels.flat, curves.items(), strict=True):
            # Call overhead dominates the time of small layers, so only the largest show the growth.
            first = -3 if "time" in title else 0
            for kind, (x, y) in lines.items():
                exponent, factor = fit_power_law(x[first:], y[first:])
                fit = [factor * side**exponent for side in x[first:]]
                axes.loglog(x, y, "o", color=ROLES[kind], markersize=6)
                axes.loglog(
                    x[first:], fit, color=ROLES[kind], label=f"{kind}: slope {abs(exponent):.2f}"
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


def perturbed_images(rows: Mapping[str, Float[Tensor, "count 1 height width"]]) -> Figure:
    """A table of images: a row for each perturbation, with its name; a column for each image."""
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
    shift_accuracy: Mapping[str, np.ndarray],
    original_accuracy: Mapping[str, np.ndarray],
    shuffled_accuracy: Mapping[str, np.ndarray],
    chance: float,
) -> Figure:
    """Test accuracy against the shift, and with and without shuffled pixels.

    A dot is one seed, a line joins the means.

    Args:
        shifts: in pixels.
        shift_accuracy: for each kind of network, accuracies of shape (seeds, shifts).
        original_accuracy: for each kind, accuracies on the original images, of shape (seeds,).
        shuffled_accuracy: the same for networks trained and tested on shuffled images.
        chance: the accuracy of guessing.
    """
    with course_style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(11, 4.6), layout="constrained", width_ratios=(1.25, 1)
        )
        for kind in LAYER_KINDS:
            accuracy = np.asarray(shift_accuracy[kind])
            left.plot(shifts, accuracy.mean(0), color=ROLES[kind], label=kind)
            left.plot(
                np.tile(shifts, (len(accuracy), 1)).T,
                accuracy.T,
                ".",
                color=ROLES[kind],
                alpha=0.6,
                markersize=7,
            )
        left.axhline(chance, color=MUTED, linewidth=1.2, linestyle="--")
        left.text(shifts[0], chance + 0.015, "guessing", color=MUTED, va="bottom")
        left.set(
            title="Shifted images",
            xlabel="shift, pixels",
            ylabel="test accuracy",
            xticks=shifts,
            ylim=(0, 1.03),
        )
        left.legend(loc="lower left", bbox_to_anchor=(0, 0.16))

        pairs = {
            kind: np.stack([original_accuracy[kind], shuffled_accuracy[kind]])
            for kind in LAYER_KINDS
        }
        for index, kind in enumerate(LAYER_KINDS):
            x = np.array([0.0, 1.0]) + 0.06 * (2 * index - 1)
            right.plot(x, pairs[kind].mean(1), color=ROLES[kind], label=kind)
            right.plot(x, pairs[kind], "o", color=ROLES[kind], markeredgecolor=PAPER, markersize=7)
        right.set(title="Shuffled pixels", ylabel="test accuracy", xlim=(-0.35, 1.35))
        right.set_xticks([0, 1], ["original", "shuffled, all\nin the same way"])
        right.margins(y=0.25)
        right.legend(loc="best")
        for axes in (left, right):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if axes is left else 1))
            axes.grid(True, axis="y")
    return figure


def format_costs(side: int, fully_connected: ForwardCost, convolution: ForwardCost) -> str:
    """One line of text that compares the parameters and the memory of both layers."""
    return (
        f"{side:>4} x {side:<4} "
        f"fully connected: {format_count(fully_connected.parameters):>13} parameters, "
        f"{format_count(fully_connected.bytes, 'B'):>8}   "
        f"convolution: {format_count(convolution.parameters)}, "
        f"{format_count(convolution.bytes, 'B')}"
    )
