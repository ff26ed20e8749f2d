"""What the figures of lesson 3 draw on a picture: boxes, masks, names; and the colours of objects
and of kinds.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int64
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from scipy import ndimage
from torch import Tensor

from course_lib.data.compose import Scene
from course_lib.data.sprites import CLASSES
from course_lib.figures.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    YELLOW,
)

# One colour an object, in the order of their numbers: neighbours differ in lightness too.
OBJECTS = (ORANGE, BLUE, YELLOW, PURPLE, GREEN, SKY, RED)
# One colour a class: a hue for each group (animals, food, vehicles, things), three shades of it.
# Regions carry their names as well, for nobody can tell twelve colours apart. Kind 0 is the
# background, the last one unknown.
_SHADES = (
    *(SKY, BLUE, "#0A3A5E"),
    *(ORANGE, YELLOW, RED),
    *("#7BD3B5", GREEN, "#004D39"),
    *(PURPLE, "#F0C6DD", "#77305C"),
)
KINDS = (PAPER, *_SHADES, MUTED)
assert len(KINDS) == len(CLASSES) + 2


def ink_on(colour: str) -> str:
    """Black or white, whichever can be read on a colour."""
    red, green, blue = to_rgb(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else PAPER


def name(label: int) -> str:
    """A class by its number; "unknown" beyond the last."""
    return CLASSES[label] if label < len(CLASSES) else "unknown"


def names(scene: Scene) -> list[str]:
    """What each object of a scene really is, known class or not."""
    return [placement.name for placement in scene.placements]


def picture(axes: Axes, image: Float[Tensor, "3 height width"], faded: float = 0.0) -> None:
    """Draw a picture; ``faded`` from 0 (as it is) to 1 (grey and pale), so that marks stand out."""
    pixels = image.numpy().transpose(1, 2, 0)
    grey = pixels.mean(-1, keepdims=True)
    pixels = pixels + faded * (0.45 + 0.5 * grey - pixels)
    height, width, _ = pixels.shape
    # boxes count from a corner
    axes.imshow(pixels.clip(0, 1), interpolation="bilinear", extent=(0, width, height, 0))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")


def box(
    axes: Axes, corners: Sequence[float], colour: str, label: str = "", line: float = 2.6
) -> None:
    """A box, x0, y0, x1, y1 in pixels, and above it, or inside it at the picture's upper rim, what
    it is.
    """
    x0, y0, x1, y1 = (float(value) for value in corners)
    edge = patheffects.withStroke(linewidth=line + 1.6, foreground=INK, alpha=0.65)
    axes.add_patch(
        Rectangle(
            (x0, y0),
            x1 - x0,
            y1 - y0,
            fill=False,
            edgecolor=colour,
            linewidth=line,
            path_effects=[edge],
        )
    )
    if label:
        label_box(axes, corners, label, colour)


def label_box(axes: Axes, corners: Sequence[float], label: str, colour: str) -> None:
    """The word of a box: above it, or inside it at the picture's upper rim."""
    x, y = float(corners[0]), float(corners[1])
    above = y > 0.09 * axes.get_ylim()[0]
    tag(axes, max(x, 0), max(y, 0), label, colour, "bottom" if above else "top")


def below(axes: Axes, text: str) -> None:
    """A line in bold below a picture."""
    axes.text(
        0.5,
        -0.03,
        text,
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=11,
        weight="bold",
    )


def true_box(axes: Axes, corners: Sequence[float]) -> None:
    """The true box: thin and dashed, white on black, so that it is seen on any ground."""
    x0, y0, x1, y1 = (float(value) for value in corners)
    for colour, style in ((INK, "-"), (PAPER, (0, (4, 3)))):
        axes.add_patch(
            Rectangle(
                (x0, y0),
                x1 - x0,
                y1 - y0,
                fill=False,
                edgecolor=colour,
                linewidth=1.3,
                linestyle=style,
            )
        )


def tag(
    axes: Axes, x: float, y: float, label: str, colour: str, va: str = "center", ha: str = "left"
) -> None:
    """A word on a plate of a colour, kept inside the picture at its right rim."""
    width = axes.get_xlim()[1]
    if ha == "left" and x > 0.62 * width:
        x, ha = min(x + 0.38 * width, width), "right"
    axes.text(
        *(x, y, label), color=ink_on(colour), fontsize=9, va=va, ha=ha, zorder=6,
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.6, "alpha": 0.95},
    )  # fmt: skip


def mask(axes: Axes, inside: Bool[Tensor, "height width"], colour: str, label: str = "") -> None:
    """Lay a colour over the pixels of a mask, with an outline, and a word in its middle."""
    pixels = inside.numpy()
    if not pixels.any():
        return
    height, width = pixels.shape
    shade = np.zeros((height, width, 4))
    shade[pixels] = (*to_rgb(colour), 0.72)
    axes.imshow(shade, interpolation="nearest", extent=(0, width, height, 0))
    outline(axes, inside, colour, dashed=False)
    if label:
        tag(axes, *middle(pixels), label, colour, ha="center")


def outline(
    axes: Axes, inside: Bool[Tensor, "height width"], colour: str = PAPER, dashed: bool = True
) -> None:
    """The rim of a mask as a line: of the truth thin and dashed, white on black."""
    # so that a mask at the picture's rim is closed
    pixels = np.pad(inside.numpy(), 1).astype(float)
    if not pixels.any():
        return
    height, width = pixels.shape
    x, y = np.arange(width) - 0.5, np.arange(height) - 0.5
    if dashed:
        axes.contour(x, y, pixels, [0.5], colors=[INK], linewidths=1.3)
    style = [(0, (4, 3))] if dashed else ["solid"]
    axes.contour(
        x, y, pixels, [0.5], colors=[colour], linewidths=1.3 if dashed else 1.8, linestyles=style
    )


def kinds(axes: Axes, drawn: Int64[Tensor, "height width"], least: int = 25) -> None:
    """Lay the colour of its kind over each pixel, and write the name on each region of ``least``
    pixels or more.
    """
    for kind in drawn.unique().tolist():
        if kind == 0:
            continue
        inside = drawn == kind
        mask(axes, inside, KINDS[kind])
        regions, count = ndimage.label(inside.numpy())
        for number in range(1, count + 1):
            region = regions == number
            if region.sum() >= least:
                tag(axes, *middle(region), name(kind - 1), KINDS[kind], ha="center")


def middle(inside: Bool[np.ndarray, "height width"]) -> tuple[float, float]:
    """The pixel (x, y) furthest from a mask's rim: it lies in the mask whatever its shape."""
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return float(column) + 0.5, float(row) + 0.5
