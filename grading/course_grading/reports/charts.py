"""What the item analysis draws, in the course's colour-blind safe colours; hatching says the same
without colour.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from course_lib.figures.style import BLUE, MUTED, ORANGE, course_style


def totals(shares: np.ndarray) -> Figure:
    """How many students earned which share of the points. ``shares`` is (students,), 1 for all
    points.
    """
    with course_style():
        figure = Figure(figsize=(7, 2.6))
        axes = figure.subplots()
        axes.hist(
            np.clip(shares, 0, 1) * 100, bins=np.linspace(0, 100, 11), color=BLUE, edgecolor="white"
        )
        axes.set(
            xlabel="% of the points (more than 100 with the last)",
            ylabel="students",
            xticks=range(0, 101, 10),
        )
        axes.yaxis.get_major_locator().set_params(integer=True)
    return figure


def items(difficulty: Mapping[str, float], discrimination: Mapping[str, float]) -> Figure:
    """Each item's discrimination against its difficulty, named; items without a discrimination are
    not in it.
    """
    with course_style():
        figure = Figure(figsize=(7, 4))
        axes = figure.subplots()
        axes.axhline(0, color=MUTED, linewidth=1)
        for name, r in discrimination.items():
            axes.plot(100 * difficulty[name], r, "o", color=BLUE)
            axes.annotate(
                name,
                (100 * difficulty[name], r),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=9,
            )
        axes.set(
            xlabel="mean share of the points in % (high is easy)",
            ylabel="discrimination",
            xlim=(-2, 118),
        )
        axes.set_xticks(range(0, 101, 20))
    return figure


def options(labels: Sequence[str], upper: Sequence[float], lower: Sequence[float]) -> Figure:
    """For each option the share of the upper and of the lower third that chose it."""
    with course_style():
        figure = Figure(figsize=(7, 0.7 + 0.5 * len(labels)))
        axes = figure.subplots()
        places = np.arange(len(labels))
        axes.barh(places - 0.2, [100 * u for u in upper], 0.36, color=BLUE, label="upper third")
        bars = dict(color=ORANGE, label="lower third", hatch="//", edgecolor="white")
        axes.barh(places + 0.2, [100 * value for value in lower], 0.36, **bars)
        axes.set(yticks=places, yticklabels=labels, xlim=(0, 100), xlabel="% that chose it")
        axes.invert_yaxis()
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
