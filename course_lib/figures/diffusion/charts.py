"""The charts of lesson 6: schedules, errors over the times, and samplers against each other."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from torch import Tensor

from course_lib.diffusion.sampler_comparison import Result
from course_lib.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    course_style,
)

# Told apart by their marks and dashes too, without colours.
_LOOKS = (
    (BLUE, "o", "-"),
    (RED, "s", "--"),
    (BLACK, "^", ":"),
    (ORANGE, "D", "-."),
    (PURPLE, "v", "-"),
)
_SAMPLERS = {
    "ddpm": (ORANGE, "^"),
    "ddim": (BLUE, "o"),
    "dpm++": (BLACK, "s"),
    "euler": (PURPLE, "D"),
    "pndm": (SKY, "v"),
}

_LEAST = 1e-4  # errors below are as good as none, and would squeeze the others together


def schedules(squares: Mapping[str, Float[Tensor, " times"]]) -> Figure:
    """Signal and noise at every time; and the noise divided by the signal, with rings at its two
    ends.

    Args:
        squares: by the schedule's name, the square of the signal at every time, above 0 and below
            1.

    Raises:
        ValueError: if there is none, or a square is not above 0 and below 1.
    """
    if not squares or any(
        bool((each <= 0).any() or (each >= 1).any()) for each in squares.values()
    ):
        raise ValueError(
            "Give at least one schedule, its squares above 0 and below 1: others have no logarithm here."
        )
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
        for (name, square), (colour, mark, _) in zip(squares.items(), _LOOKS, strict=False):
            signal, amount = square.sqrt().numpy(), (1 - square).sqrt().numpy()
            looks = {
                "color": colour,
                "marker": mark,
                "markevery": (len(signal) // 20, max(len(signal) // 5, 1)),
            }
            left.plot(signal, label=f"signal, {name}", **looks)
            left.plot(amount, linestyle=":", label=f"noise, {name}", **looks)
            right.plot(amount / signal, label=name, **looks)
            last = len(signal) - 1
            for t in (0, last):
                value = amount[t] / signal[t]
                right.plot(
                    t, value, "o", color=colour, markerfacecolor="none", markersize=9, clip_on=False
                )
                right.annotate(
                    f"{value:.3g}",
                    (t, value),
                    (12 if t == 0 else -12, -3),
                    textcoords="offset points",
                    # fmt: skip
                    ha="left" if t == 0 else "right",
                    color=colour,
                    fontsize=10,
                )
        left.set(xlabel="time", ylabel="weight", title="the two weights")
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        right.set(xlabel="time", ylabel="noise / signal", title="noise beside signal", yscale="log")
        right.legend(loc="lower right")
        for axes in (left, right):
            axes.grid(color=FAINT, linewidth=0.8)
            axes.set_axisbelow(True)
    return figure


def errors_by_time(times: Sequence[int], errors: Mapping[str, Sequence[float]]) -> Figure:
    """The squared error of the predicted noise at several times, a line for each denoiser.

    Raises:
        ValueError: if a denoiser has not one error for each time.
    """
    if not errors or any(len(each) != len(times) for each in errors.values()):
        raise ValueError(
            f"{len(times)} times: give at least one denoiser, and an error for each time."
        )
    with course_style():
        figure, axes = plt.subplots(figsize=(9, 4.4), layout="constrained")
        for (name, found), (colour, mark, dash) in zip(errors.items(), _LOOKS, strict=False):
            axes.plot(
                times, found, color=colour, marker=mark, linestyle=dash, markersize=6, label=name
            )
        axes.axhline(1, color=MUTED, linewidth=1)
        axes.text(times[-1], 1.06, "always 0", color=MUTED, ha="right", va="bottom", fontsize=9.5)
        axes.set(xlabel="time", ylabel="squared error of the noise", yscale="log")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], _LEAST))
        axes.grid(color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.legend()
    return figure


def race(results: Sequence[Result], floor: float) -> Figure:
    """What samplers reach in which time: the share that the judge finds right, and the Frechet
    distance.

    Args:
        results: of any samplers and numbers of steps.
        floor: the Frechet distance between two sets of as many real pictures.

    Raises:
        ValueError: if there is no result.
    """
    if not results:
        raise ValueError("There is nothing to draw: give at least one result.")
    names = list(dict.fromkeys(result.sampler for result in results))
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
        for name in names:
            row = sorted(
                (result for result in results if result.sampler == name), key=lambda one: one.steps
            )
            colour, mark = _SAMPLERS.get(name, (GREEN, "P"))
            x = [result.seconds for result in row]
            for axes, y in zip(
                panels,
                ([100 * one.right for one in row], [one.frechet for one in row]),
                strict=True,
            ):
                axes.plot(x, y, color=colour, marker=mark, markersize=7, label=name)
                for place, result in enumerate(row):
                    if (
                        name == names[-1]
                    ):  # steps take about equally long with all: one label for a column is enough
                        axes.annotate(f"{result.steps}", (x[place], y[place]), (0, 9), textcoords="offset points",
                                      ha="center", color=colour, fontsize=10, zorder=5)  # fmt: skip
        left, right = panels
        left.set(ylabel="right, in %", title="what the judge sees", ylim=(-4, 109))
        right.set(ylabel="Fréchet distance", title="how far from real pictures", yscale="log")
        right.axhline(floor, color=MUTED, linestyle="--", linewidth=1.4)
        right.margins(y=0.12)
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.yaxis.set_minor_locator(NullLocator())
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        for axes in panels:
            axes.set(xlabel="seconds a picture (log scale)", xscale="log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.grid(color=FAINT, linewidth=0.8)
            axes.set_axisbelow(True)
        right.legend()
    return figure
