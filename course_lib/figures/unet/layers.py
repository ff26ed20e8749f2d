"""Lesson 5's figures of single layers: up-sampling number by number, and what output activations
can reach.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional as F

from course_lib.figures.convolution.kernels import numbers, typeset
from course_lib.figures.style import BLUE, FAINT, GREEN, INK, MUTED, ORANGE, RED, course_style

Grey = Float[Tensor, "height width"]
# What an activation can give, lowest and highest.
REACH = {
    "none": (-np.inf, np.inf),
    "tanh": (-1.0, 1.0),
    "sigmoid (softmax too)": (0.0, 1.0),
}


def transposed(x: Grey, kernel: Grey, stride: int) -> Figure:
    """A transposed convolution, number by number: each input number times the kernel, pasted at its
    place, all summed.

    Args:
        x: 2x2, so that its four shares can be drawn.
        kernel: small.
        stride: how far apart the shares of neighbours are pasted.

    Raises:
        ValueError: if ``x`` is not 2x2.
    """
    if x.shape != (2, 2):
        raise ValueError(f"x is {tuple(x.shape)}: give 2 x 2 numbers, their four shares are drawn.")
    whole = _paste(x, kernel, stride)
    with course_style():
        figure, panels = plt.subplot_mosaic(
            [["x", "0", "1", "sum"], ["kernel", "2", "3", "sum"]],
            figsize=(10.5, 5.2),
            width_ratios=[1, 1.35, 1.35, 2],
            layout="constrained",
        )
        numbers(panels["x"], x.numpy(), signed=True, size=12, digits=0)
        panels["x"].set_title("input")
        numbers(panels["kernel"], kernel.numpy(), signed=True, size=12, digits=0)
        panels["kernel"].set_title("kernel")
        for index, colour in enumerate((ORANGE, BLUE, GREEN, RED)):
            row, column = divmod(index, 2)
            alone = torch.zeros_like(x)
            alone[row, column] = x[row, column]
            axes = panels[str(index)]
            numbers(axes, _paste(alone, kernel, stride).numpy(), signed=True, size=8, digits=0)
            axes.set_title(typeset(f"{x[row, column]:g}") + " × kernel", fontsize=10)
            for here in (axes, panels["sum"]):
                _frame(
                    here, column * stride, row * stride, kernel.shape[1], kernel.shape[0], colour
                )
            _frame(panels["x"], column, row, 1, 1, colour)
        numbers(panels["sum"], whole.numpy(), signed=True, size=12, digits=0)
        panels["sum"].set_title("output: the sum")
    return figure


def _paste(x: Grey, kernel: Grey, stride: int) -> Grey:
    return F.conv_transpose2d(x[None, None], kernel[None, None], stride=stride)[0, 0]


def _frame(axes: Axes, left: int, top: int, width: int, height: int, colour: str) -> None:
    spot = (left - 0.44, top - 0.44)
    axes.add_patch(
        Rectangle(
            spot, width - 0.12, height - 0.12, fill=False, edgecolor=colour, linewidth=2.4, zorder=5
        )
    )


def patterns(maps: Mapping[str, Grey], words: Mapping[str, str]) -> Figure:
    """Maps side by side, each drawn from its lowest to its highest value.

    Args:
        maps: by their headings.
        words: a line below each.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(maps), figsize=(2.9 * len(maps), 3.5), squeeze=False, layout="constrained"
        )
        for axes, (name, values) in zip(panels[0], maps.items(), strict=True):
            low, high = float(values.min()), float(values.max())
            even = high - low < 1e-5
            axes.imshow(
                values.numpy(),
                cmap="gray",
                vmin=low - (1 if even else 0),
                vmax=high + (1 if even else 0),
            )
            axes.set(xticks=[], yticks=[])
            axes.set_title(name, fontsize=11)
            axes.set_xlabel(words.get(name, ""), color=INK)
    return figure


def out_of_reach(target: Tensor, activation: str) -> tuple[float, float]:
    """The share of the target's values that an activation can't give, and the mean squared error
    that this costs.

    Raises:
        ValueError: if the activation is none of ``REACH``.
    """
    if activation not in REACH:
        raise ValueError(
            f"There is no activation {activation!r}: choose one of {', '.join(REACH)}."
        )
    low, high = REACH[activation]
    nearest = target.clamp(low, high)
    return float((nearest != target).float().mean()), float((nearest - target).square().mean())


def targets(wanted: Mapping[str, Tensor]) -> Figure:
    """Histograms of what networks are asked to give, and the values that each activation can give
    at all.

    Args:
        wanted: by name, values of any shape.
    """
    with course_style():
        figure, panels = plt.subplots(
            len(wanted),
            1,
            figsize=(9.5, 2.15 * len(wanted)),
            sharex=True,
            squeeze=False,
            layout="constrained",
        )
        for axes, (name, values) in zip(panels[:, 0], wanted.items(), strict=True):
            flat = values.flatten().numpy()
            heights, edges = np.histogram(flat.clip(-3.2, 3.2), bins=np.linspace(-3.25, 3.25, 66))
            axes.bar(
                edges[:-1], heights / heights.max(), width=np.diff(edges), align="edge", color=MUTED
            )
            for line, (activation, (low, high)) in enumerate(REACH.items()):
                _reach(
                    axes,
                    -0.28 - 0.33 * line,
                    activation,
                    low,
                    high,
                    out_of_reach(values, activation),
                )
            axes.axhline(0, color=INK, linewidth=0.8)
            axes.set(
                ylim=(-0.28 - 0.33 * len(REACH), 1.1),
                xlim=(-3.3, 6.6),
                yticks=[],
                xticks=range(-3, 4),
            )
            axes.spines["left"].set_visible(False)
            axes.set_title(name)
        axes.set_xlabel("value", x=0.33)
    return figure


def _reach(
    axes: Axes, y: float, activation: str, low: float, high: float, lost: tuple[float, float]
) -> None:
    """A bar over what an activation can give, and what it loses of a target, in words."""
    share, error = lost
    colour, style = (RED, "//") if error > 1e-9 else (BLUE, "")
    left, right = max(low, -3.2), min(high, 3.2)
    axes.barh(y, right - left, 0.2, left, color=FAINT, edgecolor=colour, hatch=style, linewidth=1.2)
    told = (
        f"misses {share:.0%} of the values, error at least {error:.2f}"
        if error > 1e-9
        else "reaches every value"
    )
    axes.text(3.5, y, f"{activation}: {told}", va="center", fontsize=9, color=INK)
