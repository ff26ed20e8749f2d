"""The figures of lesson 3 about dense predictions: votes, offsets and foreground."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from course_lib.data.compose import Scene
from course_lib.figures.style import INK, MUTED, PAPER, course_style
from course_lib.figures.vision import annotations
from course_lib.figures.vision.annotations import (
    class_colour,
    class_name,
    class_shades,
    matched_colours,
)
from course_lib.vision import instances, localizer
from course_lib.vision.predictions import mask_iou

_MAX_BOXES = 12  # votes that are drawn as boxes
_ARROW_SPACING = 6  # pixels


@torch.no_grad()
def localizer_votes(model: localizer.Localizer, scene: Scene) -> Figure:
    """How level 2 combines votes: each cell's weight, the largest votes, and the weighted mean."""
    scores, boxes, weights = (part[0].cpu() for part in model.votes(_batch(model, scene)))
    label = int((scores * weights[..., None]).sum((0, 1)).argmax())
    prediction = (boxes * weights[..., None]).sum((0, 1))
    largest = weights.flatten().argsort(descending=True)[:_MAX_BOXES]
    share = float(weights.flatten()[largest].sum())
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 5.1), layout="constrained")
        for axes, fade in ((left, 0.8), (right, 0.5)):
            annotations.draw_image(axes, scene.image, fade=fade)
            for corners in scene.boxes.tolist():
                annotations.draw_true_box(axes, corners)
        _draw_heatmap(left, weights / weights.max(), scene)
        left.set_title(f"the weights of {weights.numel():,} votes")
        annotations.draw_caption(
            left, f"largest weight {float(weights.max()):.2f}; all weights sum to 1"
        )
        for corners in boxes.flatten(0, 1)[largest].tolist():
            annotations.draw_box(right, corners, MUTED, linewidth=0.5)
        annotations.draw_box(
            right,
            prediction.tolist(),
            class_colour(label),
            f"prediction: {class_name(label)}",
            linewidth=3.4,
        )
        right.set_title(f"the {_MAX_BOXES} largest votes, and the prediction")
        annotations.draw_caption(right, f"{share:.0%} of the weight; dashed: ground truth")
    return figure


def _batch(model: nn.Module, scene: Scene) -> Float[Tensor, "1 3 height width"]:
    return scene.image[None].to(next(model.parameters()).device)


def _draw_heatmap(axes: Axes, values: Float[Tensor, "rows columns"], scene: Scene) -> None:
    """Draw a map in [0, 1] over the image: black, a colour of no class, with opacity by value."""
    height, width = scene.image.shape[-2:]
    overlay = np.empty((*values.shape, 4))
    overlay[..., :3] = to_rgb(INK)
    overlay[..., 3] = values.clamp(0, 1).sqrt() * 0.9  # the root keeps small values visible
    axes.imshow(overlay, interpolation="nearest", extent=(0, width, height, 0), zorder=3)


def cell_targets(scene: Scene, assigned: Int64[Tensor, "rows columns"]) -> Figure:
    """What the cells of level 3 are trained to predict: the object of each, and one cell's box.

    Args:
        scene: an image with its ground-truth boxes.
        assigned: the index of each cell's object, -1 for none, from ``detector.assign``.

    Raises:
        ValueError: if no cell has an object.
    """
    positive = (assigned >= 0).nonzero().tolist()
    if not positive:
        raise ValueError("No cell has an object: give a scene with at least one.")
    colours = class_shades(scene.labels)
    stride = scene.image.shape[-1] / assigned.shape[1]
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 5.2), layout="constrained")
        for axes in (left, right):
            annotations.draw_image(axes, scene.image, fade=0.6)
            for corners in scene.boxes.tolist():
                annotations.draw_true_box(axes, corners)
        for row, column in positive:
            corner, colour = (column * stride, row * stride), colours[int(assigned[row, column])]
            cell = Rectangle(corner, stride, stride, facecolor=colour, edgecolor=INK, linewidth=0.6)
            left.add_patch(cell)
        left.set_title("the object of each cell")
        annotations.draw_caption(left, f"{len(positive)} of {assigned.numel():,} cells have one")
        row, column = positive[-1]  # in the lowest row
        index = int(assigned[row, column])
        x, y = (column + 0.5) * stride, (row + 0.5) * stride
        x0, y0, x1, y1 = scene.boxes[index].tolist()
        annotations.draw_box(right, (x0, y0, x1, y1), colours[index])
        for end_x, end_y in ((x0, y), (x, y0), (x1, y), (x, y1)):
            arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
            right.annotate("", (end_x, end_y), (x, y), arrowprops=arrow, zorder=4)
        right.plot(x, y, "o", color=PAPER, markeredgecolor=INK, markersize=8, zorder=5)
        right.set_title("one cell: four distances to its box")
        distances = ", ".join(f"{value:g}" for value in (x - x0, y - y0, x1 - x, y1 - y))
        annotations.draw_caption(right, f"left, top, right, bottom: {distances} pixels")
    return figure


@torch.no_grad()
def instance_offsets(model: nn.Module, scene: Scene, score_threshold: float = 0.2) -> Figure:
    """How level 5 groups pixels: centre heatmap, offsets, their end points, and masks.

    Args:
        model: an ``InstanceSegmenter``.
        scene: its image is the model's input.
        score_threshold: centres and instances with a lower score are left out.
    """
    images = _batch(model, scene)
    semantic_logits, centre_logits, offsets = (part[0].cpu() for part in model(images))
    heatmap = centre_logits.sigmoid()
    (found,) = instances.predict(model, images, score_threshold)
    peaks = instances.find_peaks(heatmap[None], score_threshold)[0]
    rows, columns = np.nonzero((semantic_logits.softmax(0)[0] < 0.5).numpy())
    dx, dy = offsets[:, rows, columns].numpy()
    instance_map = np.zeros(heatmap.shape, dtype=int)  # 0 none, k the k-th mask
    for instance_id, mask in enumerate(found.masks.cpu().numpy(), start=1):
        instance_map[mask] = instance_id
    overlaps = mask_iou(found.masks.cpu(), scene.masks)
    palette = np.array([MUTED, *matched_colours(scene, found.labels.cpu(), overlaps)])
    colours = palette[instance_map[rows, columns]]
    with course_style():
        figure, grid = plt.subplots(2, 2, figsize=(8.4, 9.8), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.16)  # room for the captions
        panels = grid.ravel()
        for axes in panels:
            annotations.draw_image(axes, scene.image, fade=0.75)
        _draw_heatmap(panels[0], heatmap, scene)
        panels[0].set_title("1 · is it the centre of an object?")
        annotations.draw_caption(panels[0], f"{int(peaks.sum())} peaks above {score_threshold:g}")
        sparse = (rows % _ARROW_SPACING == 0) & (columns % _ARROW_SPACING == 0)
        _draw_offsets(
            panels[1],
            columns[sparse] + 0.5,
            rows[sparse] + 0.5,
            dx[sparse],
            dy[sparse],
            colours[sparse],
        )
        panels[1].set_title("2 · offset to the object's centre")
        annotations.draw_caption(panels[1], "from some pixels; arrowheads halfway")
        panels[2].scatter(
            columns + dx + 0.5, rows + dy + 0.5, s=5, c=colours, zorder=3, linewidths=0
        )
        panels[2].set_title("3 · end points of all offsets")
        annotations.draw_caption(panels[2], "each pixel joins the nearest peak")
        for axes in panels[:3]:
            _draw_peaks(axes, peaks)
        for index, (label, score, mask) in enumerate(
            zip(*(part.cpu() for part in found), strict=True)
        ):
            text = f"{class_name(int(label))} {float(score):.0%}"
            annotations.draw_mask(panels[3], mask, str(palette[index + 1]), text, opacity=1)
        panels[3].set_title("4 · the instances and their classes")
        annotations.draw_caption(panels[3], "dashed: ground truth")
        for mask in scene.masks:
            annotations.draw_outline(panels[3], mask)
    return figure


def _draw_offsets(
    axes: Axes, x: np.ndarray, y: np.ndarray, dx: np.ndarray, dy: np.ndarray, colours: np.ndarray
) -> None:
    """Draw lines along offsets, with heads halfway: at the ends they would hide each other."""
    options = {"angles": "xy", "scale_units": "xy", "scale": 1, "color": colours, "zorder": 3}
    axes.quiver(x, y, dx, dy, width=0.004, headwidth=1, headlength=0, headaxislength=0, **options)
    long = np.hypot(dx, dy) > _ARROW_SPACING
    if long.any():
        options["color"] = colours[long]
        halves = (0.6 * part[long] for part in (dx, dy))  # the middle of the head is halfway
        axes.quiver(x[long], y[long], *halves, width=0.004, headwidth=5, **options)


def _draw_peaks(axes: Axes, peaks: Tensor) -> None:
    y, x = (peaks.nonzero().T + 0.5).numpy()
    height, width = peaks.shape
    axes.plot(x, y, "+", color=PAPER, ms=15, mew=5)
    axes.plot(x, y, "+", color=INK, ms=13, mew=2, zorder=5)
    axes.set(xlim=(0, width), ylim=(height, 0))


def cutout(
    image: Float[Tensor, "3 height width"],
    foreground: Float[Tensor, "rows columns"],
    background: Float[Tensor, "3 _ _"] | None = None,
) -> Figure:
    """An image, its foreground probability, and the foreground on a new background.

    Args:
        image: in [0, 1].
        foreground: the opacity of each pixel, in [0, 1].
        background: in [0, 1]; by default a checkerboard, the convention for transparency.

    Raises:
        ValueError: if the three differ in height or width.
    """
    behind = _checkerboard(*image.shape[-2:]) if background is None else background
    if not image.shape[-2:] == foreground.shape == behind.shape[-2:]:
        sizes = [tuple(part.shape[-2:]) for part in (image, foreground, behind)]
        raise ValueError(
            f"Image, foreground and background are {sizes}: resize them to the same height and "
            "width."
        )
    blended = image * foreground + behind * (1 - foreground)
    with course_style():
        figure, panels = plt.subplots(1, 3, figsize=(10, 3.7), layout="constrained")
        annotations.draw_image(panels[0], image)
        panels[0].set_title("the image")
        annotations.draw_image(panels[1], foreground.expand(3, -1, -1))
        panels[1].set_title("object probability p")
        annotations.draw_image(panels[2], blended)
        panels[2].set_title("cut out" if background is None else "on a new background")
    return figure


def _checkerboard(height: int, width: int, side: int = 8) -> Float[Tensor, "3 height width"]:
    y, x = torch.arange(height)[:, None] // side, torch.arange(width) // side
    return torch.where((x + y) % 2 == 0, 0.95, 0.78).expand(3, -1, -1)
