"""The charts of lesson 6: noise schedules, errors by timestep, and a comparison of samplers."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.diffusion.sampler_comparison import SamplerResult
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
    add_grid,
    course_style,
    label_decades,
    label_log_axis,
    with_styles,
)
from course_lib.metrics.generation import wilson_interval

# Networks are blue, baselines without a network black; distinct by marker and dash too.
_LINE_STYLES = ((BLUE, "o", "-"), (BLUE, "s", "--"), (BLACK, "^", ":"), (BLACK, "D", "-"))
SAMPLER_NAMES = {"ddpm": "DDPM", "ddim": "DDIM", "dpm++": "DPM-Solver++"}
SAMPLER_STYLES = {"ddpm": (ORANGE, "^"), "ddim": (PURPLE, "o"), "dpm++": (GREEN, "s")}

_SCHEDULE_STYLES = ((RED, "-"), (SKY, "-"), (RED, "--"), (MUTED, "-."))


def noise_schedules(alphas_cumprod: Mapping[str, Float[Tensor, " times"]]) -> Figure:
    """The signal rate at every timestep, and the ratio of noise to signal with its end values.

    Args:
        alphas_cumprod: by the schedule's name, at most four: alpha_bar at every timestep, in
            [0, 1). Where it is 0, the ratio is infinite and not drawn; at the end, ∞ marks it.

    Raises:
        ValueError: if there is no schedule, or an alpha_bar is outside [0, 1).
    """
    if not alphas_cumprod or any(
        bool((alpha_bar < 0).any() or (alpha_bar >= 1).any())
        for alpha_bar in alphas_cumprod.values()
    ):
        raise ValueError(
            "Give at least one schedule, with alpha_bar from 0 to below 1: sigma / alpha is drawn "
            "on a logarithmic axis."
        )
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
        for (name, alpha_bar), (colour, dash) in with_styles(
            alphas_cumprod.items(), _SCHEDULE_STYLES
        ):
            alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
            ratio = torch.where(alpha > 0, sigma / alpha, torch.nan).numpy()
            left.plot(alpha.numpy(), color=colour, linestyle=dash, label=name)
            right.plot(ratio, color=colour, linestyle=dash)
            left.plot(len(alpha) - 1, alpha[-1], "o", color=colour, clip_on=False)
            if alpha[-1] > 0:
                _mark_end(right, len(alpha) - 1, float(ratio[-1]), colour)
            else:
                right.annotate(
                    "∞",
                    (len(alpha) - 1, 1),
                    (0, 2),
                    xycoords=("data", "axes fraction"),
                    textcoords="offset points",
                    ha="center",
                    color=colour,
                    fontsize=13,
                )
        left.set(xlabel="timestep t", title="signal rate", ylim=(0, 1.02))
        left.legend(loc="lower left")
        right.set(xlabel="timestep t", title="noise / signal", yscale="log")
        label_decades(right.yaxis)
        add_grid(left)
        add_grid(right)
    return figure


def _mark_end(axes: Axes, t: int, ratio: float, colour: str) -> None:
    axes.plot(t, ratio, "o", color=colour, clip_on=False)
    axes.annotate(
        f"{ratio:.3g}" if ratio < 1000 else f"{ratio:,.0f}",
        (t, ratio),
        (9, -4),
        textcoords="offset points",
        ha="left",
        annotation_clip=False,
        color=colour,
        fontsize=11,
    )


def error_by_timestep(times: Sequence[int], errors: Mapping[str, Sequence[float]]) -> Figure:
    """The mean squared error of v by timestep, a line for each denoiser, on an axis from 0 to 1.3.

    Args:
        times: timesteps.
        errors: by the denoiser's name, at most four, an error for each timestep. Errors above 1.3
            are outside the axes.

    Raises:
        ValueError: if a denoiser does not have one error for each timestep.
    """
    if not errors or any(len(values) != len(times) for values in errors.values()):
        raise ValueError(
            f"{len(times)} timesteps: give at least one denoiser, and an error for each timestep."
        )
    with course_style():
        figure, axes = plt.subplots(figsize=(9, 4.4), layout="constrained")
        for (name, values), (colour, marker, dash) in with_styles(errors.items(), _LINE_STYLES):
            axes.plot(
                times, values, color=colour, marker=marker, linestyle=dash, markersize=6, label=name
            )
        axes.axhline(1, color=MUTED, linewidth=1)
        axes.text(times[-1], 1.02, "always predicting v = 0", color=MUTED, ha="right", fontsize=10)
        axes.set(xlabel="timestep t", ylabel="squared error of v", ylim=(0, 1.3))
        add_grid(axes)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return figure


def convergence(
    counts: Sequence[int],
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    limit: tuple[str, float] | None = None,
) -> Figure:
    """Errors of samplers against the number of steps, on logarithmic axes: an order is a slope.

    Grey lines have the slopes of order 1 (dashed) and of order 2 (dotted).

    Args:
        counts: numbers of steps, ascending.
        panels: by title, by the sampler's name in ``SAMPLER_STYLES``, an error for each count.
        limit: the title of a panel and the error down to which its reference can be trusted.

    Raises:
        ValueError: if a sampler does not have one error, above 0, for each count.
    """
    errors = [values for panel in panels.values() for values in panel.values()]
    if not errors or any(len(v) != len(counts) or min(v) <= 0 for v in errors):
        raise ValueError(f"Give at least one panel, with {len(counts)} errors above 0 by sampler.")
    with course_style():
        figure, row = plt.subplots(
            1,
            len(panels),
            figsize=(3.5 * len(panels), 3.9),
            squeeze=False,
            sharey=True,
            layout="constrained",
        )
        for axes, (title, panel) in zip(row[0], panels.items(), strict=True):
            top = max(values[0] for values in panel.values())
            for order, dash in ((1, "--"), (2, ":")):
                slope = [1.5 * top * (counts[0] / count) ** order for count in counts]
                axes.plot(
                    counts, slope, color=MUTED, linestyle=dash, label=f"slope of order {order}"
                )
            for sampler, values in panel.items():
                colour, marker = SAMPLER_STYLES[sampler]
                label = SAMPLER_NAMES[sampler]
                axes.plot(counts, values, color=colour, marker=marker, markersize=8, label=label)
            if limit is not None and limit[0] == title:
                axes.axhspan(0, limit[1], color=FAINT, label="below: not decided")
            axes.set(title=title, xlabel="steps", xscale="log", yscale="log")
            axes.set_xticks(counts, [str(count) for count in counts])
            axes.minorticks_off()
            add_grid(axes)
        row[0][0].set_ylabel("error (root of the mean square)")
        label_decades(row[0][0].yaxis)
        entries: dict[str, Artist] = {}
        for axes in row[0]:
            handles, labels = axes.get_legend_handles_labels()
            entries |= dict(zip(labels, handles, strict=True))
        figure.legend(entries.values(), entries, loc="outside lower center", ncols=len(entries))
    return figure


_PROGRESS_STYLES = ((BLUE, "o", "-"), (BLACK, "s", "--"), (RED, "^", ":"))


def sampling_progress(
    times: Sequence[int],
    errors: Mapping[str, Sequence[float]],
    changes: Mapping[str, Sequence[float]],
) -> Figure:
    """How far each scale of detail is from the result, and how much each step changes.

    Args:
        times: the timestep of each step, the noisiest first.
        errors: by name, at most three, relative errors before each step; 1 is 100 %.
        changes: by name, at most three, each step's share of the whole change.

    Raises:
        ValueError: if a line does not have one value for each step.
    """
    if any(len(values) != len(times) for values in (*errors.values(), *changes.values())):
        raise ValueError(f"There are {len(times)} steps: give one value for each in every line.")
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        for axes, lines in ((left, errors), (right, changes)):
            for (name, values), (colour, marker, dash) in with_styles(
                lines.items(), _PROGRESS_STYLES
            ):
                percent = [100 * value for value in values]
                axes.plot(
                    times,
                    percent,
                    color=colour,
                    marker=marker,
                    markersize=5,
                    linestyle=dash,
                    label=name,
                )
            axes.set(xlabel="timestep t", xlim=(max(times) + 20, min(times) - 20))
            axes.set_ylim(bottom=0)
            axes.legend()
            add_grid(axes)
        left.set(title="distance from the result", ylabel="relative error, in %")
        right.set(title="change in each step", ylabel="share of the whole change, in %")
    return figure


def accuracy_by_steps(results: Sequence[SamplerResult]) -> Figure:
    """The judge's accuracy for each sampler and number of steps, with its 95 % interval.

    Args:
        results: of any samplers and numbers of steps.

    Raises:
        ValueError: if there is no result.
    """
    if not results:
        raise ValueError("There is nothing to draw: give at least one result.")
    samplers = list(dict.fromkeys(result.sampler for result in results))
    counts = sorted({result.steps for result in results})
    with course_style():
        figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
        for index, sampler in enumerate(samplers):
            row = [result for result in results if result.sampler == sampler]
            colour, marker = SAMPLER_STYLES.get(sampler, (SKY, "P"))
            # Shifted horizontally, so that the error bars don't overlap.
            offset = 0.16 * (index - (len(samplers) - 1) / 2)
            shares = torch.tensor([100 * result.accuracy for result in row])
            low, high = 100 * torch.tensor([_interval(result) for result in row]).T
            axes.errorbar(
                [counts.index(result.steps) + offset for result in row],
                shares,
                torch.stack([shares - low, high - shares]).clamp(min=0),
                fmt=marker,
                markersize=8,
                color=colour,
                capsize=4,
                label=SAMPLER_NAMES.get(sampler, sampler),
            )
        axes.set_xticks(range(len(counts)), [str(count) for count in counts])
        axes.set(xlabel="steps", ylabel="object and colour right, in %", ylim=(0, 104))
        axes.grid(axis="y", color=FAINT)
        axes.legend(loc="lower right")
    return figure


def _interval(result: SamplerResult) -> tuple[float, float]:
    count = len(result.images)
    return wilson_interval(round(result.accuracy * count), count)


def quality_vs_time(results: Sequence[SamplerResult], floor: float) -> Figure:
    """The judge's accuracy and the Fréchet distance against seconds per image, by sampler.

    Args:
        results: of any samplers and numbers of steps.
        floor: the Fréchet distance between two equally large sets of real images.

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
            colour, marker = SAMPLER_STYLES.get(sampler, (SKY, "P"))
            seconds = [result.seconds for result in row]
            accuracy = [100 * result.accuracy for result in row]
            frechet = [result.frechet for result in row]
            for axes, values in zip(panels, (accuracy, frechet), strict=True):
                axes.plot(
                    seconds,
                    values,
                    color=colour,
                    marker=marker,
                    markersize=7,
                    label=SAMPLER_NAMES.get(sampler, sampler),
                )
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
        right.set(ylabel="Fréchet distance", title="distance to real images", yscale="log")
        right.axhline(floor, color=MUTED, linestyle="--", linewidth=1.4)
        right.margins(y=0.12)
        label_log_axis(right.yaxis)
        for axes in panels:
            axes.set(xlabel="seconds per image (log scale)", xscale="log")
            label_log_axis(axes.xaxis)
            add_grid(axes)
        right.legend()
    return figure
