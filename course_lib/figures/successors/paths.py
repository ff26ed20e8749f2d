"""The figures of lesson 8 about paths: of a flow in two dimensions, and of the two weights."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.figures.style import BLUE, FAINT, INK, MUTED, ORANGE, SKY, add_grid, course_style

Points = Float[Tensor, "points 2"]
Paths = Float[Tensor, "times paths 2"]

_LIMIT = 3.2  # of both axes; paths that start further out are cropped


def draw_cloud(axes: Axes, points: Points, limit: float = _LIMIT) -> None:
    """Pale data points on axes without ticks, from -limit to limit."""
    axes.plot(*points.T.numpy(), ".", color=SKY, markersize=3, alpha=0.35)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=True, color=FAINT)


def many_paths(points: Points, panels: Mapping[str, Paths]) -> Figure:
    """Many thin paths, a panel for each set of them; a ring at each beginning, a dot at each end.

    Args:
        points: the data.
        panels: by title, the positions at every time, the noise first.

    Raises:
        ValueError: if there is no panel.
    """
    if not panels:
        raise ValueError("There is nothing to draw: give at least one set of paths.")
    with course_style():
        figure, row = plt.subplots(
            1, len(panels), figsize=(3.7 * len(panels), 4.0), squeeze=False, layout="constrained"
        )
        for axes, (title, paths) in zip(row[0], panels.items(), strict=True):
            draw_cloud(axes, points)
            axes.plot(*paths.permute(2, 0, 1).numpy(), color=INK, linewidth=0.7, alpha=0.55)
            axes.plot(*paths[0].T.numpy(), "o", color=ORANGE, markersize=4, fillstyle="none")
            axes.plot(*paths[-1].T.numpy(), "o", color=BLUE, markersize=3.5)
            axes.set_title(title)
    return figure


def weight_plane(
    alphas_cumprod: Float[Tensor, " times"], marked: tuple[int, ...] = (999, 700, 500, 300)
) -> Figure:
    """The weights of image and noise: a schedule's on a quarter circle, a flow's on a line.

    Args:
        alphas_cumprod: alpha_bar at every timestep.
        marked: timesteps, whose rays from the origin are drawn.
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(5.6, 5.4), layout="constrained")
        angle = np.linspace(0, np.pi / 2, 100)
        axes.plot(np.cos(angle), np.sin(angle), color=FAINT, linewidth=2)
        alpha, sigma = alphas_cumprod.sqrt().numpy(), (1 - alphas_cumprod).sqrt().numpy()
        axes.plot(alpha, sigma, color=ORANGE, linewidth=3, label="the schedule")
        axes.plot(
            [1, 0], [0, 1], color=BLUE, linewidth=3, linestyle="--", label="the straight path"
        )
        for t in marked:
            a, s = float(alpha[t]), float(sigma[t])
            axes.plot([0, a], [0, s], color=MUTED, linewidth=0.8, linestyle=":")
            axes.plot(a, s, "o", color=ORANGE)
            axes.plot(a / (a + s), s / (a + s), "s", color=BLUE)
            axes.text(
                1.05 * a + 0.01, 1.05 * s, f"timestep {t}", color=INK, fontsize=9, va="center"
            )
            label = f"t = {s / (a + s):.2f}"
            place = (a / (a + s) + 0.04, s / (a + s))  # between the ray and the line
            axes.text(*place, label, color=BLUE, fontsize=9, va="center")
        axes.text(1.02, 0.02, "only image", va="bottom", fontsize=10, color=MUTED)
        axes.text(0.01, 1.09, "only noise", va="center", fontsize=10, color=MUTED)
        axes.set(
            xlabel="weight of the image",
            ylabel="weight of the noise",
            xlim=(-0.02, 1.3),
            ylim=(-0.02, 1.12),
            aspect="equal",
            xticks=[0, 0.5, 1],
            yticks=[0, 0.5, 1],
        )
        add_grid(axes)
        axes.legend(loc="upper right")
    return figure
