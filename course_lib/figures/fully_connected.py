"""The figures of lesson 1, drawn from real layers and measurements."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PatchCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import Tensor, nn

from course_lib.figures.style import (
    FAINT,
    GREEN,
    INK,
    MUTED,
    PAPER,
    PURPLE,
    ROLES,
    course_style,
    label_log_axis,
    with_styles,
)
from course_lib.profiling.cost import ForwardCost, as_matrix, fit_power_law, format_count

# The colour of a weight: purple below zero, grey at zero, green above. Red and blue are the layers.
WEIGHT_COLOURS = LinearSegmentedColormap.from_list("weights", [PURPLE, "#EFEFEF", GREEN])
# For lines: a weight near zero must remain visible on white.
_LINE_COLOURS = LinearSegmentedColormap.from_list("lines", [PURPLE, "#BBBBBB", GREEN])
LAYER_KINDS = ("fully connected", "convolution")


def connections(linear: nn.Linear, conv: nn.Conv2d, image: Float[Tensor, "height width"]) -> Figure:
    """Both layers as lines from input pixels to output pixels, coloured by the real weights.

    Only the connections of two output pixels are coloured; all others are grey. The input is also
    shown as a flat image, in which it can be recognised. Black is 0 in the input; in the outputs,
    which have negative numbers too, mid grey is 0.

    Args:
        linear: with height x width input features, and as many output features.
        conv: one channel in and out, with padding that keeps the size.
        image: the input, in [0, 1], at most 8x8 so that the lines stay distinguishable.
    """
    height, width = image.shape
    # Two output pixels near opposite corners, one pixel from the border.
    highlighted = [width + 1, (height - 2) * width + width - 2]
    with course_style():
        figure, panels = plt.subplots(
            1, 3, figsize=(12.5, 5.2), width_ratios=[0.62, 1, 1], layout="constrained"
        )
        panels[0].imshow(image.numpy(), cmap="gray")
        panels[0].set_title(f"the input: {height} x {width} pixels")
        panels[0].set(xticks=[], yticks=[])
        for axes, kind, layer, shape in (
            (panels[1], LAYER_KINDS[0], linear, (height * width,)),
            (panels[2], LAYER_KINDS[1], conv, (1, height, width)),
        ):
            matrix = as_matrix(layer, *shape).numpy()
            output = layer(image.reshape(1, *shape)).detach().view(height, width).numpy()
            _draw_connections(axes, matrix, image.numpy(), output, highlighted)
            first, second = (int(np.count_nonzero(matrix[pixel])) for pixel in highlighted)
            title = f"{kind}: {np.count_nonzero(matrix):,} connections"
            axes.set_title(title, color=ROLES[kind])
            weights = (
                f"the same {first}" if kind == "convolution" else f"{first + second} different"
            )
            axes.text(
                0.5,
                -0.02,
                f"{first} + {second} connections to the two\n"
                f"marked output pixels: {weights} weights",
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
    axes.add_collection(LineCollection(lines, colors=FAINT, linewidths=0.25, zorder=1))
    limit = max(float(np.abs(output).max()), 1e-9)
    for corners, values, role, scale in (
        (inputs, image, "input", Normalize(0, 1)),
        (outputs, output, "output", Normalize(-limit, limit)),
    ):
        normalised = scale(values.ravel())
        axes.add_collection(
            PolyCollection(
                corners,  # type: ignore[arg-type]
                facecolors=plt.get_cmap("gray")(normalised),
                edgecolors=MUTED,
                linewidths=0.6,
                zorder=2,
            )
        )
        x, y = corners[..., 0].mean(), corners[..., 1].max()
        axes.text(x, y + 0.12, f"{role} pixels", ha="center", va="bottom", color=INK)
    # A black frame inside a white one is visible on any grey.
    for colour, width in ((PAPER, 5.5), (INK, 2.5)):
        axes.add_collection(
            PolyCollection(
                outputs[list(highlighted)],  # type: ignore[arg-type]
                facecolors="none",
                edgecolors=colour,
                linewidths=width,
                zorder=3,
            )
        )
    coloured = np.isin(target, highlighted)
    weights = (matrix / np.abs(matrix).max())[target, source][coloured]
    colours = _LINE_COLOURS((weights + 1) / 2)
    widths = 1 + 2 * np.abs(weights)
    axes.add_collection(
        LineCollection(lines[coloured], colors=colours, linewidths=widths, zorder=4)
    )
    axes.set(xlim=(-0.3, 4.7), ylim=(-0.1, 3.6), aspect="equal")
    axes.axis("off")


def _plane(shape: tuple[int, int], left: float) -> np.ndarray:
    """The corners of each pixel of an upright image in oblique projection: (pixels, 4, 2)."""
    height, width = shape
    row, column = np.divmod(np.arange(height * width), width)
    corners = []
    for down, right in ((0, 0), (0, 1), (1, 1), (1, 0)):
        across, up = (column + right) / width, 1 - (row + down) / height
        corners.append(np.stack([left + 1.0 * across, 2.4 * up + 0.75 * across], axis=-1))
    return np.stack(corners, axis=1)


def weight_matrices(linear: nn.Linear, conv: nn.Conv2d, height: int, width: int) -> Figure:
    """Both layers as the matrix that multiplies the flattened image, with one colour scale.

    Zeros are white. If there are any, the nonzero entries are outlined, so that a weight close to 0
    does not look like a zero.
    """
    matrices = {
        "fully connected": as_matrix(linear, height * width).numpy(),
        "convolution": as_matrix(conv, 1, height, width).numpy(),
    }
    limit = max(float(np.abs(matrix).max()) for matrix in matrices.values())
    scale = ScalarMappable(Normalize(-limit, limit), WEIGHT_COLOURS)
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(9.6, 5.2), layout="constrained")
        for axes, (kind, matrix), layer in zip(
            panels, matrices.items(), (linear, conv), strict=True
        ):
            shown = np.where(matrix == 0, np.nan, matrix)
            axes.imshow(shown, cmap=scale.cmap, norm=scale.norm)
            if np.count_nonzero(matrix) < matrix.size:
                _outline_entries(axes, matrix)
            axes.set_title(
                f"{kind}\n{np.count_nonzero(matrix):,} of {matrix.size:,} entries "
                f"are not 0,\nfrom {layer.weight.numel():,} weights",
                color=ROLES[kind],
            )
            axes.set(xlabel="input pixel", ylabel="output pixel")
            axes.spines[:].set_visible(True)
            row_starts = np.arange(0, height * width, width)
            axes.set_xticks(row_starts)
            axes.set_yticks(row_starts)
        figure.colorbar(scale, ax=panels, label="weight", location="bottom", aspect=45, shrink=0.6)
    return figure


def _outline_entries(axes: Axes, matrix: np.ndarray) -> None:
    """Draw a thin outline around each nonzero entry."""
    cells = [Rectangle((j - 0.5, i - 0.5), 1, 1) for i, j in np.argwhere(matrix)]
    axes.add_collection(
        PatchCollection(cells, facecolor="none", edgecolor=MUTED, linewidth=0.35)  # type: ignore
    )


def learned_matrices(
    found: Mapping[int, Float[Tensor, "outputs inputs"]],
    counts: Sequence[int],
    errors: Mapping[str, Sequence[float]],
) -> Figure:
    """Above, weight matrices found from more and more examples; below, the error of both layers.

    All matrices have the same colour scale.

    Args:
        found: the matrix of the fully connected layer by the number of examples, at most four.
        counts: numbers of examples, ascending.
        errors: for each kind of layer, the error of its weights at these numbers, in [0, 1].
    """
    limit = max(float(matrix.abs().max()) for matrix in found.values())
    scale = ScalarMappable(Normalize(-limit, limit), WEIGHT_COLOURS)
    with course_style():
        figure = plt.figure(figsize=(7.2, 5.4), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[1.1, 1])
        panels = above.subplots(1, len(found), squeeze=False)[0]
        for axes, (count, matrix) in zip(panels, found.items(), strict=True):
            axes.imshow(matrix.numpy(), cmap=scale.cmap, norm=scale.norm)
            axes.set_title(f"{count} images", color=ROLES[LAYER_KINDS[0]], fontsize=11)
            axes.set(xticks=[], yticks=[], xlabel="input pixel")
            axes.spines[:].set_visible(True)
        panels[0].set_ylabel("output pixel")
        above.colorbar(scale, ax=panels, label="weight", shrink=0.8)
        axes = below.subplots()
        for kind, marker, dash in zip(LAYER_KINDS, "os", ("-", "--"), strict=True):
            line = f"{marker}{dash}"
            axes.plot(counts, errors[kind], line, color=ROLES[kind], markersize=4, label=kind)
        axes.set(xlabel="images with their outputs", ylabel="error of the weights")
        axes.set(xlim=(0, counts[-1] + 1), ylim=(-0.05, 1.05))
        axes.grid(True)
        axes.legend()
    return figure


def class_weights(weights: Float[Tensor, "classes height width"], classes: Sequence[str]) -> Figure:
    """The weights of each class's score as an image, all on one colour scale.

    Args:
        weights: an even number of images.
        classes: the names of the classes.
    """
    limit = float(weights.abs().max())
    scale = ScalarMappable(Normalize(-limit, limit), WEIGHT_COLOURS)
    columns = len(weights) // 2
    with course_style():
        figure, panels = plt.subplots(
            2, columns, figsize=(1.3 * columns + 0.7, 3.3), squeeze=False, layout="constrained"
        )
        for axes, image, name in zip(panels.ravel(), weights, classes, strict=True):
            axes.imshow(image.numpy(), cmap=scale.cmap, norm=scale.norm)
            axes.set_title(name, loc="center", fontsize=11)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        figure.colorbar(scale, ax=panels, label="weight", shrink=0.9)
    return figure


def cost_growth(
    sides: Sequence[int],
    costs: Mapping[str, Sequence[ForwardCost]],
    timed_sides: Mapping[str, Sequence[int]],
    seconds: Mapping[str, Sequence[float]],
) -> Figure:
    """Parameters and FLOPs, and below them time, against the image's side, log-log.

    The legend has the fitted slopes; that of the times is fitted to the three largest sizes of each
    kind. A factor of ten is equally high in both plots, so their slopes can be compared by eye. For
    comparison with a power law, a dotted line shows 2 to the power of the side.

    Args:
        sides: image sides in pixels.
        costs: for each kind of layer, its cost at these sides.
        timed_sides: for each kind, the sides at which it was timed.
        seconds: for each kind, the seconds of a forward pass at those sides.
    """
    curves = [
        ("parameters", {kind: [cost.parameters for cost in costs[kind]] for kind in LAYER_KINDS}),
        ("FLOPs", {kind: [cost.flops for cost in costs[kind]] for kind in LAYER_KINDS}),
    ]
    # The lowest and the highest power of ten of both plots.
    ranges = [
        (np.log10(np.min(values)) - 0.6, np.log10(np.max(values)) + 0.6)
        for values in (
            [value for _, lines in curves for line in lines.values() for value in line],
            [value for line in seconds.values() for value in line],
        )
    ]
    heights = [high - low for low, high in ranges]
    with course_style():
        figure, panels = plt.subplots(
            2, 1, figsize=(6.4, 8), height_ratios=heights, sharex=True, layout="constrained"
        )
        for name, lines in curves:
            for kind, values in lines.items():
                # Counts are exact; the third decimal shows what the biases add.
                _draw_power_law(panels[0], sides, values, kind, name, digits=3)
        for kind in LAYER_KINDS:
            _draw_power_law(
                panels[1], timed_sides[kind], seconds[kind], kind, "time", digits=2, fitted=3
            )
        top = ranges[0][1]
        exponential = np.linspace(sides[0], min(sides[-1], top / np.log10(2)), 200)
        label = "2 to the power of the side (exponential)"
        panels[0].plot(exponential, 2**exponential, ":", color=MUTED, label=label)
        titles = ("parameters, and FLOPs per forward pass", "seconds per forward pass")
        for axes, (low, high), title in zip(panels, ranges, titles, strict=True):
            axes.minorticks_off()
            axes.set_yticks(10.0 ** np.arange(np.ceil(low), high, 2))
            axes.grid(True)
            axes.set_ylim(10**low, 10**high)
            # Above the plot: inside, the dotted line crosses the free corner.
            axes.legend(
                loc="lower left", bbox_to_anchor=(-0.02, 1), handlelength=3, title=title
            ).set_alignment("left")
        panels[-1].set_xlabel("side of the image, pixels")
        panels[-1].set_xticks(sides, [str(side) for side in sides])
        panels[-1].set_xlim(sides[0] / 1.25, sides[-1] * 1.25)
    return figure


def _draw_power_law(
    axes: Axes,
    x: Sequence[int],
    y: Sequence[float],
    kind: str,
    name: str,
    *,
    digits: int,
    fitted: int = 0,
) -> None:
    """Draw marks, filled for parameters and otherwise hollow, and the power law fitted to them.

    Args:
        digits: of the slope in the legend.
        fitted: fit to the last points only, as many as this; 0 for all. Call overhead dominates the
            time of small layers, so only the largest show the growth.
    """
    exponent, factor = fit_power_law(x[-fitted:], y[-fitted:])
    colour, marker = ROLES[kind], "os"[LAYER_KINDS.index(kind)]
    dash, face = ("-", colour) if name == "parameters" else ("--", PAPER)
    size = 8 if marker == "o" else 5  # so that a square inside a circle leaves both visible
    axes.loglog(x[-fitted:], [factor * side**exponent for side in x[-fitted:]], dash, color=colour)
    axes.loglog(x, y, marker, color=colour, mfc=face, markersize=size)
    label = f"{kind}, {name}: slope {abs(exponent):.{digits}f}"
    axes.plot([], [], dash, marker=marker, color=colour, mfc=face, markersize=size, label=label)


def learning_curves(losses: Mapping[float, Sequence[float]]) -> Figure:
    """The loss against the training steps, on a logarithmic axis, for several learning rates.

    Every line has its rate as a label: that of the largest rate stands at its highest point, those
    of the others below the line. The first step with the largest rate is marked.

    Args:
        losses: for at most three learning rates, the loss before each step; finite and positive.
            All of them begin with the same loss.
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
        largest = max(losses)
        styles = ((":", "^"), ("-", "o"), ("--", "s"))
        for (rate, values), (dash, marker) in with_styles(losses.items(), styles):
            axes.semilogy(values, dash, marker=marker, color=INK, markersize=4)
            at_top = rate == largest
            place = int(np.argmax(values)) if at_top else 2 * len(values) // 3
            axes.annotate(
                f"learning rate {rate:g}",
                (place, values[place]),
                (0, 7) if at_top else (0, -9),
                textcoords="offset points",
                ha="center",
                va="bottom" if at_top else "top",
            )
        first = losses[largest][1]
        axes.annotate(
            f"first step with {largest:g}",
            (1, first),
            (12, -3),
            textcoords="offset points",
            va="top",
            color=MUTED,
        )
        axes.set(xlabel="training steps", ylabel="loss (cross-entropy)")
        label_log_axis(axes.yaxis)
        axes.margins(y=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # no half steps
        axes.grid(True, axis="y")
    return figure


def perturbed_images(
    rows: Mapping[str, Float[Tensor, "count 1 height width"]], titles: Sequence[str] = ()
) -> Figure:
    """A table of images: a row for each perturbation, with its name; a column for each image.

    Args:
        rows: images in [0, 1] by the name of the perturbation.
        titles: a text above each column, if any.
    """
    with course_style():
        columns = max(len(images) for images in rows.values())
        figure, panels = plt.subplots(
            len(rows),
            columns,
            figsize=(1.15 * columns + 1.2, 1.2 * len(rows) + 0.3),
            squeeze=False,
            layout="constrained",
        )
        for line, (name, images) in zip(panels, rows.items(), strict=True):
            for axes, image in zip(line, images, strict=True):
                axes.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=1)
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            # One word per line leaves more width for the images.
            text = name.replace(" ", "\n")
            line[0].set_ylabel(text, rotation=0, ha="right", va="center", labelpad=10, color=INK)
        for axes, title in zip(panels[0], titles, strict=False):
            axes.set_title(title, loc="center")
    return figure


def robustness(
    shifts: Sequence[int], accuracies: Mapping[str, np.ndarray], chance: float
) -> Figure:
    """Test accuracy of networks trained on centred images, against the shift of the test images.

    Args:
        shifts: in pixels.
        accuracies: for each kind of network, of shape (seeds, shifts). A mark is one seed, a line
            joins the means.
        chance: the accuracy of guessing.
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
        # The marks of the two kinds stand side by side: where both agree, one would hide the other.
        for kind, marker, dash, aside in zip(
            LAYER_KINDS, "os", ("-", "--"), (-0.05, 0.05), strict=True
        ):
            values = np.asarray(accuracies[kind])
            axes.plot(shifts, values.mean(0), dash, color=ROLES[kind], label=kind)
            columns = np.tile(shifts, (len(values), 1)).T + aside
            axes.plot(columns, values.T, marker, color=ROLES[kind], markersize=6)
        axes.axhline(chance, color=MUTED, linewidth=1.2, linestyle="--")
        axes.text(shifts[0], chance + 0.015, "guessing", color=MUTED, va="bottom")
        axes.set(xlabel="shift of the test images, pixels", ylabel="test accuracy", xticks=shifts)
        axes.set(ylim=(0, 1.03))
        axes.grid(True, axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 0.16))
    return figure


def compare_accuracies(
    results: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], chance: float
) -> Figure:
    """Training and test accuracy of both networks on several data sets.

    The seeds stand side by side. Each has a hollow mark for the training images, a filled one for
    the test images, and a line between the two. The number is the mean test accuracy. The y axis
    begins just below the lowest mark; the accuracy of guessing is drawn only if it is above that.

    Args:
        results: by the name of the data set, then by kind of network: (training accuracy, test
            accuracy) of each seed.
        chance: the accuracy of guessing.
    """
    lowest: float = min(np.min(pairs) for by_kind in results.values() for pairs in by_kind.values())
    floor = max(0.0, np.floor(10 * lowest - 0.4) / 10)
    with course_style():
        figure, axes = plt.subplots(figsize=(7, 4.8), layout="constrained")
        for group, by_kind in enumerate(results.values()):
            for index, kind in enumerate(LAYER_KINDS):
                centre = group + 0.46 * (index - 0.5)
                _draw_seeds(axes, np.asarray(by_kind[kind]), centre, kind, label=group == 0)
        if chance > floor:
            axes.axhline(chance, color=MUTED, linewidth=1.2, linestyle="--")
            axes.text(-0.42, chance + 0.005, "guessing", color=MUTED, va="bottom")
        axes.set_xticks(range(len(results)), list(results), color=INK)
        axes.set(ylim=(floor, 1.015), xlim=(-0.5, len(results) - 0.5), ylabel="accuracy")
        axes.grid(True, axis="y")
        figure.legend(loc="outside upper center", ncols=2, title="filled: test, hollow: training")
    return figure


def _draw_seeds(axes: Axes, pairs: np.ndarray, centre: float, kind: str, label: bool) -> None:
    """Draw two marks for each seed, around ``centre`` on the x axis, and the mean test accuracy.

    Args:
        pairs: (seeds, 2), the training and the test accuracy.
        label: whether the legend names these marks.
    """
    colour, marker = ROLES[kind], "os"[LAYER_KINDS.index(kind)]
    seeds = len(pairs)
    x = centre + 0.09 * (np.arange(seeds) - (seeds - 1) / 2) * 2 / max(seeds - 1, 2)
    axes.vlines(x, pairs[:, 1], pairs[:, 0], color=colour, linewidth=1.6, zorder=2)
    options: dict[str, Any] = {"color": colour, "markersize": 7, "zorder": 3}
    axes.plot(x, pairs[:, 0], marker, mfc=PAPER, **options)
    axes.plot(x, pairs[:, 1], marker, label=kind if label else None, **options)
    axes.annotate(
        f"{pairs[:, 1].mean():.2f}",
        (centre, pairs[:, 1].min()),
        (0, -9),
        textcoords="offset points",
        color=colour,
        weight="bold",
        ha="center",
        va="top",
    )


def learned_weights(
    hidden: Float[Tensor, "units height width"],
    kernels: Float[Tensor, "kernels kernel_height kernel_width"],
) -> Figure:
    """The first layers' weights as images: a row of single hidden units, and two of kernels.

    All images of one layer have the same colour scale, two layers have different ones.

    Args:
        hidden: the weights of some hidden units of the fully connected network's first layer, as
            images; half as many as kernels.
        kernels: the kernels of the convolution's first layer; an even number.
    """
    columns = len(hidden)
    groups = (
        (LAYER_KINDS[0], f"the weights of {columns} single outputs", hidden, 1),
        (LAYER_KINDS[1], f"the {len(kernels)} kernels of the first layer", kernels, 2),
    )
    with course_style():
        figure = plt.figure(figsize=(1.35 * columns + 0.5, 5), layout="constrained")
        parts = figure.subfigures(2, 1, height_ratios=[1.2, 2])
        for part, (kind, contents, images, rows) in zip(parts, groups, strict=True):
            part.suptitle(f"{kind}: {contents}", color=ROLES[kind], weight="bold", fontsize=12)
            limit = float(images.abs().max())
            scale = ScalarMappable(Normalize(-limit, limit), WEIGHT_COLOURS)
            panels = part.subplots(rows, columns, squeeze=False)
            for axes, image in zip(panels.ravel(), images, strict=True):
                axes.imshow(image.numpy(), cmap=scale.cmap, norm=scale.norm)
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            part.colorbar(scale, ax=panels, label="weight", shrink=0.9)
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
