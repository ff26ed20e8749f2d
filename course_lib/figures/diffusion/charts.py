"""The charts of lesson 6: noise schedules, errors by timestep, and a comparison of samplers."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.diffusion.sampler_comparison import SamplerResult
from course_lib.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    add_grid,
    course_style,
    label_log_axis,
)

# Distinct without colours too, by their markers and dashes.
_LINE_STYLES = (
    (BLUE, "o", "-"),
    (RED, "s", "--"),
    (BLACK, "^", ":"),
    (ORANGE, "D", "-."),
    (PURPLE, "v", "-"),
)
_SAMPLER_STYLES = {
    "ddpm": (ORANGE, "^"),
    "ddim": (BLUE, "o"),
    "dpm++": (BLACK, "s"),
    "euler": (PURPLE, "D"),
    "pndm": (SKY, "v"),
}

_MIN_ERROR = 1e-4  # smaller errors are cut off, or they would compress the rest of the axis


def noise_schedules(alphas_cumprod: Mapping[str, Float[Tensor, " times"]]) -> Figure:
    """The weights of signal and noise at every timestep, and their ratio with its two end values.

    Args:
        alphas_cumprod: by the schedule's name, alpha_bar at every timestep, above 0 and below 1.

    Raises:
        ValueError: if there is none, or an alpha_bar is not above 0 and below 1.
    """
    if not alphas_cumprod or any(
        bool((alpha_bar <= 0).any() or (alpha_bar >= 1).any())
        for alpha_bar in alphas_cumprod.values()
    ):
        raise ValueError(
            "Give at least one schedule, with alpha_bar above 0 and below 1: the logarithm of "
            "sigma / alpha is drawn."
        )
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
        for (name, alpha_bar), (colour, marker, _) in zip(
            alphas_cumprod.items(), _LINE_STYLES, strict=False
        ):
            alpha, sigma = alpha_bar.sqrt().numpy(), (1 - alpha_bar).sqrt().numpy()
            line_style = {
                "color": colour,
                "marker": marker,
                "markevery": (len(alpha) // 20, max(len(alpha) // 5, 1)),
            }
            left.plot(alpha, label=f"signal, {name}", **line_style)
            left.plot(sigma, linestyle=":", label=f"noise, {name}", **line_style)
            right.plot(sigma / alpha, label=name, **line_style)
            for t in (0, len(alpha) - 1):
                ratio = sigma[t] / alpha[t]
                right.plot(
                    t, ratio, "o", color=colour, markerfacecolor="none", markersize=9, clip_on=False
                )
                right.annotate(
                    f"{ratio:.3g}",
                    (t, ratio),
                    (12 if t == 0 else -12, -3),
                    textcoords="offset points",
                    ha="left" if t == 0 else "right",
                    color=colour,
                    fontsize=10,
                )
        left.set(xlabel="timestep t", ylabel="weight", title="weights of signal and noise")
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        right.set(xlabel="timestep t", ylabel="noise / signal", title="their ratio", yscale="log")
        right.legend(loc="lower right")
        add_grid(left)
        add_grid(right)
    return figure


def error_by_timestep(times: Sequence[int], errors: Mapping[str, Sequence[float]]) -> Figure:
    """The mean squared error of the predicted noise by timestep, a line for each denoiser.

    Raises:
        ValueError: if a denoiser does not have one error for each timestep.
    """
    if not errors or any(len(values) != len(times) for values in errors.values()):
        raise ValueError(
            f"{len(times)} times: give at least one denoiser, and an error for each time."
        )
    with course_style():
        figure, axes = plt.subplots(figsize=(9, 4.4), layout="constrained")
        for (name, values), (colour, marker, dash) in zip(
            errors.items(), _LINE_STYLES, strict=False
        ):
            axes.plot(
                times, values, color=colour, marker=marker, linestyle=dash, markersize=6, label=name
            )
        axes.axhline(1, color=MUTED, linewidth=1)
        axes.text(
            times[-1], 1.06, "predicting 0", color=MUTED, ha="right", va="bottom", fontsize=9.5
        )
        axes.set(xlabel="timestep t", ylabel="squared error of the noise", yscale="log")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], _MIN_ERROR))
        add_grid(axes)
        axes.legend()
    return figure


def quality_vs_time(results: Sequence[SamplerResult], floor: float) -> Figure:
    """The judge's accuracy and the Fréchet distance against seconds, a line for each sampler.

    Args:
        results: of any samplers and numbers of steps.
        floor: the Fréchet distance between two sets of real pictures of the same size.

    Raises:
        ValueError: if there is no result.
    """
    if not results:
        raise ValueError("There is nothing to draw: give at least one result.")
    samplers = list(dict.fromkeys(result.sampler for result in results))
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
        for sampler in samplers:
            row = [result for result in results if result.sampler == sampler]
            row.sort(key=lambda result: result.steps)
            colour, marker = _SAMPLER_STYLES.get(sampler, (GREEN, "P"))
            seconds = [result.seconds for result in row]
            accuracy = [100 * result.accuracy for result in row]
            frechet = [result.frechet for result in row]
            for axes, values in zip(panels, (accuracy, frechet), strict=True):
                axes.plot(seconds, values, color=colour, marker=marker, markersize=7, label=sampler)
                if sampler != samplers[-1]:
                    continue
                # A step takes about the same time in all samplers: one set of labels is enough.
                for x, y, result in zip(seconds, values, row, strict=True):
                    axes.annotate(
                        f"{result.steps}",
                        (x, y),
                        (0, 9),
                        textcoords="offset points",
                        ha="center",
                        color=colour,
                        fontsize=10,
                        zorder=5,
                    )
        left, right = panels
        left.set(ylabel="correct, in %", title="accuracy, by the judge", ylim=(-4, 109))
        right.set(ylabel="Fréchet distance", title="distance to real pictures", yscale="log")
        right.axhline(floor, color=MUTED, linestyle="--", linewidth=1.4)
        right.margins(y=0.12)
        label_log_axis(right.yaxis)
        for axes in panels:
            axes.set(xlabel="seconds per picture (log scale)", xscale="log")
            label_log_axis(axes.xaxis)
            add_grid(axes)
        right.legend()
    return figure
