"""One look for every figure: the Okabe-Ito palette (readable by the colour-blind) on a white card.

The card keeps its white ground in dark themes, so that labels keep their contrast. Palette: Okabe
and Ito (2008), "Color Universal Design", https://jfly.uni-koeln.de/color/
"""

from contextlib import AbstractContextManager

import matplotlib as mpl

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
INK, MUTED, FAINT, PAPER = "#1B1F24", "#5B6470", "#D8DCE1", "#FFFFFF"

# What stands for what in every lesson: the same thing always has the same colour.
ROLES = {
    "input": SKY,
    "weight": ORANGE,
    "output": GREEN,
    "fully connected": RED,
    "convolution": BLUE,
}

_RC = {
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": FAINT,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 2.2,
    "font.size": 11,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "image.interpolation": "nearest",
    "axes.prop_cycle": mpl.cycler(color=[BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK]),
}


def course_style() -> AbstractContextManager:
    """A context in which matplotlib draws in the course's style: ``with course_style(): ...``."""
    return mpl.rc_context(_RC)
