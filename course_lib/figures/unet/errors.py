"""Lesson 5's chart of the kinds of errors that segmenters make."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from course_lib.figures.style import BLUE, FAINT, INK, ORANGE, PAPER, course_style

# Colour and hatch of each kind, in its order: distinct without colour too.
_STYLES = ((BLUE, ""), (ORANGE, "//"), (FAINT, ".."))


def error_kinds(panels: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """A panel for each set of pixels, a stacked bar for each model, a part for each kind of error.

    Args:
        panels: by the panel's heading, then by the model's name: the fraction of the pixels that
            are wrong, in [0, 1], by the kind of error. Each panel has its own scale.

    Raises:
        ValueError: if there are more than three kinds.
    """
    names = list(next(iter(panels.values())))
    kinds = list(next(iter(panels.values()))[names[0]])
    if len(kinds) > len(_STYLES):
        raise ValueError(f"There are {len(kinds)} kinds: at most {len(_STYLES)} can be drawn.")
    with course_style():
        figure, axes_row = plt.subplots(
            1,
            len(panels),
            figsize=(4.3 * len(panels), 0.55 * len(names) + 1.6),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axes, (heading, rows) in zip(axes_row[0], panels.items(), strict=True):
            left = dict.fromkeys(names, 0.0)
            for kind, (colour, hatch) in zip(kinds, _STYLES, strict=False):
                widths = [100 * rows[name][kind] for name in names]
                axes.barh(
                    names,
                    widths,
                    left=[left[name] for name in names],
                    height=0.62,
                    color=colour,
                    hatch=hatch,
                    edgecolor=PAPER if colour == BLUE else INK,
                    linewidth=0.8,
                    label=kind,
                )
                left = {name: left[name] + width for name, width in zip(names, widths, strict=True)}
            for name, total in left.items():
                digits = 1 if total >= 0.1 or not total else 2  # a short bar is not 0
                axes.text(total, name, f" {total:.{digits}f} %", va="center", fontsize=10)
            axes.set(
                title=heading, xlabel="% of these pixels", xlim=(0, 1.2 * (max(left.values()) or 1))
            )
            axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes_row[0, 0].invert_yaxis()
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
