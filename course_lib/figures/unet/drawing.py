"""What lesson 5's drawings of the U-Net are made of: boxes for maps, and an arrow for each kind of
operation.

Lengths are inches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle

from course_lib.figures.style import BLUE, GREEN, INK, MUTED, PAPER, PURPLE, RED
from course_lib.figures.unet.trace import BILINEAR, CONV, COPY, OUTPUT, POOL, UP, Operation, Shape

TALLEST = 1.5
_WIDEST = 0.34
_MAP, _TEAL = "#BFD9EC", "#0B7285"
_THEN = {"BatchNorm2d": "batch norm", "ReLU": "ReLU"}


@dataclass(frozen=True)
class Look:
    """How an arrow is drawn: told apart by its line and its direction too, not by its colour
    alone.
    """

    colour: str
    line: str | tuple
    width: float
    words: str


# The hues of the paper's legend, in shades that the colour-blind can tell apart.
LOOKS = {
    CONV: Look(BLUE, "-", 1.8, "conv {k}×{k}"),
    COPY: Look(MUTED, (0, (5, 2)), 1.8, "copy"),
    POOL: Look(RED, (0, (1, 0.8)), 3.0, "max pool {k}×{k}"),
    UP: Look(GREEN, (0, (4, 1.2, 1, 1.2)), 2.6, "up-conv {k}×{k}"),
    BILINEAR: Look(PURPLE, (0, (4, 1.2, 1, 1.2)), 2.6, "bilinear ×2, conv {k}×{k}"),
    OUTPUT: Look(_TEAL, "-", 4.5, "conv {k}×{k}"),
}


@dataclass
class Box:
    """A map, drawn around its middle, with a line of text above and one below (both over
    ``label_x``).
    """

    shape: Shape
    x: float
    y: float
    width: float
    height: float
    above: str = ""
    below: str = ""
    label_x: float | None = None
    copied: bool = False

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class Arrow:
    """An operation, from one map to another."""

    operation: Operation
    start: tuple[float, float]
    end: tuple[float, float]


def tall_as(side: int, finest: int) -> float:
    """The height of a map with this side in pixels, where the finest map is the tallest."""
    return max(TALLEST * (side / finest) ** 0.6, 0.1)


def wide_as(channels: int, most: int) -> float:
    """The width of a map with so many channels, where the most are the widest."""
    return 0.05 + _WIDEST * (channels / most) ** 0.5


def labels(shape: Shape) -> tuple[str, str]:
    """The channels and the side: 64, and 568²."""
    channels, height, width = shape
    return str(channels), f"{height}²" if height == width else f"{height}×{width}"


def sheet(figure: Figure, across: tuple[float, float], down: tuple[float, float]) -> Axes:
    """Axes that fill the figure, one unit an inch."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=across, ylim=down)
    axes.axis("off")
    return axes


def draw_box(axes: Axes, box: Box, size: float = 9) -> None:
    """Draw a map with its two lines of text; what was copied is white and hatched."""
    look = (
        {"facecolor": PAPER, "edgecolor": MUTED, "hatch": "////"}
        if box.copied
        else {"facecolor": _MAP}
    )
    spot = (box.left, box.y - box.height / 2)
    axes.add_artist(
        Rectangle(
            spot, box.width, box.height, **({"edgecolor": INK} | look), linewidth=0.8, zorder=3
        )
    )
    x = box.x if box.label_x is None else box.label_x
    axes.text(
        x,
        box.y + box.height / 2 + 0.06,
        box.above,
        ha="center",
        va="bottom",
        fontsize=size,
        zorder=4,
    )
    axes.text(
        x,
        box.y - box.height / 2 - 0.06,
        box.below,
        ha="center",
        va="top",
        fontsize=size,
        color=MUTED,
    )


def draw_arrow(axes: Axes, kind: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw the arrow of a kind of operation."""
    look = LOOKS[kind]
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    along = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    head, half = 0.07 + 0.014 * look.width, 0.033 + 0.009 * look.width
    # the line ends here, so that dashes don't fray the tip
    neck = (
        end[0] - head * along[0],
        end[1] - head * along[1],
    )
    sides = [(neck[0] + side * along[1], neck[1] - side * along[0]) for side in (half, -half)]
    line = {
        "color": look.colour,
        "linewidth": look.width,
        "linestyle": look.line,
        "solid_capstyle": "butt",
    }
    # Added as artists: what add_patch and plot work out about the limits takes longer than the
    # drawing.
    axes.add_artist(
        Line2D((start[0], neck[0]), (start[1], neck[1]), dash_capstyle="butt", zorder=2, **line)
    )
    axes.add_artist(Polygon([end, *sides], facecolor=look.colour, edgecolor="none", zorder=2))


def in_words(operations: Sequence[Operation]) -> dict[str, str]:
    """The kinds of arrows that occur, and what each does, from the modules themselves."""
    words: dict[str, str] = {}
    for one in operations:
        told = ", ".join(
            [LOOKS[one.kind].words.format(k=one.kernel), *(_THEN[then] for then in one.then)]
        )
        if one.kind == COPY and one.before != one.after:
            told += " and crop"
        words.setdefault(one.kind, told)
    return words
