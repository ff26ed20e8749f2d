"""The figures of lesson 3 that look at maps: what each cell says, where each pixel points, what is
foreground.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.data.compose import Scene
from course_lib.figures.style import INK, MUTED, ORANGE, PAPER, RED, SKY, course_style
from course_lib.figures.vision import annotations as marks
from course_lib.vision import instances, localizer

_HEAVIEST = 12  # votes that are drawn as boxes
_STEP = 5  # pixels between arrows


@torch.no_grad()
def votes(model: localizer.Localizer, scene: Scene) -> Figure:
    """How level 2 makes one box of many: the weight of each cell's vote, the weightiest boxes, and
    their mean.
    """
    scores, boxes, weights = (part[0].cpu() for part in model.votes(_batch(model, scene)))
    label = int((scores * weights[..., None]).sum((0, 1)).argmax())
    answer = (boxes * weights[..., None]).sum((0, 1))
    heaviest = weights.flatten().argsort(descending=True)[:_HEAVIEST]
    share = float(weights.flatten()[heaviest].sum())
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(9, 5.1), layout="constrained")
        for axes, faded in zip(panels, (0.8, 0.5), strict=True):
            marks.picture(axes, scene.image, faded=faded)
            for corners in scene.boxes.tolist():
                marks.true_box(axes, corners)
        _heat(panels[0], weights / weights.max(), scene)
        panels[0].set_title(f"the weights of {weights.numel():,} votes")
        marks.below(panels[0], f"the heaviest weighs {float(weights.max()):.2f}, all together 1")
        for corners in boxes.flatten(0, 1)[heaviest].tolist():
            marks.box(panels[1], corners, SKY, line=0.9)
        marks.box(panels[1], answer.tolist(), ORANGE, f"the answer: {marks.name(label)}", line=3.4)
        panels[1].set_title(f"the {_HEAVIEST} heaviest votes, and the answer")
        marks.below(panels[1], f"they carry {share:.0%} of the weight; dashed: the truth")
    return figure


def _batch(model: torch.nn.Module, scene: Scene) -> Float[Tensor, "1 3 height width"]:
    return scene.image[None].to(next(model.parameters()).device)


def _heat(axes: Axes, values: Float[Tensor, "rows columns"], scene: Scene) -> None:
    """A map in [0, 1] over the picture, the stronger the more of the colour."""
    height, width = scene.image.shape[-2:]
    shade = np.empty((*values.shape, 4))
    shade[..., :3] = to_rgb(RED)
    shade[..., 3] = values.clamp(0, 1).sqrt() * 0.9  # the root, so that weak ones are seen as well
    axes.imshow(shade, interpolation="nearest", extent=(0, width, height, 0), zorder=3)


@torch.no_grad()
def pointing(model: instances.InstanceSegmenter, scene: Scene, least_score: float = 0.2) -> Figure:
    """Level 5 opened up: the middles it sees, where pixels point, where they land, and the masks
    that makes.
    """
    images = _batch(model, scene)
    kinds, hills, offsets = (part[0].cpu() for part in model(images))
    hills = hills.sigmoid()
    found = instances.predict(model, images, least_score)[0]
    owner = np.zeros(hills.shape, dtype=int)  # 0 is nobody, k the k-th mask
    for number, inside in enumerate(found.masks.cpu().numpy(), start=1):
        owner[inside] = number
    peaks = instances.peaks(hills[None], least_score)[0]
    rows, columns = np.nonzero((kinds.softmax(0)[0] < 0.5).numpy())
    x, y = columns + offsets[0, rows, columns].numpy(), rows + offsets[1, rows, columns].numpy()
    colours = np.array([MUTED, *(marks.OBJECTS * 3)])[owner[rows, columns]]
    with course_style():
        figure, grid = plt.subplots(2, 2, figsize=(8.4, 9.8), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.16)  # room for the lines below the pictures
        panels = grid.ravel()
        for axes in panels:
            marks.picture(axes, scene.image, faded=0.75)
        _heat(panels[0], hills, scene)
        panels[0].set_title("1 · is a middle of an object here?")
        marks.below(panels[0], f"{int(peaks.sum())} peaks above {least_score:g}")
        sparse = (rows % _STEP == 0) & (columns % _STEP == 0)
        panels[1].quiver(
            *(columns[sparse] + 0.5, rows[sparse] + 0.5, (x - columns)[sparse], (y - rows)[sparse]),
            color=colours[sparse], angles="xy", scale_units="xy", scale=1, width=0.006, headwidth=4, zorder=3,
        )  # fmt: skip
        panels[1].set_title("2 · where is my object's middle?")
        marks.below(panels[1], "an arrow for some of the foreground's pixels")
        panels[2].scatter(x + 0.5, y + 0.5, s=5, c=colours, zorder=3, linewidths=0)
        panels[2].set_title("3 · where all pixels' arrows end")
        marks.below(panels[2], "the nearest peak decides the group")
        for axes in panels[:3]:
            height, width = hills.shape
            axes.plot(
                peaks.nonzero()[:, 1] + 0.5,
                peaks.nonzero()[:, 0] + 0.5,
                "+",
                color=PAPER,
                ms=15,
                mew=5,
            )
            axes.plot(
                peaks.nonzero()[:, 1] + 0.5,
                peaks.nonzero()[:, 0] + 0.5,
                "+",
                color=INK,
                ms=13,
                mew=2,
                zorder=5,
            )
            axes.set(xlim=(0, width), ylim=(height, 0))
        for number, (label, score, inside) in enumerate(
            zip(*(part.cpu() for part in found), strict=True)
        ):
            word = f"{marks.name(int(label))} {float(score):.0%}"
            marks.mask(panels[3], inside, marks.OBJECTS[number % len(marks.OBJECTS)], word)
        panels[3].set_title("4 · the groups, with their class")
        marks.below(panels[3], "dashed: the truth")
        for inside in scene.masks:
            marks.outline(panels[3], inside)
    return figure


def cutout(
    image: Float[Tensor, "3 height width"],
    foreground: Float[Tensor, "height width"],
    background: Float[Tensor, "3 height width"] | None = None,
) -> Figure:
    """A picture, the probability that each pixel is foreground, and the foreground alone or on a
    new background.

    Args:
        image: in [0, 1].
        foreground: in [0, 1]; how much of each pixel is kept.
        background: what to put behind it, in [0, 1]; a checkerboard by default, the sign for
            "nothing there".

    Raises:
        ValueError: if the three are not equally large.
    """
    ground = _checkerboard(*image.shape[-2:]) if background is None else background
    if not image.shape[-2:] == foreground.shape == ground.shape[-2:]:
        sizes = [tuple(part.shape[-2:]) for part in (image, foreground, ground)]
        raise ValueError(
            f"Picture, foreground and background are {sizes}: resize them to the same height and width."
        )
    kept = image * foreground + ground * (1 - foreground)
    with course_style():
        figure, panels = plt.subplots(1, 3, figsize=(10, 3.7), layout="constrained")
        marks.picture(panels[0], image)
        panels[0].set_title("the picture")
        marks.picture(panels[1], foreground.expand(3, -1, -1))
        panels[1].set_title("foreground? (white: surely)")
        marks.picture(panels[2], kept)
        panels[2].set_title("cut out" if background is None else "on a new background")
    return figure


def _checkerboard(height: int, width: int, side: int = 8) -> Float[Tensor, "3 height width"]:
    y, x = torch.arange(height)[:, None] // side, torch.arange(width) // side
    return torch.where((x + y) % 2 == 0, 0.95, 0.78).expand(3, -1, -1)
