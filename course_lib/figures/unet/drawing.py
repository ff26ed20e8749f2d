"""The elements of lesson 5's drawings: boxes for feature maps, arrows for operations.

Lengths are inches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle

from course_lib.figures.style import BLUE, GREEN, INK, MUTED, PAPER, PURPLE, RED
from course_lib.figures.unet.trace import BILINEAR, CONV, COPY, OUTPUT, POOL, UP, Operation, Shape

MAX_HEIGHT = 1.5
_MAX_WIDTH = 0.34
_MAP_COLOUR, _TEAL = "#BFD9EC", "#0B7285"
_LAYER_NAMES = {"BatchNorm2d": "batch norm", "ReLU": "ReLU"}


@dataclass(frozen=True)
class ArrowStyle:
    """How an arrow is drawn: distinct by dash or width too, not only by colour."""

    colour: str
    dash: str | tuple
    width: float
    label: str  # ``{k}`` stands for the kernel size


# The hues of the paper's legend, in shades that colour-blind readers can distinguish.
ARROW_STYLES = {
    CONV: ArrowStyle(BLUE, "-", 1.8, "conv {k}×{k}"),
    COPY: ArrowStyle(MUTED, (0, (5, 2)), 1.8, "copy"),
    POOL: ArrowStyle(RED, (0, (1, 0.8)), 3.0, "max pool {k}×{k}"),
    UP: ArrowStyle(GREEN, (0, (4, 1.2, 1, 1.2)), 2.6, "up-conv {k}×{k}"),
    BILINEAR: ArrowStyle(PURPLE, (0, (4, 1.2, 1, 1.2)), 2.6, "bilinear ×2, conv {k}×{k}"),
    OUTPUT: ArrowStyle(_TEAL, "-", 4.5, "conv {k}×{k}"),
}


@dataclass
class Box:
    """A feature map, by its centre, with a label above and a label below, both at ``label_x``."""

    shape: Shape
    x: float
    y: float
    width: float
    height: float
    above: str = ""
    below: str = ""
    label_x: float | None = None
    is_copy: bool = False

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        return self.y + self.height / 2

    @property
    def bottom(self) -> float:
        return self.y - self.height / 2


@dataclass(frozen=True)
class Arrow:
    """The arrow of an operation, from its input to its output, around the corners ``via``."""

    operation: Operation
    start: tuple[float, float]
    end: tuple[float, float]
    via: tuple[tuple[float, float], ...] = ()

    @property
    def middle_x(self) -> float:
        """The middle of the first straight part."""
        return (self.start[0] + (*self.via, self.end)[0][0]) / 2


def map_height(side: int, max_side: int) -> float:
    """The height of a feature map's box by its side in pixels."""
    return max(MAX_HEIGHT * (side / max_side) ** 0.6, 0.1)


def map_width(channels: int, max_channels: int) -> float:
    """The width of a feature map's box by its number of channels."""
    return 0.05 + _MAX_WIDTH * (channels / max_channels) ** 0.5


def shape_labels(shape: Shape) -> tuple[str, str]:
    """The channels and the side: "64" and "568²"."""
    channels, height, width = shape
    return str(channels), f"{height}²" if height == width else f"{height}×{width}"


def blank_axes(figure: Figure, xlim: tuple[float, float], ylim: tuple[float, float]) -> Axes:
    """Axes without ticks that fill the figure, with one unit per inch."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=xlim, ylim=ylim)
    axes.axis("off")
    return axes


def draw_box(axes: Axes, box: Box, font_size: float | int = 9) -> None:
    """Draw a feature map with its two labels; copies are white and hatched."""
    style: dict[str, Any] = {"facecolor": _MAP_COLOUR, "edgecolor": INK}
    if box.is_copy:
        style = {"facecolor": PAPER, "edgecolor": MUTED, "hatch": "////"}
    corner = (box.left, box.bottom)
    axes.add_artist(Rectangle(corner, box.width, box.height, linewidth=0.8, zorder=3, **style))
    x = box.x if box.label_x is None else box.label_x
    axes.text(x, box.top + 0.06, box.above, ha="center", va="bottom", fontsize=font_size, zorder=4)
    axes.text(
        x, box.bottom - 0.06, box.below, ha="center", va="top", fontsize=font_size, color=MUTED
    )


def draw_arrow(
    axes: Axes,
    kind: str,
    start: tuple[float, float],
    end: tuple[float, float],
    zorder: float = 2,
    via: Sequence[tuple[float, float]] = (),
) -> None:
    """Draw the arrow of a kind of operation, around the corners ``via``."""
    style = ARROW_STYLES[kind]
    x, y = [start, *via][-1]  # of the last straight part
    length = float(np.hypot(end[0] - x, end[1] - y))
    dx, dy = (end[0] - x) / length, (end[1] - y) / length
    head_length, half_width = 0.07 + 0.014 * style.width, 0.033 + 0.009 * style.width
    # The line ends where the head begins, so that dashes don't blur its tip.
    neck = (end[0] - head_length * dx, end[1] - head_length * dy)
    corners = [(neck[0] + side * dy, neck[1] - side * dx) for side in (half_width, -half_width)]
    # add_artist is much faster than plot and add_patch, which update the data limits.
    axes.add_artist(
        Line2D(
            [x for x, _ in (start, *via, neck)],
            [y for _, y in (start, *via, neck)],
            color=style.colour,
            linewidth=style.width,
            linestyle=style.dash,
            solid_capstyle="butt",
            dash_capstyle="butt",
            zorder=zorder,
        )
    )
    head = Polygon([end, *corners], facecolor=style.colour, edgecolor="none", zorder=zorder)
    axes.add_artist(head)


def describe_operations(operations: Sequence[Operation]) -> dict[str, str]:
    """By kind, a description of the first such operation, from its recorded modules."""
    descriptions: dict[str, str] = {}
    for operation in operations:
        label = ARROW_STYLES[operation.kind].label.format(k=operation.kernel)
        text = ", ".join([label, *(_LAYER_NAMES[layer] for layer in operation.followed_by)])
        if operation.kind == COPY and operation.input_shape != operation.output_shape:
            text += " and crop"
        descriptions.setdefault(operation.kind, text)
    return descriptions
