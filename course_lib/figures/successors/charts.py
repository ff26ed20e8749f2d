"""The charts of lesson 8: what is learned at which time, and quality by the number of steps."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from torch import Tensor

from course_lib.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    add_grid,
    course_style,
    with_styles,
)
from course_lib.metrics.generation import wilson_interval

# Colour, marker and dash: distinct even without colour.
_STYLES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (PURPLE, "^", ":"), (GREEN, "D", "-."))
# By the method's name, the share of right images or the distance for each number of steps.
BySteps = Mapping[str, Mapping[int, float]]


def times_and_gain(
    times: Sequence[float], gain: Sequence[float], drawn: Float[Tensor, " draws"]
) -> Figure:
    """A histogram of the times drawn in training, and what a network has learned at each time.

    Args:
        times: in [0, 1].
        gain: for each of them, the part of the error that the network avoids, up to 1.
        drawn: random times.

    Raises:
        ValueError: if times and gain differ in length.
    """
    if len(times) != len(gain) or not times:
        raise ValueError(f"{len(times)} times and {len(gain)} gains: give one gain for each time.")
    with course_style():
        figure, axes = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
        density = axes.twinx()
        density.hist(drawn.numpy(), bins=40, range=(0, 1), density=True, color=FAINT)
        low, high = min(0, *gain) - 0.02, 1.1 * max(*gain, 0.1)  # it can be below 0
        density.set(yticks=[], ylim=(2.6 * low / high, 2.6))  # both axes have 0 at the same height
        density.set_zorder(axes.get_zorder() - 1)
        axes.patch.set_visible(False)  # the histogram behind stays visible
        axes.plot(times, gain, color=BLUE, marker="o", label="avoided error")
        axes.set(xlabel="t (0 is the image, 1 the noise)", ylabel="avoided error", xlim=(0, 1))
        axes.set_ylim(low, high)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        label = "grey: how often t is drawn (no scale)"
        axes.text(0.99, 0.97, label, color=MUTED, ha="right", va="top", transform=axes.transAxes)
    return figure


def quality_by_steps(
    right: BySteps, count: int, distances: BySteps, real_distance: float
) -> Figure:
    """Two panels: the share of right images, with 95 % intervals, and the Fréchet distance.

    Args:
        right: by method, by number of steps: the share of images that are right.
        count: the images behind each share.
        distances: the same for the Fréchet distance to real images.
        real_distance: that of other real images to them, a lower bound in practice.

    Raises:
        ValueError: if there is no method.
    """
    if not right or not distances:
        raise ValueError("There is nothing to draw: give at least one method.")
    counts = sorted({steps for row in right.values() for steps in row})
    places = {steps: index for index, steps in enumerate(counts)}
    with course_style():
        figure, (left, middle) = plt.subplots(1, 2, figsize=(10.5, 4.2), layout="constrained")
        for index, (name, row) in enumerate(right.items()):
            colour, marker, dash = _STYLES[index % len(_STYLES)]
            # Shifted sideways, so that the intervals don't cover each other.
            x = [places[steps] + 0.09 * (index - (len(right) - 1) / 2) for steps in row]
            bounds = [wilson_interval(round(share * count), count) for share in row.values()]
            below = [share - low for share, (low, _) in zip(row.values(), bounds, strict=True)]
            above = [high - share for share, (_, high) in zip(row.values(), bounds, strict=True)]
            left.errorbar(
                x,
                list(row.values()),
                [[max(value, 0) for value in below], [max(value, 0) for value in above]],
                color=colour,
                marker=marker,
                linestyle=dash,
                capsize=3,
                elinewidth=1.2,
                linewidth=1.8,
                label=name,
            )
        for index, row in enumerate(distances.values()):
            colour, marker, dash = _STYLES[index % len(_STYLES)]
            x = [places[steps] for steps in row]
            middle.plot(x, list(row.values()), color=colour, marker=marker, linestyle=dash)
        middle.axhline(real_distance, color=INK, linewidth=1)
        # Below the level line: the methods' lines are above it.
        middle.annotate(
            "real against real",
            (0, real_distance),
            xytext=(0, -4),
            textcoords="offset points",
            va="top",
            fontsize=10,
        )
        left.set(title="right images", xlabel="steps", ylim=(-0.03, 1.05))
        left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        middle.set(title="Fréchet distance", xlabel="steps")
        middle.set_ylim(bottom=0)
        for axes in (left, middle):
            axes.set_xticks(range(len(counts)), [str(steps) for steps in counts])
            add_grid(axes)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def loss_by_cost(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """The test loss against the floating-point operations of the training, a line per network.

    Args:
        curves: by the network's name, pairs of operations and loss.

    Raises:
        ValueError: if there is no network.
    """
    if not curves:
        raise ValueError("There is nothing to draw: give at least one network.")
    with course_style():
        figure, axes = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
        for (name, curve), (colour, marker, dash) in with_styles(curves.items(), _STYLES):
            operations, losses = zip(*curve, strict=True)
            axes.plot(
                [count / 1e9 for count in operations],
                losses,
                color=colour,
                marker=marker,
                linestyle=dash,
                label=name,
            )
        axes.set(
            xlabel="training, in billions of floating-point operations", ylabel="loss on new images"
        )
        add_grid(axes)
        axes.legend()
    return figure


def errors_by_time(times: Sequence[float], errors: Mapping[str, Sequence[float]]) -> Figure:
    """The error of the predicted velocity at each time, a line per network.

    Args:
        times: in [0, 1]; 0 is the image, 1 the noise.
        errors: by the network's name, its mean squared error at each time.

    Raises:
        ValueError: if there is no network, or not one error for each time.
    """
    if not errors or any(len(row) != len(times) for row in errors.values()):
        raise ValueError("Give at least one network, with one error for each time.")
    with course_style():
        figure, axes = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
        for (name, row), (colour, marker, dash) in with_styles(errors.items(), _STYLES):
            axes.plot(times, row, color=colour, marker=marker, linestyle=dash, label=name)
        axes.set(xlabel="t (0 is the image, 1 the noise)", ylabel="error of the velocity")
        axes.set(xlim=(0, 1), ylim=(0, None))
        add_grid(axes)
        axes.legend()
    return figure
