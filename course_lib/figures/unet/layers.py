"""Lesson 5's figures of single layers: transposed convolutions, normalised maps, output
activations, and ways to join feature maps.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional as F

from course_lib.figures.convolution.kernels import draw_number_grid, format_number
from course_lib.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    course_style,
)

Grey = Float[Tensor, "height width"]
Kernel = Float[Tensor, "kernel_height kernel_width"]
# The frame of each of four inputs: neither blue nor orange, which show the sign of a number.
_FRAMES = ((INK, "-"), (GREEN, "--"), (PURPLE, "-"), (MUTED, ":"))
# The lower and the upper bound of each activation's outputs.
ACTIVATION_RANGES = {
    "none": (-np.inf, np.inf),
    "tanh": (-1.0, 1.0),
    "sigmoid (softmax too)": (0.0, 1.0),
}


def transposed_convolution(x: Grey, kernel: Kernel, stride: int) -> Figure:
    """A transposed convolution step by step: each input times the kernel, shifted and summed.

    Args:
        x: 2x2, because each of its four products gets a panel. All panels share one colour scale.
        kernel: small, so that its numbers are legible.
        stride: the shift between the products of neighbouring inputs.

    Raises:
        ValueError: if ``x`` is not 2x2.
    """
    if x.shape != (2, 2):
        raise ValueError(
            f"x is {tuple(x.shape)}: give 2 x 2 numbers, one for each of the four panels."
        )
    with course_style():
        figure, panels = plt.subplot_mosaic(
            [["x", "0", "1", "sum"], ["kernel", "2", "3", "sum"]],
            figsize=(10.5, 5.2),
            width_ratios=[1, 1.35, 1.35, 2],
            layout="constrained",
        )
        output = _conv_transpose(x, kernel, stride).numpy()
        limit = max(float(np.abs(output).max()), float(x.abs().max() * kernel.abs().max()))
        draw_number_grid(panels["x"], x.numpy(), signed=True, size=12, digits=0, limit=limit)
        panels["x"].set_title("input")
        draw_number_grid(
            panels["kernel"], kernel.numpy(), signed=True, size=12, digits=0, limit=limit
        )
        panels["kernel"].set_title("kernel")
        height, width = kernel.shape
        for index, frame in enumerate(_FRAMES):
            row, column = divmod(index, 2)
            single = torch.zeros_like(x)
            single[row, column] = x[row, column]
            product = _conv_transpose(single, kernel, stride).numpy()
            axes = panels[str(index)]
            draw_number_grid(axes, product, signed=True, size=8, digits=0, limit=limit)
            axes.set_title(format_number(f"{x[row, column]:g}") + " × kernel", fontsize=10)
            for panel in (axes, panels["sum"]):
                _draw_outline(panel, column * stride, row * stride, width, height, *frame)
            _draw_outline(panels["x"], column, row, 1, 1, *frame)
        draw_number_grid(panels["sum"], output, signed=True, size=12, digits=0, limit=limit)
        panels["sum"].set_title("output: the sum")
    return figure


def _conv_transpose(x: Grey, kernel: Kernel, stride: int) -> Float[Tensor, "rows columns"]:
    return F.conv_transpose2d(x[None, None], kernel[None, None], stride=stride)[0, 0]


def _draw_outline(
    axes: Axes, left: int, top: int, width: int, height: int, colour: str, dash: str
) -> None:
    axes.add_patch(
        Rectangle(
            (left - 0.44, top - 0.44),
            width - 0.12,
            height - 0.12,
            fill=False,
            edgecolor=colour,
            linewidth=2.4,
            linestyle=dash,
            zorder=5,
        )
    )


def normalised_maps(
    maps: Mapping[str, Float[Tensor, "_ _"]],
    captions: Mapping[str, str],
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Maps side by side, each scaled from its lowest (black) to its highest value (white).

    Args:
        maps: each by its heading.
        captions: a line below a map, by the map's heading.
        limits: the values of black and of white in all maps; None scales each map by itself.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(maps), figsize=(2.9 * len(maps), 3.5), squeeze=False, layout="constrained"
        )
        for axes, (heading, values) in zip(panels[0], maps.items(), strict=True):
            low, high = limits or (float(values.min()), float(values.max()))
            if high - low < 1e-5:  # constant: mid grey
                low, high = low - 1, high + 1
            axes.imshow(values.numpy(), cmap="gray", vmin=low, vmax=high)
            axes.set(xticks=[], yticks=[])
            axes.set_title(heading, fontsize=11)
            axes.set_xlabel(captions.get(heading, ""), color=INK)
    return figure


def clipping_error(target: Tensor, activation: str) -> tuple[float, float]:
    """The error that an activation's bounded outputs cause for a target.

    Returns:
        The fraction of the target's values outside the bounds, and the smallest possible mean
        squared error.

    Raises:
        ValueError: if the activation is not in ``ACTIVATION_RANGES``.
    """
    if activation not in ACTIVATION_RANGES:
        raise ValueError(
            f"There is no activation {activation!r}: choose one of {', '.join(ACTIVATION_RANGES)}."
        )
    nearest = target.clamp(*ACTIVATION_RANGES[activation])
    return float((nearest != target).float().mean()), float((nearest - target).square().mean())


def target_histograms(targets: Mapping[str, Tensor]) -> Figure:
    """Histograms of training targets, and the range of each output activation.

    Args:
        targets: tensors of any shape, by name.
    """
    with course_style():
        figure, panels = plt.subplots(
            len(targets),
            1,
            figsize=(8.6, 2.35 * len(targets)),
            squeeze=False,
            layout="constrained",
        )
        for axes, (name, values) in zip(panels[:, 0], targets.items(), strict=True):
            flat = values.flatten().numpy()
            counts, edges = np.histogram(flat.clip(-3.2, 3.2), bins=np.linspace(-3.25, 3.25, 66))
            axes.bar(
                edges[:-1], counts / counts.max(), width=np.diff(edges), align="edge", color=MUTED
            )
            for line, activation in enumerate(ACTIVATION_RANGES):
                _draw_range(axes, -0.28 - 0.33 * line, activation, values)
            axes.plot((-3.25, 3.25), (0, 0), color=INK, linewidth=0.8)
            axes.set(
                ylim=(-0.28 - 0.33 * len(ACTIVATION_RANGES), 1.1),
                xlim=(-3.45, 7.6),
                yticks=[],
                xticks=range(-3, 4),
            )
            axes.spines["left"].set_visible(False)
            axes.spines["bottom"].set_bounds(-3.25, 3.25)
            axes.set_title(name)
        axes.set_xlabel("value", x=0.31)
    return figure


def _draw_range(axes: Axes, y: float, activation: str, target: Tensor) -> None:
    """Draw the range of an activation as a bar, hatched if it does not cover the target.

    An arrowhead at an end means that the range has no limit there.
    """
    share, error = clipping_error(target, activation)
    low, high = ACTIVATION_RANGES[activation]
    spread = float(target.max() - target.min())
    excess = high - low > 1.2 * spread and float(target.abs().max()) <= 1
    colour, hatch, text = BLUE, "", "reaches every value"
    if error > 1e-9:
        rms = error**0.5
        colour, hatch = RED, "//"
        text = f"misses {share:.0%}, RMS error at least {rms:.2f}"
    elif excess:
        text = "reaches these values and others"
    left, right = max(low, -3.2), min(high, 3.2)
    axes.barh(y, right - left, 0.2, left, color=FAINT, edgecolor=colour, hatch=hatch, linewidth=1.2)
    if np.isinf(high):
        axes.plot((left, right), (y, y), linestyle="", marker="<", color=colour, markevery=[0])
        axes.plot((left, right), (y, y), linestyle="", marker=">", color=colour, markevery=[1])
    axes.text(3.6, y, f"{activation}: {text}", va="center", fontsize=9, color=INK)


def compare_joins(joins: Mapping[str, tuple[tuple[str, int], tuple[str, int], str, int]]) -> Figure:
    """Ways to join two feature maps. A stripe stands for 16 channels.

    Args:
        joins: by name: the first feature map's label and channels, the second's, the operation
            (``"concatenate"`` or ``"add"``), and the channels of the result.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(joins), figsize=(3.6 * len(joins), 2.9), squeeze=False, layout="constrained"
        )
        for axes, (name, (first, second, operation, result)) in zip(
            panels[0], joins.items(), strict=True
        ):
            axes.set(xlim=(0, 10), ylim=(0, 6.4))
            axes.axis("off")
            axes.set_title(name, fontsize=11)
            for (text, count), y, colour in ((first, 3.6, SKY), (second, 0.6, ORANGE)):
                right = _draw_channels(axes, 1.6, y, ((count, colour),), f"{text}: {count}")
                arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.5}
                axes.annotate("", (6.8, 2.9), (right + 0.25, y + 0.8), arrowprops=arrow)
            parts: tuple[tuple[int, str], ...] = ((result, MUTED),)
            text = f"{result}"
            if operation == "concatenate":
                parts = ((first[1], SKY), (second[1], ORANGE))
                text = f"{first[1]} + {second[1]} = {result}"
            _draw_channels(axes, 7.0, 2.1, parts, text)
            axes.text(5.4, 4.6, operation, ha="center", fontsize=10, weight="bold")
    return figure


def _draw_channels(
    axes: Axes, left: float, bottom: float, parts: Sequence[tuple[int, str]], text: str
) -> float:
    """Draw a feature map as a row of stripes with a text below; return its right edge."""
    for channels, colour in parts:
        for _ in range(max(1, round(channels / 16))):
            bar = Rectangle((left, bottom), 0.22, 1.6, facecolor=colour, edgecolor=INK)
            axes.add_patch(bar)
            left += 0.3
    first = left - 0.3 * sum(max(1, round(channels / 16)) for channels, _ in parts)
    axes.text((first + left) / 2, bottom - 0.15, text, ha="center", va="top", fontsize=10)
    return left - 0.08
