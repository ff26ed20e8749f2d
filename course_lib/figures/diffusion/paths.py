"""Diffusion in two dimensions: where a denoiser points, and the paths that samplers take."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.figures.diffusion.charts import SAMPLER_STYLES
from course_lib.figures.style import FAINT, INK, MUTED, SKY, course_style

Points = Float[Tensor, "points 2"]
Places = Float[Tensor, "places 2"]

_LIMIT = 3.0  # of both axes
_ARROW = 0.42  # the length of every arrow


def vector_fields(
    points: Points, fields: Mapping[int, tuple[float, Places, Places]], title: str = "t = {}"
) -> Figure:
    """Where a denoiser points at some timesteps, and the clean points, scaled as at that timestep.

    All arrows have the same length: they show directions.

    Args:
        points: the clean points: the whole data set.
        fields: by the timestep: alpha there, places, and the step from each of them.
        title: of a panel; ``{}`` is the timestep.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(fields), figsize=(3.4 * len(fields), 3.7), squeeze=False, layout="constrained"
        )
        for axes, (t, (alpha, places, steps)) in zip(panels[0], fields.items(), strict=True):
            _draw_points(axes, alpha * points)
            axes.quiver(
                *places.T.numpy(),
                *_ARROW * torch.nn.functional.normalize(steps, dim=1).T.numpy(),
                color=INK,
                angles="xy",
                scale_units="xy",
                scale=1,
                width=0.008,
            )
            axes.set_title(title.format(t))
    return figure


def sampling_paths(points: Points, paths: Mapping[str, Float[Tensor, "times paths 2"]]) -> Figure:
    """The paths of samplers from noise (a ring) to their ends (a marker), a panel for each.

    Args:
        points: the clean points.
        paths: by the sampler's name, the places at every step, the noise first.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(paths), figsize=(4.6 * len(paths), 4.6), squeeze=False, layout="constrained"
        )
        for axes, (name, places) in zip(panels[0], paths.items(), strict=True):
            colour, marker = SAMPLER_STYLES.get(name, (MUTED, "D"))
            _draw_points(axes, points)
            axes.plot(*places.permute(2, 0, 1).numpy(), color=colour, linewidth=1.2)
            axes.plot(*places[0].T.numpy(), "o", color=INK, markerfacecolor="none", markersize=7)
            axes.plot(*places[-1].T.numpy(), marker, color=colour, markersize=8)
            axes.set_title(name)
    return figure


def _draw_points(axes: Axes, points: Points) -> None:
    axes.plot(*points.T.numpy(), ".", color=SKY, markersize=4, alpha=0.6)
    axes.set(xlim=(-_LIMIT, _LIMIT), ylim=(-_LIMIT, _LIMIT), aspect="equal", xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=True, color=FAINT)
