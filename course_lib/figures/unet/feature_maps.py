"""Lesson 5's figures of trained U-Nets: feature maps, receptive fields, segmentations and errors,
and a grid of images.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor, nn

from course_lib.data.compose import Scene
from course_lib.figures.hooks import record_outputs
from course_lib.figures.style import (
    BLUE,
    FAINT,
    INK,
    LINE_STYLES,
    MUTED,
    PAPER,
    RED,
    course_style,
)
from course_lib.figures.vision import annotations
from course_lib.unet import UNet
from course_lib.unet.border_errors import DISTANCE_BINS, SemanticMap


@torch.no_grad()
def module_outputs(
    model: nn.Module,
    image: Float[Tensor, "channels height width"],
    modules: Mapping[str, nn.Module],
) -> dict[str, Float[Tensor, "_ _ _"]]:
    """The outputs of the given modules for one image, by name, moved to the CPU.

    Args:
        model: runs on its own device.
        image: the input.
        modules: parts of the model by a name.
    """
    with record_outputs(modules.items()) as outputs:
        model(image[None].to(next(model.parameters()).device))
    return {name: output[0].cpu() for name, output in outputs}


def feature_maps(
    model: UNet, image: Float[Tensor, "channels height width"]
) -> dict[str, Float[Tensor, "_ _ _"]]:
    """The outputs of the encoder steps, the bottleneck and the decoder steps by name, in order.

    The output of an encoder step is the map that the skip connection copies: before pooling.
    """
    modules: dict[str, nn.Module] = {
        f"encoder {index}": step.convolutions for index, step in enumerate(model.encoder)
    }
    modules["bottleneck"] = model.bottleneck
    modules |= {f"decoder {index}": step for index, step in enumerate(model.decoder)}
    return module_outputs(model, image, modules)


def feature_map_grid(maps: Mapping[str, Float[Tensor, "_ _ _"]], channels: int = 3) -> Figure:
    """One column per part of the model: its channels of highest variance.

    Every channel is scaled to its own range.

    Args:
        maps: what :func:`feature_maps` returns.
        channels: how many channels of each part to show.
    """
    with course_style():
        figure, grid = plt.subplots(
            channels,
            len(maps),
            figsize=(1.5 * len(maps), 1.52 * channels + 0.6),
            squeeze=False,
            layout="constrained",
        )
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
        for column, (name, step_maps) in zip(grid.T, maps.items(), strict=True):
            most_varied = step_maps.flatten(1).std(1).argsort(descending=True)[:channels]
            count, height, _ = step_maps.shape
            column[0].set_title(f"{name}\n{count} × {height}²", fontsize=10, loc="center")
            for axes, channel in zip(column, most_varied.tolist(), strict=False):
                axes.imshow(step_maps[channel].numpy(), cmap="gray")
                axes.text(
                    0.04,
                    0.04,
                    str(channel),
                    transform=axes.transAxes,
                    fontsize=8,
                    color=INK,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.8},
                )
            for axes in column:
                axes.axis("off")
    return figure


def effective_receptive_fields(
    fields: Mapping[str, tuple[Float[Tensor, "height width"], range]],
    zoom: int | None = None,
    inner: Sequence[range] = (),
) -> Figure:
    """The influence of each input pixel on one output, and the computed receptive field (dashed).

    Args:
        fields: by name, the absolute gradient of one output with respect to the input, and the
            range of rows of its computed receptive field.
        zoom: side, in pixels, of the area shown around the centre of the receptive field; None
            shows the whole input.
        inner: the row ranges of the receptive fields of single paths through the network, drawn
            in every panel as thin white squares with their indices.
    """
    with course_style():
        figure, panels = plt.subplots(
            1,
            len(fields),
            figsize=(3.0 * len(fields) + 0.9, 3.7),
            squeeze=False,
            layout="constrained",
        )
        for axes, (name, (gradient, rows)) in zip(panels[0], fields.items(), strict=True):
            log_influence = (gradient / gradient.max()).clamp(min=1e-12).log10()
            log_influence[gradient == 0] = float("nan")
            image = axes.imshow(log_influence.numpy(), cmap="cividis", vmin=-6, vmax=0)
            height, width = (int((gradient > 0).any(axis).sum()) for axis in (1, 0))
            corner, side = (rows.start - 0.5,) * 2, len(rows)
            axes.add_patch(
                Rectangle(
                    corner, side, side, fill=False, edgecolor=RED, linewidth=2, linestyle="--"
                )
            )
            for index, path_rows in enumerate(inner):
                start, length = path_rows.start - 0.5, len(path_rows)
                square = Rectangle((start, start), length, length, fill=False, edgecolor=PAPER)
                axes.add_patch(square)
                axes.text(
                    start + length,
                    start,
                    str(index),
                    fontsize=8,
                    color=PAPER,
                    ha="right",
                    va="bottom",
                    path_effects=[withStroke(linewidth=2, foreground=INK)],
                )
            axes.set_title(name)
            axes.set_xlabel(f"computed {side}×{side}\nmeasured {height}×{width}")
            axes.set(xticks=[], yticks=[], facecolor=PAPER)
            if zoom:
                middle = (rows.start + rows.stop - 1) / 2
                limits = (middle - zoom / 2, middle + zoom / 2)
                axes.set(xlim=limits, ylim=limits[::-1])
        bar = figure.colorbar(image, ax=panels, shrink=0.8, ticks=[0, -2, -4, -6], pad=0.01)
        bar.set_ticklabels(["1", "1/100", "1/10⁴", "1/10⁶"])
        bar.set_label("influence,\nlargest = 1")
    return figure


def compare_segmentations(
    scene: Scene,
    predictions: Mapping[str, SemanticMap],
    captions: Mapping[str, str],
    *,
    objects_only: bool = False,
    one_row: bool = False,
) -> Figure:
    """Each model's segmentation of a scene, and below it the wrong pixels in black.

    Args:
        scene: its image is the models' input.
        predictions: semantic maps by the model's name.
        captions: a line below each segmentation, by the model's name.
        objects_only: merge all classes into "object"; predictions are then 0 (background) or 1.
        one_row: put everything side by side, each model's wrong pixels next to its segmentation.
    """
    columns = len(predictions) + 1
    target = (scene.semantic > 0).long() if objects_only else scene.semantic
    show_names = not objects_only
    with course_style():
        if one_row:
            figure, axes_row = plt.subplots(
                1, 2 * columns, figsize=(5.8 * columns, 3.3), layout="constrained"
            )
            grid = axes_row.reshape(columns, 2).T
        else:
            figure, grid = plt.subplots(
                2, columns, figsize=(2.9 * columns, 6.4), layout="constrained"
            )
            figure.get_layout_engine().set(h_pad=0.13)
        annotations.draw_image(grid[0, 0], scene.image)
        grid[0, 0].set_title("the image")
        _draw_segmentation(grid[1, 0], scene, target, show_names)
        annotations.draw_caption(grid[1, 0], "ground truth")
        for (upper, lower), (name, semantic) in zip(grid.T[1:], predictions.items(), strict=True):
            _draw_segmentation(upper, scene, semantic, show_names)
            upper.set_title(name)
            annotations.draw_caption(upper, captions.get(name, ""))
            wrong = semantic != target
            annotations.draw_image(lower, scene.image, fade=0.9)
            height, width = wrong.shape
            overlay = np.zeros((height, width, 4))
            overlay[wrong.numpy()] = (0, 0, 0, 1)
            lower.imshow(overlay, interpolation="nearest", extent=(0, width, height, 0))
            annotations.draw_caption(lower, f"this scene: {wrong.float().mean():.1%} wrong")
    return figure


def _draw_segmentation(axes: Axes, scene: Scene, semantic: SemanticMap, show_names: bool) -> None:
    annotations.draw_image(axes, scene.image, fade=0.8)
    if show_names:
        annotations.draw_semantic(axes, semantic, min_pixels=60)
    elif semantic.any():
        annotations.draw_mask(axes, semantic > 0, BLUE)


def error_by_distance(rates: Mapping[str, Sequence[float]]) -> Figure:
    """The fraction of wrong pixels by distance from the nearest border, one line per model.

    The scale is logarithmic, so that small fractions can be compared; a fraction of 0 or NaN is not
    drawn. The axis starts at the power of ten at or below the lowest point.

    Args:
        rates: by the model's name, the first result of
            :func:`course_lib.unet.border_errors.error_rates_by_distance`.
    """
    labels = [f"{low}–{high}" if low else f"up to {high}" for low, high in pairwise(DISTANCE_BINS)]
    labels.append(f"over {DISTANCE_BINS[-1]}")
    lowest = min((value for row in rates.values() for value in row if value > 0), default=1e-4)
    with course_style():
        figure, axes = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
        for (name, values), (colour, marker, dash) in zip(
            rates.items(), cycle(LINE_STYLES), strict=False
        ):
            axes.plot(
                range(len(labels)),
                [value or float("nan") for value in values],
                color=colour,
                marker=marker,
                linestyle=dash,
                markersize=7,
                label=name,
            )
        axes.set_xticks(range(len(labels)), labels)
        axes.set_yscale("log")
        axes.set_ylim(bottom=10.0 ** np.floor(np.log10(lowest)), top=1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.set(xlabel="distance from the nearest border (pixels)", ylabel="wrong pixels")
        axes.grid(axis="y", color=FAINT)
        axes.legend()
    return figure


def image_columns(
    columns: Mapping[str, Float[Tensor, "count 3 height width"]],
    captions: Mapping[str, Sequence[str]],
) -> Figure:
    """Images side by side: a row for each image, a column for each version of it.

    Args:
        columns: the images of each column by its heading; values outside [0, 1] are clipped.
        captions: a line below each image of a column, by the column's heading.
    """
    row_count = len(next(iter(columns.values())))
    with course_style():
        figure, grid = plt.subplots(
            row_count,
            len(columns),
            figsize=(2.1 * len(columns), 2.45 * row_count + 0.3),
            squeeze=False,
            layout="constrained",
        )
        for column, (heading, images) in zip(grid.T, columns.items(), strict=True):
            column[0].set_title(heading, loc="center", fontsize=11)
            for row, (axes, image) in enumerate(zip(column, images, strict=True)):
                axes.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy())
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if heading in captions:
                    axes.set_xlabel(captions[heading][row], fontsize=10, color=MUTED)
    return figure
