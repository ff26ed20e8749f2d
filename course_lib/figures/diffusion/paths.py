"""Diffusion in two dimensions: vector fields of a denoiser, and paths of samplers."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    RED,
    SKY,
    add_grid,
    course_style,
)

Points = Float[Tensor, "points 2"]
Positions = Float[Tensor, "positions 2"]

_LIMIT = 3.0  # of both axes; paths are cropped to what is drawn
_MAX_ARROW_LENGTH = 0.42
_PATH_COLOURS = (BLUE, ORANGE, GREEN, RED, BLACK)


def vector_fields(
    points: Points, fields: Mapping[int, tuple[float, Positions, Positions]], title: str = "t = {}"
) -> Figure:
    """A denoiser's vector field at some timesteps, and the clean points scaled by alpha.

    All arrows have the same length, except those of shorter steps, which end with the step.

    Args:
        points: the clean points: the whole data set.
        fields: by timestep: its alpha, positions, and the step from each position.
        title: of a panel; ``{}`` is the timestep.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(fields), figsize=(3.4 * len(fields), 3.7), squeeze=False, layout="constrained"
        )
        for axes, (t, (alpha, positions, steps)) in zip(panels[0], fields.items(), strict=True):
            _draw_points(axes, alpha * points)
            lengths = steps.norm(dim=1, keepdim=True)
            directions = torch.nn.functional.normalize(steps, dim=1)
            arrows = directions * lengths.clamp(max=_MAX_ARROW_LENGTH)
            axes.quiver(
                *positions.T.numpy(),
                *arrows.T.numpy(),
                color=INK,
                angles="xy",
                scale_units="xy",
                scale=1,
                width=0.008,
            )
            axes.set_title(title.format(t))
    return figure


def sampling_paths(points: Points, paths: Mapping[str, Float[Tensor, "times paths 2"]]) -> Figure:
    """The paths of samplers from noise to samples, a panel for each sampler.

    Paths with the same number (and colour) begin with the same noise. The number is in a ring
    at the beginning and in a filled dot at the end.

    Args:
        points: the clean points.
        paths: by sampler, the positions of at most five paths at every step, the noise first.
    """
    drawn = [points, *(positions.flatten(0, 1) for positions in paths.values())]
    limit = float(torch.cat(drawn).abs().max()) + 0.25
    with course_style():
        figure, panels = plt.subplots(
            1, len(paths), figsize=(4.6 * len(paths), 4.9), squeeze=False, layout="constrained"
        )
        for axes, (name, positions) in zip(panels[0], paths.items(), strict=True):
            _draw_points(axes, points, limit)
            coloured = zip(positions.unbind(1), _PATH_COLOURS, strict=False)
            for number, (path, colour) in enumerate(coloured, 1):
                axes.plot(*path.T.numpy(), color=colour, linewidth=1.2, alpha=0.8)
                _mark(axes, path[0], number, colour, filled=False)
                _mark(axes, path[-1], number, colour, filled=True)
            axes.set_title(name)
    return figure


def _mark(axes: Axes, position: Float[Tensor, "2"], number: int, colour: str, filled: bool) -> None:
    x, y = position.tolist()
    axes.text(
        x,
        y,
        str(number),
        color=PAPER if filled else colour,
        fontsize=9 if filled else 11,
        fontweight="bold",
        ha="center",
        va="center",
        zorder=3 if filled else 4,
        bbox={
            "boxstyle": "circle,pad=0.15",
            "facecolor": colour if filled else PAPER,
            "edgecolor": PAPER if filled else colour,
            "linewidth": 1.2,
        },
    )


def distributions(
    panels: Mapping[int, tuple[Float[Tensor, " data"], Float[Tensor, " samples"]]],
) -> Figure:
    """Histograms of the first coordinate of noisy data and of samples, by timestep.

    Args:
        panels: by timestep, the first coordinates of the noisy data, and of the samples.
    """
    bins = torch.linspace(-_LIMIT, _LIMIT, 31).numpy()
    with course_style():
        figure, row = plt.subplots(
            1, len(panels), figsize=(3.4 * len(panels), 3.4), squeeze=False, layout="constrained"
        )
        for axes, (t, (noisy, sampled)) in zip(row[0], panels.items(), strict=True):
            axes.hist(noisy.numpy(), bins, density=True, color=SKY, label="data with noise")
            axes.hist(
                sampled.numpy(),
                bins,
                density=True,
                histtype="step",
                color=BLACK,
                linewidth=1.8,
                label="sampled",
            )
            axes.set(title=f"t = {t}", xlabel="first coordinate", yticks=[], xlim=(-_LIMIT, _LIMIT))
            add_grid(axes)
        figure.legend(*row[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _draw_points(axes: Axes, points: Points, limit: float = _LIMIT) -> None:
    axes.plot(*points.T.numpy(), ".", color=SKY, markersize=4, alpha=0.6)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=True, color=FAINT)
