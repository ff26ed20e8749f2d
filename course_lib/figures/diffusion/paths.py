"""Diffusion in one and two dimensions: vector fields of a denoiser, and paths of samplers."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.figures.diffusion.charts import SAMPLER_STYLES
from course_lib.figures.style import BLACK, FAINT, INK, MUTED, PAPER, RED, SKY, course_style

Points = Float[Tensor, "points 2"]
Positions = Float[Tensor, "positions 2"]

_LIMIT = 3.0  # of both axes; paths are cropped to what is drawn
_MAX_ARROW_LENGTH = 0.42
_DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))
_DENSITY = LinearSegmentedColormap.from_list("density", [PAPER, SKY])


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

    Paths with the same number begin with the same noise. The number is in a ring at the beginning
    and in a filled dot at the end. A panel has the colour of its sampler; the paths in it are
    solid, dashed and dotted in turn.

    Args:
        points: the clean points.
        paths: by sampler, the positions of the paths at every step, the noise first.
    """
    drawn = [points, *(positions.flatten(0, 1) for positions in paths.values())]
    limit = float(torch.cat(drawn).abs().max()) + 0.25
    with course_style():
        figure, panels = plt.subplots(
            1, len(paths), figsize=(4.6 * len(paths), 4.9), squeeze=False, layout="constrained"
        )
        for axes, (name, positions) in zip(panels[0], paths.items(), strict=True):
            _draw_points(axes, points, limit)
            colour, _ = SAMPLER_STYLES.get(name.lower(), (BLACK, ""))
            for number, path in enumerate(positions.unbind(1), 1):
                dash = _DASHES[(number - 1) % len(_DASHES)]
                axes.plot(*path.T.numpy(), color=colour, linestyle=dash, linewidth=1.2, alpha=0.8)
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


def paths_on_a_line(
    points: Float[Tensor, " data"],
    alpha_bars: Float[Tensor, " times"],
    paths: Mapping[str, Float[Tensor, "paths times"]],
    lowest: int,
) -> Figure:
    """The paths of samplers in one dimension, over the density of the noisy data.

    Args:
        points: the clean points, numbers.
        alpha_bars: that of each column of ``paths``; the density is drawn for it.
        paths: by sampler, the positions of each path, the noise first; the paths in the order of
            their noise.
        lowest: so many paths, those with the lowest noise, are drawn solid, the others dashed.
    """
    heights = torch.linspace(-_LIMIT, _LIMIT, 121)
    alphas, sigmas = alpha_bars.sqrt(), (1 - alpha_bars).clamp(min=0.003).sqrt()
    distances = (heights[:, None, None] - alphas[:, None] * points) / sigmas[:, None]
    density = (-(distances**2) / 2).exp().mean(2)
    density = (density / density.amax(0)).sqrt()  # each column by itself
    with course_style():
        figure, panels = plt.subplots(
            1,
            len(paths),
            figsize=(4.8 * len(paths), 3.8),
            squeeze=False,
            sharey=True,
            layout="constrained",
        )
        for axes, (name, positions) in zip(panels[0], paths.items(), strict=True):
            last = positions.shape[1] - 1
            axes.imshow(
                density.numpy(),
                cmap=_DENSITY,
                extent=(0, last, -_LIMIT, _LIMIT),
                origin="lower",
                aspect="auto",
            )
            for number, path in enumerate(positions):
                colour, dash = (BLACK, "-") if number < lowest else (RED, (0, (3, 1)))
                axes.plot(path.numpy(), color=colour, linestyle=dash, linewidth=1.2)
            axes.set(title=name, xlabel="step", xlim=(0, last), ylim=(-_LIMIT, _LIMIT))
        panels[0][0].set_ylabel("value of the noisy image")
    return figure


def _draw_points(axes: Axes, points: Points, limit: float = _LIMIT) -> None:
    axes.plot(*points.T.numpy(), ".", color=SKY, markersize=4, alpha=0.6)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.set_xlabel("first value", color=MUTED, fontsize=9)
    axes.set_ylabel("second value", color=MUTED, fontsize=9)
    for side in axes.spines.values():
        side.set(visible=True, color=FAINT)
