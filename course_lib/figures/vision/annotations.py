"""Draw boxes, masks and labels on images, and choose their colours.

Used by the figures and widgets of lesson 3, by lesson 5's segmentations, and by the website.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from jaxtyping import Bool, Float, Int64
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
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

# By an index, in this order, then from the start: neighbours differ in hue and in lightness.
COLOUR_CYCLE = (ORANGE, BLUE, PURPLE, YELLOW, RED, SKY, GREEN)
# One colour per class: three related colours for each group. Regions are labelled with their class
# as well, because twelve colours are hard to distinguish.
_GROUP_COLOURS = {
    "animals": (SKY, BLUE, "#0A3A5E"),
    "food": (ORANGE, YELLOW, RED),
    "vehicles": ("#7BD3B5", GREEN, "#004D39"),
    "things": (PURPLE, "#DCCBF5", "#77305C"),
}
_CLASS_COLOURS = tuple(chain.from_iterable(_GROUP_COLOURS.values()))
# By the values of a semantic map: background, classes, unknown.
SEMANTIC_COLOURS = (PAPER, *_CLASS_COLOURS, MUTED)
assert len(SEMANTIC_COLOURS) == len(CLASSES) + 2


def cycled_colour(index: int) -> str:
    """The colour of an object or a class by its index; colours repeat."""
    return COLOUR_CYCLE[index % len(COLOUR_CYCLE)]


def class_colour(label: int) -> str:
    """The colour of a class by its label; grey for unknown classes."""
    return SEMANTIC_COLOURS[min(label, len(CLASSES)) + 1]


def class_shades(labels: Sequence[int] | Int64[Tensor, " objects"]) -> list[str]:
    """A colour for each object, by its class.

    The first object of a class has the class colour, the second a lighter and the third a darker
    shade; then the three repeat.
    """
    seen: Counter[int] = Counter()
    colours = []
    for label in map(int, labels):
        seen[label] += 1
        towards, share = ((PAPER, 0.0), (PAPER, 0.6), (INK, 0.5))[(seen[label] - 1) % 3]
        mixed = (
            np.array(to_rgb(class_colour(label))) * (1 - share) + np.array(to_rgb(towards)) * share
        )
        colours.append(to_hex(mixed))
    return colours


def matched_colours(
    scene: Scene, labels: Int64[Tensor, " predicted"], overlaps: Float[Tensor, "predicted objects"]
) -> list[str]:
    """For each prediction: the colour of the true object of the same class that it overlaps most.

    A prediction that overlaps no object of its class has the class colour. Thus an object keeps its
    colour in all figures, whatever the order of the predictions.

    Args:
        scene: the true objects.
        labels: the classes of the predictions.
        overlaps: the IoU of each prediction with each object.
    """
    true_colours = class_shades(scene.labels)
    colours = []
    for label, row in zip(labels.tolist(), overlaps, strict=True):
        candidates = [
            k for k, true in enumerate(scene.labels.tolist()) if true == label and row[k] > 0
        ]
        best = max(candidates, key=row.tolist().__getitem__, default=None)
        colours.append(class_colour(label) if best is None else true_colours[best])
    return colours


def text_colour(background: str) -> str:
    """Black or white, whichever is legible on the background colour."""
    red, green, blue = to_rgb(background)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else PAPER


def class_name(label: int) -> str:
    """The name of a class by its label; "unknown" beyond the last."""
    return CLASSES[label] if label < len(CLASSES) else "unknown"


def object_names(scene: Scene) -> list[str]:
    """The true name of each object in a scene, even if its class is unknown to the models."""
    return [placement.name for placement in scene.placements]


def draw_image(axes: Axes, image: Float[Tensor, "3 height width"], fade: float = 0.0) -> None:
    """Draw an image, by default unchanged; ``fade`` goes up to 1: grey and pale."""
    pixels = image.numpy().transpose(1, 2, 0)
    grey = pixels.mean(-1, keepdims=True)
    pixels = pixels + fade * (0.45 + 0.5 * grey - pixels)
    height, width, _ = pixels.shape
    # Box coordinates count from the corner of the image, not from the centre of the first pixel.
    axes.imshow(pixels.clip(0, 1), interpolation="bilinear", extent=(0, width, height, 0))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")


def draw_box(
    axes: Axes,
    corners: Sequence[float],
    colour: str,
    label: str = "",
    linewidth: float | int = 2.6,
    *,
    label_y: float | None = None,
) -> None:
    """Draw a box (x0, y0, x1, y1 in pixels) with an optional label, by default above the box.

    ``label_y``: from :func:`label_heights`.
    """
    x0, y0, x1, y1 = (float(value) for value in corners)
    outline = patheffects.withStroke(linewidth=linewidth + 1.6, foreground=INK, alpha=0.65)
    axes.add_patch(
        Rectangle(
            (x0, y0),
            x1 - x0,
            y1 - y0,
            fill=False,
            edgecolor=colour,
            linewidth=linewidth,
            path_effects=[outline],
        )
    )
    if label and label_y is not None and label_y > y0:
        draw_tag(axes, max(x0, 0.0), min(label_y, axes.get_ylim()[0]), label, colour, "bottom")
    elif label:
        draw_box_label(axes, corners, label, colour)


def label_heights(
    boxes: Sequence[Sequence[float]], image: Float[Tensor, "3 height width"]
) -> list[float]:
    """Where the label of each box stands, in pixels from above, so that no label covers another.

    That is the top of its box if possible, otherwise the bottom or the middle.

    Args:
        boxes: x0, y0, x1, y1 in pixels, in the order in which they are drawn.
        image: they are drawn on it. A label is about 40 % of its width, and 8 % of its height.
    """
    height, width = image.shape[1:]
    tops = [(float(x), float(top)) for x, top, _, _ in boxes]
    places: list[tuple[float, float]] = []
    for index, (x, top, _, bottom) in enumerate(boxes):
        for y in (float(top), float(bottom), (top + bottom) / 2):
            others = places if y == top else places + tops[index + 1 :]
            if all(abs(x - u) >= 0.4 * width or abs(y - v) >= 0.08 * height for u, v in others):
                break
        places.append((float(x), y))
    return [y for _, y in places]


def draw_box_label(axes: Axes, corners: Sequence[float], label: str, colour: str) -> None:
    """Draw a label above a box, or inside it if the box is near the top of the image."""
    x, y = float(corners[0]), float(corners[1])
    above = y > 0.09 * axes.get_ylim()[0]
    draw_tag(axes, max(x, 0.0), max(y, 0.0), label, colour, "bottom" if above else "top")


def draw_caption(axes: Axes, text: str) -> None:
    """Draw a line of bold text below an image."""
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


def draw_true_box(axes: Axes, corners: Sequence[float]) -> None:
    """Draw a ground-truth box: thin and dashed, white on black, visible on any background."""
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


def draw_tag(
    axes: Axes, x: float, y: float, label: str, colour: str, va: str = "center", ha: str = "left"
) -> None:
    """Draw a label on a coloured background.

    A left-aligned label that starts in the right part of the image ends 38 % of the image's width
    further right, or at the image's edge, so that a label of usual length stays inside.
    """
    width = axes.get_xlim()[1]
    if ha == "left" and x > 0.62 * width:
        x, ha = min(x + 0.38 * width, width), "right"
    axes.text(
        x,
        y,
        label,
        color=text_colour(colour),
        fontsize=9,
        va=va,
        ha=ha,
        zorder=6,
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.6, "alpha": 0.95},
    )


def draw_mask(
    axes: Axes,
    mask: Bool[Tensor, "height width"],
    colour: str,
    label: str = "",
    opacity: float | int = 0.72,
) -> None:
    """Draw a mask as a coloured overlay with an outline and an optional label in the middle.

    ``opacity``: from 0 to 1; at 1 the mask hides the image.
    """
    pixels = mask.numpy()
    if not pixels.any():
        return
    height, width = pixels.shape
    overlay = np.zeros((height, width, 4))
    overlay[pixels] = (*to_rgb(colour), opacity)
    axes.imshow(overlay, interpolation="nearest", extent=(0, width, height, 0))
    draw_outline(axes, mask, colour, dashed=False)
    if label:
        draw_tag(axes, *innermost_pixel(pixels), label, colour, ha="center")


def draw_outline(
    axes: Axes, mask: Bool[Tensor, "height width"], colour: str = PAPER, dashed: bool = True
) -> None:
    """Draw the outline of a mask: by default, for ground truth, thin and dashed, white on black."""
    # Padding closes the outline of a mask at the image's edge.
    pixels = np.pad(mask.numpy(), 1).astype(float)
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


def draw_semantic(
    axes: Axes, semantic: Int64[Tensor, "height width"], min_pixels: int = 25
) -> None:
    """Draw a semantic map as an opaque overlay with one colour per class.

    Args:
        axes: where to draw.
        semantic: 0 on the background, which is not drawn, and 1 + label elsewhere.
        min_pixels: connected regions of at least this size are labelled with their class.
    """
    for value in semantic.unique().tolist():
        if value == 0:
            continue
        mask = semantic == value
        colour = SEMANTIC_COLOURS[value]
        draw_mask(axes, mask, colour, opacity=1)
        regions, count = ndimage.label(mask.numpy())
        for region_id in range(1, count + 1):
            region = regions == region_id
            if region.sum() >= min_pixels:
                draw_tag(axes, *innermost_pixel(region), class_name(value - 1), colour, ha="center")


def innermost_pixel(mask: Bool[np.ndarray, "height width"]) -> tuple[float, float]:
    """The centre (x, y) of the pixel furthest from a mask's outline: inside masks of any shape."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return float(column) + 0.5, float(row) + 0.5
