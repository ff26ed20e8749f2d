"""Lesson 5's figures of what trained U-Nets compute: their maps, what an output sees, and where
their errors lie.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from course_lib.data.compose import Scene
from course_lib.figures.style import BLUE, FAINT, INK, MUTED, ORANGE, PURPLE, RED, course_style
from course_lib.figures.vision import annotations as marks
from course_lib.unet.model import UNet

Kinds = Int64[Tensor, "height width"]

# Pixels from the nearest pixel of another kind: lower bounds, the last bin has no upper one.
BINS = (0, 1, 2, 3, 5, 8, 16)
_LINES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (PURPLE, "^", ":"), (INK, "D", "-."))


@torch.no_grad()
def handed_on(
    model: nn.Module, image: Float[Tensor, "channels height width"], parts: Mapping[str, nn.Module]
) -> dict[str, Float[Tensor, "_ _ _"]]:
    """What the named parts of a model return while it looks at one picture."""
    found: dict[str, Tensor] = {}
    hooks = [
        part.register_forward_hook(
            lambda _, __, output, name=name: found.__setitem__(name, output[0].cpu())
        )
        for name, part in parts.items()
    ]
    try:
        model(image[None].to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def feature_maps(
    model: UNet, image: Float[Tensor, "channels height width"]
) -> dict[str, Float[Tensor, "_ _ _"]]:
    """What every step of the network hands on, by the name of the step, from the encoder's first to
    the decoder's last.

    Of an encoder step it is what is kept for the decoder, before the pooling.
    """
    parts: dict[str, nn.Module] = {
        f"encoder {n}": step.convolutions for n, step in enumerate(model.encoder)
    }
    parts |= {"bottleneck": model.bottleneck} | {
        f"decoder {n}": step for n, step in enumerate(model.decoder)
    }
    return handed_on(model, image, parts)


def scales(maps: Mapping[str, Float[Tensor, "_ _ _"]], channels: int = 3) -> Figure:
    """A column for each step, its most varied channels below one another, each drawn from black to
    white.

    Args:
        maps: what :func:`feature_maps` returns.
        channels: how many of each step are shown.
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
        for column, (name, found) in zip(grid.T, maps.items(), strict=True):
            varied = found.flatten(1).std(1).argsort(descending=True)[:channels]
            count, height, _ = found.shape
            column[0].set_title(f"{name}\n{count} × {height}²", fontsize=10, loc="center")
            for axes, channel in zip(column, varied.tolist(), strict=False):
                axes.imshow(found[channel].numpy(), cmap="gray")
                axes.text(
                    *(0.04, 0.04, str(channel)), transform=axes.transAxes, fontsize=8, color=INK,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.8},
                )  # fmt: skip
            for axes in column:
                axes.axis("off")
    return figure


def influence(
    found: Mapping[str, tuple[Float[Tensor, "height width"], range]], zoom: int | None = None
) -> Figure:
    """How strongly each input pixel moves one output, and the field that the layers say (dashed).

    Args:
        found: by name, the absolute gradient of the output with respect to the input, and the
            computed rows.
        zoom: show only so many pixels around the middle.
    """
    with course_style():
        figure, panels = plt.subplots(
            1,
            len(found),
            figsize=(3.0 * len(found) + 0.9, 3.7),
            squeeze=False,
            layout="constrained",
        )
        for axes, (name, (gradient, rows)) in zip(panels[0], found.items(), strict=True):
            relative = (gradient / gradient.max()).clamp(min=1e-12).log10()
            relative[gradient == 0] = float("nan")
            drawn = axes.imshow(relative.numpy(), cmap="cividis", vmin=-6, vmax=0)
            measured = [int((gradient > 0).any(side).sum()) for side in (1, 0)]
            spot, side = (rows.start - 0.5,) * 2, len(rows)
            axes.add_patch(
                Rectangle(spot, side, side, fill=False, edgecolor=RED, linewidth=2, linestyle="--")
            )
            axes.set_title(name)
            axes.set_xlabel(f"computed {side}×{side}\nmeasured {measured[0]}×{measured[1]}")
            axes.set(xticks=[], yticks=[], facecolor=FAINT)
            if zoom:
                middle = (rows.start + rows.stop - 1) / 2
                reach = (middle - zoom / 2, middle + zoom / 2)
                axes.set(xlim=reach, ylim=reach[::-1])
        bar = figure.colorbar(drawn, ax=panels, shrink=0.8, ticks=[0, -2, -4, -6], pad=0.01)
        bar.set_ticklabels(["1", "1/100", "1/10⁴", "1/10⁶"])
        bar.set_label("influence,\nlargest = 1")
    return figure


def compared(scene: Scene, answers: Mapping[str, Kinds], words: Mapping[str, str]) -> Figure:
    """Above what each model says of a scene, below which pixels are wrong.

    Args:
        scene: what was asked about.
        answers: by the model's name, the kind of each pixel.
        words: a line for each model, below its answer.
    """
    with course_style():
        figure, grid = plt.subplots(
            2, len(answers) + 1, figsize=(2.9 * (len(answers) + 1), 6.4), layout="constrained"
        )
        figure.get_layout_engine().set(h_pad=0.13)
        marks.picture(grid[0, 0], scene.image)
        grid[0, 0].set_title("the picture")
        _kinds(grid[1, 0], scene, scene.semantic)
        marks.below(grid[1, 0], "the truth")
        for (upper, lower), (name, kinds) in zip(grid.T[1:], answers.items(), strict=True):
            _kinds(upper, scene, kinds)
            upper.set_title(name)
            marks.below(upper, words.get(name, ""))
            wrong = kinds != scene.semantic
            marks.picture(lower, scene.image, faded=0.9)
            shade = np.zeros((*wrong.shape, 4))
            shade[wrong.numpy()] = (0, 0, 0, 1)
            height, width = wrong.shape
            lower.imshow(shade, interpolation="nearest", extent=(0, width, height, 0))
            marks.below(lower, f"{wrong.float().mean():.1%} of the pixels wrong")
    return figure


def _kinds(axes: Axes, scene: Scene, kinds: Kinds) -> None:
    marks.picture(axes, scene.image, faded=0.8)
    marks.kinds(axes, kinds, least=60)


def border_distance(kinds: Kinds) -> Float[Tensor, "height width"]:
    """How many pixels lie between each pixel and the nearest one of another kind: 1 right at a
    border.

    Infinite where there is only one kind.
    """
    found = torch.full(kinds.shape, float("inf"))
    present = kinds.unique()
    for kind in present if len(present) > 1 else ():
        inside = kinds == kind
        found[inside] = torch.from_numpy(distance_transform_edt(inside.numpy())).float()[inside]
    return found


def error_rates(
    truth: Sequence[Kinds], answers: Sequence[Kinds]
) -> tuple[list[float], list[float]]:
    """For each of ``BINS``: the share of its pixels that are wrong, and its share of all wrong
    pixels.
    """
    distance = torch.stack([border_distance(kinds) for kinds in truth])
    wrong = torch.stack(list(answers)) != torch.stack(list(truth))
    edges = [*BINS, float("inf")]
    inside = [
        (distance > low) & (distance <= high) for low, high in zip(edges, edges[1:], strict=False)
    ]
    rates = [float(wrong[here].float().mean()) if here.any() else 0.0 for here in inside]
    return rates, [float((wrong & here).sum() / wrong.sum().clamp(min=1)) for here in inside]


def by_distance(rates: Mapping[str, Sequence[float]]) -> Figure:
    """The share of wrong pixels against their distance from the nearest border, a line for each
    model.

    Args:
        rates: by the model's name, what :func:`error_rates` returns first.
    """
    names = [
        f"{low}–{high}" if low else f"up to {high}"
        for low, high in zip(BINS, BINS[1:], strict=False)
    ]
    with course_style():
        figure, axes = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
        for (name, values), (colour, shape, line) in zip(
            rates.items(), _LINES * len(rates), strict=False
        ):
            axes.plot(
                range(len(BINS)),
                values,
                color=colour,
                marker=shape,
                linestyle=line,
                markersize=7,
                label=name,
            )
        axes.set_xticks(range(len(BINS)), [*names, f"over {BINS[-1]}"])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_ylim(bottom=0)
        axes.set(xlabel="distance from the nearest border (pixels)", ylabel="wrong pixels there")
        axes.grid(axis="y", color=FAINT)
        axes.legend()
    return figure


def pictures(
    columns: Mapping[str, Float[Tensor, "count 3 height width"]], words: Mapping[str, Sequence[str]]
) -> Figure:
    """Pictures side by side: a row for each picture, a column for each thing that was done to it.

    Args:
        columns: by their headings; values outside [0, 1] are cut off.
        words: a line for each picture of a column, below it.
    """
    count = len(next(iter(columns.values())))
    with course_style():
        figure, grid = plt.subplots(
            count,
            len(columns),
            figsize=(2.1 * len(columns), 2.45 * count + 0.3),
            squeeze=False,
            layout="constrained",
        )
        for axes, name in zip(grid[0], columns, strict=True):
            axes.set_title(name, loc="center", fontsize=11)
        for column, (name, images) in zip(grid.T, columns.items(), strict=True):
            for axes, image, number in zip(column, images, range(count), strict=True):
                axes.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy())
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if name in words:
                    axes.set_xlabel(words[name][number], fontsize=10, color=MUTED)
    return figure
