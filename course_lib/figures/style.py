"""The style of all figures: the colour-blind safe Okabe-Ito palette on a white background.

The background stays white in dark themes, so that labels keep their contrast. Palette: Okabe and
Ito (2008), "Color Universal Design", https://jfly.uni-koeln.de/color/
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.rcsetup import cycler
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from PIL import ImageFont

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
INK, MUTED, FAINT, PAPER = "#1B1F24", "#5B6470", "#D8DCE1", "#FFFFFF"

# The same thing has the same colour in every lesson.
ROLES = {
    "input": SKY,
    "weight": ORANGE,
    "output": GREEN,
    "fully connected": RED,
    "convolution": BLUE,
}

# Orange below zero, white at zero, blue above: distinct with any kind of colour vision.
DIVERGING = LinearSegmentedColormap.from_list("diverging", [RED, "#F7F7F7", BLUE])
# The same as a lookup table for images drawn with Pillow: (256, 3), uint8.
DIVERGING_RGB = (DIVERGING(np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)

Line = TypeVar("Line")
Style = TypeVar("Style")

# Colour, marker and dash of each line of a chart: distinct even without colour.
LINE_STYLES = (
    (BLUE, "o", "-"),
    (ORANGE, "s", "--"),
    (PURPLE, "^", ":"),
    (INK, "D", "-."),
    (GREEN, "v", (0, (5, 1, 1, 1, 1, 1))),
)

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
    "axes.prop_cycle": cycler(color=[BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK]),
}


def with_styles(lines: Collection[Line], styles: Sequence[Style]) -> Iterator[tuple[Line, Style]]:
    """Each line of a chart with a style of its own.

    Raises:
        ValueError: if there are more lines than styles: the last ones would not be drawn.
    """
    if len(lines) > len(styles):
        raise ValueError(f"There are {len(lines)} lines: at most {len(styles)} can be drawn.")
    return zip(lines, styles, strict=False)


def course_style() -> AbstractContextManager:
    """A context in which matplotlib uses the course's style: ``with course_style(): ...``."""
    return mpl.rc_context(_RC)


def add_grid(axes: Axes) -> None:
    """Add a pale grid behind the data."""
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)


def label_log_axis(axis: Axis, unit: float = 1) -> None:
    """Label a logarithmic axis with plain numbers (1, 2, 5, 10, ...), divided by ``unit``."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}"))


def label_decades(axis: Axis) -> None:
    """Label a logarithmic axis with its powers of ten as plain numbers: 0.01, 0.1, 1, 10."""
    axis.set_major_locator(LogLocator())
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The figures' font, DejaVu Sans, for images drawn with Pillow.

    It comes with matplotlib, so it is present on every system.
    """
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)
