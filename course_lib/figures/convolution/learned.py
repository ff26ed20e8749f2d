"""The figures of lesson 2 about learned kernels: whitening, codes, Gabor functions, directions."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.figures.convolution.layers import to_rgb
from course_lib.figures.style import (
    FAINT,
    INK,
    LINE_STYLES,
    MUTED,
    ORANGE,
    SKY,
    add_grid,
    course_style,
    label_decades,
    with_styles,
)

Kernels = Float[Tensor, "kernels 3 height width"]


def draw_colour_kernel(axes: Axes, kernel: Float[Tensor, "3 height width"]) -> None:
    """Draw a kernel or a patch as a small colour image, without ticks."""
    _draw_image(axes, to_rgb(kernel))


def _draw_image(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def whitened_pairs(
    pairs: Float[Tensor, "points 2"],
    whitened: Float[Tensor, "points 2"],
    directions: Float[Tensor, "2 2"],
    spreads: Float[Tensor, " 2"],
) -> Figure:
    """Two numbers against each other, before and after whitening.

    Args:
        pairs: the two numbers.
        whitened: the same after whitening.
        directions: the axes of the cloud of ``pairs``, in columns of length 1.
        spreads: the standard deviation of ``pairs`` along each axis.
    """
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(8.4, 4.2), layout="constrained")
        for axes, points, title in zip(
            panels,
            (pairs, whitened),
            ("two neighbouring pixels", "the same, whitened"),
            strict=True,
        ):
            limit = float(points.abs().quantile(0.998))
            axes.plot(*points.T.numpy(), ".", color=SKY, markersize=3)
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title=title)
            axes.set_xlabel("left pixel")
            add_grid(axes)
        panels[0].set_ylabel("right pixel")
        for direction, spread in zip(directions.T, spreads, strict=True):
            panels[0].annotate(
                "",
                (2 * spread * direction).tolist(),
                (-2 * spread * direction).tolist(),
                arrowprops={"arrowstyle": "<->", "color": INK, "linewidth": 2},
            )
    return figure


def code_sizes(angles: Float[Tensor, " angles"], sizes: Mapping[str, Sequence[float]]) -> Figure:
    """The mean size of the coefficients of pairs of numbers, against the rotation of the axes.

    Args:
        angles: in degrees.
        sizes: by name, the mean of |first code| + |second code| at each angle.
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
        for (name, values), (colour, marker, dash) in with_styles(sizes.items(), LINE_STYLES):
            axes.plot(angles, values, color=colour, marker=marker, linestyle=dash, label=name)
        axes.set(xlabel="rotation of the axes (degrees)", ylabel="mean size of the coefficients")
        axes.set_xticks(range(0, 91, 15))
        axes.legend()
        add_grid(axes)
    return figure


def pattern_spreads(
    patterns: Float[Tensor, "numbers numbers"],
    spreads: Float[Tensor, " numbers"],
    limits: Mapping[str, float],
    shown: int = 9,
) -> Figure:
    """Some of the patterns that patches consist of, and each one's standard deviation.

    Args:
        patterns: 3x9x9 numbers in each column, in ascending order of ``spreads``.
        spreads: the standard deviation of each pattern's coefficient over all patches.
        limits: by name, levels that are drawn as horizontal lines.
        shown: how many patterns to draw.
    """
    spreads = spreads.flip(0).clamp(min=1e-5)
    places = np.geomspace(1, len(spreads) - 1, shown).round().astype(int) - 1
    with course_style():
        figure, table = plt.subplot_mosaic(
            [[f"pattern {place + 1}" for place in places], ["curve"] * shown],
            figsize=(0.98 * shown, 4.4),
            height_ratios=[1, 2.9],
            layout="constrained",
        )
        for place in places:
            axes = table[f"pattern {place + 1}"]
            draw_colour_kernel(axes, patterns.flip(1)[:, place].view(3, 9, 9))
            axes.set_title(f"no. {place + 1}", fontsize=10)
        curve = table["curve"]
        numbers = np.arange(1, len(spreads) + 1)
        curve.plot(numbers, spreads.numpy(), color=INK)
        curve.plot(places + 1, spreads[places].numpy(), "o", color=INK)
        for (name, limit), (colour, _, dash) in with_styles(limits.items(), LINE_STYLES):
            curve.axhline(limit, color=colour, linestyle=dash)
            curve.annotate(
                name,
                (0.88 * len(spreads), limit),
                (0, 3),
                textcoords="offset points",
                ha="right",
                color=colour,
                weight="bold",
            )
        curve.set(yscale="log", xlabel="pattern, by its standard deviation")
        curve.set_ylim(min(limits.values()) / 3, None)  # the last one's standard deviation is 0
        curve.set_ylabel("standard deviation of its coefficient")
        label_decades(curve.yaxis)
    return figure


def patch_as_sum(
    patch: Float[Tensor, "3 height width"],
    codes: Float[Tensor, " kernels"],
    kernels: Kernels,
    original: Float[Tensor, "3 height width"] | None = None,
    count: int = 5,
) -> Figure:
    """A patch as a sum of kernels, each times its coefficient: the largest, and the whole sum.

    Args:
        patch: in the space of the kernels, so whitened if they are.
        codes: the patch's coefficient for each kernel.
        kernels: whose sum, weighted with the codes, is the reconstruction.
        original: the patch before whitening, drawn first.
        count: how many terms to draw.
    """
    order = codes.abs().argsort(descending=True)
    rebuilt = torch.einsum("k,kchw->chw", codes, kernels)
    tiles = [patch, *kernels[order[:count]], rebuilt]
    headings = ["the patch", *(f"{codes[k]:+.2f} ×" for k in order[:count]), "reconstructed"]
    if original is not None:
        tiles, headings = [original, *tiles], ["the patch", "whitened", *headings[1:]]
    with course_style():
        figure, (top, bottom) = plt.subplots(
            2,
            len(tiles),
            figsize=(1.5 * len(tiles), 3.9),
            height_ratios=[1, 1.15],
            layout="constrained",
        )
        for axes, tile, heading in zip(top, tiles, headings, strict=True):
            draw_colour_kernel(axes, tile)
            axes.set_title(heading.replace("-", "−"), loc="center")
        sign = {"fontsize": 16, "ha": "center", "va": "center", "color": INK}
        before_sum = top[-count - 2]
        before_sum.text(1.16, 0.5, "≈", transform=before_sum.transAxes, **sign)
        top[-2].text(1.26, 0.5, "… =", transform=top[-2].transAxes, **(sign | {"fontsize": 12}))
        grid = bottom[0].get_gridspec()
        for axes in bottom:
            axes.remove()
        bars = figure.add_subplot(grid[1, :])
        values = codes[order].numpy()
        bars.bar(
            range(len(values)), values, color=[ORANGE] * count + [FAINT] * (len(values) - count)
        )
        bars.axhline(0, color=MUTED, linewidth=0.8)
        bars.set(xlabel="the kernels, in the order of |code|", ylabel="code")
        bars.set_title(f"all {len(values)} coefficients of this patch; orange: the {count} above")
    return figure


def compare_galleries(galleries: Mapping[str, Kernels], columns: int = 8) -> Figure:
    """Sets of kernels side by side, each as a grid of small colour images.

    Args:
        galleries: by name; each kernel is scaled to its own maximum.
        columns: kernels per row of a grid.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(galleries), figsize=(3.5 * len(galleries), 3.8), layout="constrained"
        )
        for axes, (name, kernels) in zip(np.atleast_1d(panels), galleries.items(), strict=True):
            height, width = (side + 1 for side in kernels.shape[2:])  # with a white gap
            grid = np.ones((-(-len(kernels) // columns) * height, columns * width, 3))
            for index, kernel in enumerate(kernels):
                top, left = index // columns * height, index % columns * width
                grid[top : top + height - 1, left : left + width - 1] = to_rgb(kernel)
            _draw_image(axes, grid)
            axes.set_title(name)
    return figure


def compare_with_functions(
    kernels: Kernels, functions: Kernels, shares: Float[Tensor, " kernels"]
) -> Figure:
    """Kernels and, below each, the function that fits it best, on the kernel's own scale.

    Args:
        kernels: a few.
        functions: the best function for each.
        shares: the fraction of each kernel's squares that its function explains.
    """
    with course_style():
        figure, table = plt.subplots(
            2, len(kernels), figsize=(1.5 * len(kernels) + 1, 3.5), layout="constrained"
        )
        for line, kernel, function, share in zip(table.T, kernels, functions, shares, strict=True):
            limit = float(kernel.abs().max())
            draw_colour_kernel(line[0], kernel)
            scaled = (function / limit / 2 + 0.5).clamp(0, 1)
            _draw_image(line[1], scaled.permute(1, 2, 0).numpy())
            line[0].set_title(f"{share:.0%}", loc="center")
        for axes, label in zip(table[:, 0], ("kernel", "best Gabor\nfunction"), strict=True):
            axes.set_ylabel(label, rotation=0, ha="right", va="center", labelpad=8)
    return figure


def tuning_curves(
    curves: Mapping[str, Float[Tensor, "kernels turns"]], turns: Float[Tensor, " turns"]
) -> Figure:
    """The response to an edge that is turned away from a kernel's own direction.

    Args:
        curves: by name, the responses of one or more kernels, relative to the edge without a turn:
            the line is their median, the band the middle half of several kernels.
        turns: in degrees.
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
        for (name, values), (colour, marker, dash) in with_styles(curves.items(), LINE_STYLES):
            low, middle, high = values.quantile(torch.tensor([0.25, 0.5, 0.75]), dim=0)
            if len(values) > 1:
                axes.fill_between(turns, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(turns, middle, color=colour, marker=marker, linestyle=dash, label=name)
        axes.set(xlabel="rotation of the edge (degrees)", ylabel="strongest response, relative")
        axes.set(ylim=(0, None), xticks=turns.tolist())
        axes.legend()
        add_grid(axes)
    return figure
