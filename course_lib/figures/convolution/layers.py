"""The figures of lesson 2 that show whole layers: channels, receptive fields, learned kernels,
parameters.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from course_lib.convolution.layers import conv2d
from course_lib.figures.convolution.kernels import Grey, Kernel, numbers, signed_image
from course_lib.figures.style import FAINT, GREEN, INK, MUTED, ORANGE, ROLES, SKY, course_style

Kernels = Float[Tensor, "kernels channels height width"]


@torch.no_grad()
def channels(layer: nn.Conv2d, picture: Float[Tensor, "channels height width"]) -> Figure:
    """A real layer as a table: a column for each input channel, a row for each output channel, a
    kernel in each cell.

    Args:
        layer: few channels in and out, so that the table can be read.
        picture: in [0, 1], with as many channels as the layer takes.
    """
    out_channels, in_channels = layer.weight.shape[:2]
    outputs = layer(picture[None])[0]
    headings = (
        ("red", "green", "blue")
        if in_channels == 3
        else [f"channel {index}" for index in range(in_channels)]
    )
    with course_style():
        figure, table = plt.subplots(
            out_channels + 1, in_channels + 2, figsize=(2 * in_channels + 4.4, 2.05 * (out_channels + 1)),
            width_ratios=[1] * in_channels + [0.75, 1.25], layout="constrained",
        )  # fmt: skip
        for axes, channel, heading in zip(table[0], picture, headings, strict=False):
            axes.imshow(channel.numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_title(f"{heading} in", color=MUTED)
        for line, kernels, bias, output in zip(
            table[1:], layer.weight, layer.bias, outputs, strict=True
        ):
            for axes, kernel in zip(line, kernels, strict=False):
                numbers(axes, kernel.numpy(), signed=True, size=8)
            label = f"{bias:+.2f}  =".replace("-", "− ").replace("+", "+ ")
            line[-2].text(
                0.5, 0.5, label, ha="center", va="center", fontsize=12, transform=line[-2].transAxes
            )
            signed_image(line[-1], output)
        for axes in (*table[0], *table[:, -2]):
            axes.axis("off")
        table[0, -2].text(
            0.5,
            0.5,
            "bias",
            ha="center",
            va="center",
            color=MUTED,
            transform=table[0, -2].transAxes,
        )
        table[0, -1].text(
            0.5, 0.5, "out", ha="center", va="center", color=MUTED, transform=table[0, -1].transAxes
        )
        sizes = {
            "input": picture.shape,
            "weight": layer.weight.shape,
            "bias": layer.bias.shape,
            "output": outputs.shape,
        }
        figure.suptitle(
            "   ".join(f"{name} {'x'.join(map(str, size))}" for name, size in sizes.items()),
            color=INK,
        )
    return figure


def receptive_fields(stacks: Mapping[str, Sequence[tuple[int, int]]], pixels: int = 15) -> Figure:
    """Stacks of layers seen from the side: the row of input pixels that one output pixel depends
    on.

    Args:
        stacks: name and (kernel, stride) of each layer, the first layer first.
        pixels: how many input pixels to draw.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(stacks), figsize=(5.2 * len(stacks), 3.8), layout="constrained"
        )
        for axes, (name, layers) in zip(np.atleast_1d(panels), stacks.items(), strict=True):
            _side_view(axes, layers, pixels)
            axes.set_title(name)
            axes.set_ylim(-0.6, 1.5 * max(map(len, stacks.values())) + 0.6)
    return figure


def _side_view(axes: Axes, layers: Sequence[tuple[int, int]], pixels: int) -> None:
    positions = [np.arange(pixels, dtype=float)]
    for kernel, stride in layers:
        count = (len(positions[-1]) - kernel) // stride + 1
        below = positions[-1]
        positions.append(
            np.array(
                [below[start * stride : start * stride + kernel].mean() for start in range(count)]
            )
        )
    seen = [{len(positions[-1]) // 2}]
    for kernel, stride in reversed(layers):
        seen.insert(0, {index * stride + step for index in seen[0] for step in range(kernel)})
    for level, (spots, chosen) in enumerate(zip(positions, seen, strict=True)):
        for index, x in enumerate(spots):
            colour = (
                (GREEN if level == len(layers) else SKY if level == 0 else ORANGE)
                if index in chosen
                else FAINT
            )
            axes.add_patch(
                Rectangle((x - 0.4, 1.5 * level - 0.25), 0.8, 0.5, color=colour, zorder=2)
            )
        if level:
            kernel, stride = layers[level - 1]
            for index in chosen:
                for step in range(kernel):
                    ends = positions[level - 1][index * stride + step], spots[index]
                    axes.plot(
                        ends,
                        (1.5 * level - 1.25, 1.5 * level - 0.25),
                        color=MUTED,
                        linewidth=0.9,
                        zorder=1,
                    )
        label = (
            "input"
            if level == 0
            else f"layer {level}\n{layers[level - 1][0]} wide, stride {layers[level - 1][1]}"
        )
        axes.text(
            -1.2,
            1.5 * level,
            f"{label}\nsees {len(chosen)}" if not level else label,
            ha="right",
            va="center",
        )
    axes.set_xlim(-6.2, pixels)
    axes.axis("off")


def gallery(kernels: Kernels, groups: Mapping[str, Tensor], columns: int = 16) -> Figure:
    """All kernels as small colour pictures, grey where they are 0, group by group.

    Args:
        kernels: three channels; each is scaled for itself.
        groups: name and a mask or indices of kernels, in the order to show them.
    """
    shown = {name: kernels[chosen] for name, chosen in groups.items() if len(kernels[chosen])}
    lines = [-(-len(group) // columns) for group in shown.values()]
    with course_style():
        figure = plt.figure(
            figsize=(0.72 * columns, sum(0.72 * count + 0.45 for count in lines)),
            layout="constrained",
        )
        parts = figure.subfigures(
            len(shown), 1, height_ratios=[0.72 * count + 0.45 for count in lines]
        )
        for part, (name, group), count in zip(
            np.atleast_1d(parts), shown.items(), lines, strict=True
        ):
            part.suptitle(f"{name}: {len(group)}", x=0.01, ha="left", fontsize=12, weight="bold")
            spots = part.subplots(count, columns, squeeze=False).ravel()
            for axes, kernel in zip(spots, group, strict=False):
                axes.imshow(_coloured(kernel))
            for axes in spots:
                axes.axis("off")
    return figure


def _coloured(kernel: Float[Tensor, "3 height width"]) -> np.ndarray:
    return (kernel / kernel.abs().max() / 2 + 0.5).permute(1, 2, 0).numpy()


def beside(
    picture: Grey, pairs: Mapping[str, tuple[Kernel, Float[Tensor, "3 side side"]]]
) -> Figure:
    """For each direction: a kernel made by hand and one that was learned, each with its answer on a
    photo.

    Args:
        picture: grey, in [0, 1]; a learned kernel for three channels sees it as red, green and
            blue.
        pairs: direction, and the two kernels.
    """
    with course_style():
        figure, table = plt.subplots(
            len(pairs),
            4,
            figsize=(11, 2.9 * len(pairs)),
            width_ratios=[1, 1.3, 1, 1.3],
            layout="constrained",
        )
        for line, (name, (made, learned)) in zip(table, pairs.items(), strict=True):
            numbers(line[0], made.numpy(), signed=True, size=11, digits=1)
            signed_image(line[1], conv2d(picture[None, None], made[None, None])[0, 0])
            line[2].imshow(_coloured(learned))
            line[2].axis("off")
            signed_image(line[3], conv2d(picture.expand(1, 3, -1, -1), learned[None])[0, 0])
            line[0].set_ylabel(name, fontsize=12)
        headings = ("made by hand", "its answer", "learned", "its answer")
        for axes, heading in zip(table[0], headings, strict=True):
            axes.set_title(heading)
    return figure


def parameters(layers: Mapping[str, nn.Module]) -> Figure:
    """How many parameters each layer has, counted on the layer itself, on a logarithmic scale.

    Args:
        layers: name and module; build large ones on torch's ``meta`` device, where they take no
            memory.
    """
    counts = [
        sum(parameter.numel() for parameter in layer.parameters()) for layer in layers.values()
    ]
    colours = [
        ROLES["convolution" if isinstance(layer, nn.Conv2d) else "fully connected"]
        for layer in layers.values()
    ]
    with course_style():
        figure, axes = plt.subplots(figsize=(10, 0.62 * len(counts) + 1.2), layout="constrained")
        bars = axes.barh(list(layers), counts, color=colours, height=0.62)
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=6)
        axes.set_xscale("log")
        axes.set_xlim(1, max(counts) * 100)
        axes.invert_yaxis()
        axes.set_xlabel("parameters (logarithmic scale)")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
    return figure
