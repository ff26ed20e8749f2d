"""Figures of lesson 1's two networks: their layers, and what a shift changes in their maps."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from course_lib.figures.hooks import record_outputs
from course_lib.figures.style import FAINT, INK, MUTED, ORANGE, ROLES, course_style

_STEP = 1.0  # the distance of two stages, in the units of the diagram
_MAP = 0.54  # the side of the largest map
_NAMES = {
    nn.Flatten: "flatten",
    nn.Linear: "fully connected",
    nn.Conv2d: "convolution",
    nn.ReLU: "ReLU",
    nn.MaxPool2d: "max pooling",
}


@torch.no_grad()
def network_stages(
    network: nn.Sequential, image: Float[Tensor, "1 channels height width"]
) -> list[tuple[str, tuple[int, ...]]]:
    """What a network makes of an image: the name of each step and the shape after it, without
    batch.

    A ReLU belongs to the step before it. The first step is the image.
    """
    layers = [(_NAMES.get(type(layer), type(layer).__name__), layer) for layer in network]
    stages = [("image", tuple(image.shape[1:]))]
    with record_outputs(layers) as outputs:
        network(image)
    for name, output in outputs:
        if name == "ReLU":
            stages[-1] = (f"{stages[-1][0]}, ReLU", stages[-1][1])
        else:
            stages.append((name, tuple(output.shape[1:])))
    return stages


def network_diagram(
    networks: Mapping[str, nn.Sequential], image: Float[Tensor, "1 channels height width"]
) -> Figure:
    """Each network as a column from the image down to the scores, with the shape after each step.

    Maps are drawn as squares, one behind the other, to scale; lists of numbers as bars.

    Args:
        networks: one or two, by the kind of their layers.
        image: an input.
    """
    columns = {kind: network_stages(network, image) for kind, network in networks.items()}
    rows = max(len(stages) for stages in columns.values())
    with course_style():
        figure, panels = plt.subplots(
            1,
            len(columns),
            figsize=(3.3 * len(columns), 0.78 * rows + 0.4),
            squeeze=False,
            layout="constrained",
        )
        for axes, (kind, stages) in zip(panels[0], columns.items(), strict=True):
            axes.set_title(kind, color=ROLES[kind])
            for row, (name, shape) in enumerate(stages):
                _draw_stage(axes, -_STEP * row, shape, image.shape[-1])
                text = " x ".join(str(size) for size in shape)
                text += " numbers" if len(shape) == 1 else ""
                axes.text(1.05, -_STEP * row, text, va="center", weight="bold")
                if row:
                    middle = -_STEP * (row - 0.5)
                    arrow = {"arrowstyle": "->", "color": MUTED}
                    axes.annotate("", (0.4, middle - 0.12), (0.4, middle + 0.12), arrowprops=arrow)
                    axes.text(1.05, middle, name, va="center", color=MUTED)
            axes.set(xlim=(-0.05, 3.3), ylim=(-_STEP * (rows - 1) - 0.55, 0.5), aspect="equal")
            axes.axis("off")
    return figure


def _draw_stage(axes: Axes, y: float, shape: Sequence[int], side: int) -> None:
    """Draw maps of ``channels x height x width``, or a bar for a list of numbers.

    Args:
        y: the middle of the drawing.
        shape: of the stage, without batch.
        side: of the image, in pixels, which is drawn as large as ``_MAP``.
    """
    if len(shape) == 1:
        width = 0.78 * min(1.0, np.log10(shape[0]) / 3)  # 1,000 numbers fill the column
        axes.add_patch(Rectangle((0.4 - width / 2, y - 0.06), width, 0.12, fc=FAINT, ec=INK))
        return
    size = _MAP * shape[1] / side
    sheets = min(shape[0], 4)  # more than four would be indistinguishable
    for sheet in reversed(range(sheets)):
        offset = 0.05 * (sheet - (sheets - 1) / 2)
        corner = (0.4 - size / 2 + offset, y - size / 2 + offset)
        axes.add_patch(Rectangle(corner, size, size, fc=FAINT, ec=INK, linewidth=0.8))


def shifted_maps(
    rows: Mapping[str, Sequence[Float[Tensor, "height width"]]],
    titles: Sequence[str],
    by: int = 1,
) -> Figure:
    """An image and maps computed from it, above for the image and below for the shifted image.

    In the lower row an outline marks a pixel whose value is neither the old one of this pixel nor
    the old one of the pixel ``by`` places to the left. Pixels near the border are not compared.

    Args:
        rows: two rows by their names: the image and its maps, then the same for the image shifted
            to the right. Values are drawn from black, 0, to white, the largest one of the column.
        titles: of the columns.
        by: the shift in pixels, 0 to 2.
    """
    before, after = rows.values()
    with course_style():
        figure, panels = plt.subplots(
            2, len(titles), figsize=(2.5 * len(titles), 5.4), squeeze=False, layout="constrained"
        )
        for line, (name, images) in zip(panels, rows.items(), strict=True):
            line[0].set_ylabel(name, color=INK)
            for column, (axes, image) in enumerate(zip(line, images, strict=True)):
                largest = max(float(before[column].max()), float(after[column].max()), 1e-9)
                axes.imshow(image.numpy(), cmap="gray", vmin=0, vmax=largest)
                axes.set(xticks=[], yticks=[])
        for column, (axes, title) in enumerate(zip(panels[0], titles, strict=True)):
            axes.set_title(title)
            changed = changed_pixels(before[column], after[column], by)
            cells = [Rectangle((x - 0.5, y - 0.5), 1, 1) for y, x in np.argwhere(changed)]
            panels[1][column].add_collection(
                PatchCollection(cells, facecolor="none", edgecolor=ORANGE, linewidth=2)  # type: ignore
            )
            panels[1][column].set_xlabel(f"new values: {len(cells)}", color=INK)
    return figure


def changed_pixels(
    before: Float[Tensor, "height width"],
    after: Float[Tensor, "height width"],
    by: int,
    border: int = 2,
) -> np.ndarray:
    """Where a map has a value that it had neither here nor ``by`` pixels further left before.

    Args:
        before: the map of an image.
        after: the map of the image shifted ``by`` pixels to the right.
        by: between 0 and ``border``.
        border: the width of the margin in which nothing is compared.

    Returns:
        A boolean array, (height, width).
    """
    here, left = before, torch.roll(before, by, 1)  # what wraps around lies in the margin
    same = torch.isclose(after, here, atol=1e-5) | torch.isclose(after, left, atol=1e-5)
    changed = np.zeros(tuple(before.shape), dtype=bool)
    inner = slice(border, -border)
    changed[inner, inner] = ~same[inner, inner].numpy()
    return changed
