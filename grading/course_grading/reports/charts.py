"""The item analysis's charts, in the course's colour-blind safe colours; hatching makes them
readable without colour.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from course_lib.figures.style import BLUE, MUTED, ORANGE, course_style


def plot_totals(shares: np.ndarray) -> Figure:
    """A histogram of the students' totals. ``shares`` is (students,), 1 for full marks."""
    with course_style():
        figure = Figure(figsize=(7, 2.6))
        axes = figure.subplots()
        percents = np.clip(shares, 0, 1) * 100
        axes.hist(percents, bins=np.linspace(0, 100, 11), color=BLUE, edgecolor="white")
        axes.set(
            xlabel="% of the points (more than 100 % counts as 100 %)",
            ylabel="students",
            xticks=range(0, 101, 10),
        )
        axes.yaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    return figure


def plot_items(difficulty: Mapping[str, float], discrimination: Mapping[str, float]) -> Figure:
    """Discrimination against difficulty, one labelled point per item that has a discrimination."""
    with course_style():
        figure = Figure(figsize=(7, 4))
        axes = figure.subplots()
        axes.axhline(0, color=MUTED, linewidth=1)
        for name, r in discrimination.items():
            point = (100 * difficulty[name], r)
            axes.plot(*point, "o", color=BLUE)
            axes.annotate(name, point, xytext=(5, 4), textcoords="offset points", fontsize=9)
        axes.set(
            xlabel="mean share of the points in % (high is easy)",
            ylabel="discrimination",
            xlim=(-2, 118),
        )
        axes.set_xticks(range(0, 101, 20))
    return figure


def plot_options(labels: Sequence[str], upper: Sequence[float], lower: Sequence[float]) -> Figure:
    """For each option, the fractions of the upper and of the lower third that chose it."""
    with course_style():
        figure = Figure(figsize=(7, 0.7 + 0.5 * len(labels)))
        axes = figure.subplots()
        positions = np.arange(len(labels))
        axes.barh(
            positions - 0.2,
            [100 * share for share in upper],
            height=0.36,
            color=BLUE,
            label="upper third",
        )
        axes.barh(
            positions + 0.2,
            [100 * share for share in lower],
            height=0.36,
            color=ORANGE,
            label="lower third",
            hatch="//",
            edgecolor="white",
        )
        axes.set(yticks=positions, yticklabels=labels, xlim=(0, 100), xlabel="% that chose it")
        axes.invert_yaxis()
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
