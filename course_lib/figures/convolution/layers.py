"""The figures of lesson 2 about layers: channels, receptive fields, learned kernels, parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from course_lib.convolution.layers import conv2d
from course_lib.figures.convolution.kernels import (
    Grey,
    Kernel,
    draw_number_grid,
    draw_signed_image,
)
from course_lib.figures.style import (
    DIVERGING,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    ROLES,
    SKY,
    course_style,
)

Kernels = Float[Tensor, "kernels channels height width"]
_HEADING: dict[str, Any] = {"ha": "left", "va": "bottom", "fontsize": 11, "weight": "bold"}
_LEVEL_HEIGHT = 1.5  # of a layer in the drawing of a receptive field


@torch.no_grad()
def layer_channels(layer: nn.Conv2d, image: Float[Tensor, "channels height width"]) -> Figure:
    """A layer as a table of its kernels: input channels are columns, output channels rows.

    Args:
        layer: with few input and output channels, so that the numbers are legible.
        image: in [0, 1], with as many channels as the layer takes.
    """
    out_channels, in_channels = layer.weight.shape[:2]
    outputs = layer(image[None])[0]
    is_colour = in_channels == 3
    headings = (
        ("red", "green", "blue")
        if is_colour
        else [f"channel {index}" for index in range(in_channels)]
    )
    with course_style():
        figure, table = plt.subplots(
            out_channels + 1,
            in_channels + 3,
            figsize=(1.8 * in_channels + 4.6, 2.05 * (out_channels + 1)),
            width_ratios=[1.1] + [1] * in_channels + [0.62, 1.2],
            layout="constrained",
        )
        if is_colour:
            table[0, 0].imshow(image.permute(1, 2, 0).numpy())
            table[0, 0].set_title("the photo")
        for axes, channel, heading in zip(table[0, 1:], image, headings, strict=False):
            axes.imshow(channel.numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_title(f"{heading} in")
        for number, (line, kernels, bias, output) in enumerate(
            zip(table[1:], layer.weight, layer.bias, outputs, strict=True), 1
        ):
            _draw_centred_text(line[0], f"kernel {number}", INK, size=13)
            for index, (axes, kernel) in enumerate(zip(line[1:], kernels, strict=False)):
                draw_number_grid(axes, kernel.numpy(), signed=True, size=10)
                # between a channel and its kernel; in the second row the same channels are meant
                axes.set_title("∗", loc="center", fontsize=15)
                axes.set_ylabel(
                    "+" if index else "", rotation=0, fontsize=14, ha="right", va="center"
                )
            label = f"{bias:+.2f}  =".replace("-", "− ").replace("+", "+ ")
            _draw_centred_text(line[-2], label, INK, size=12)
            draw_signed_image(line[-1], output)
            line[-1].set_title(f"out, channel {number}")
        for axes in (*table[0], *table[:, -2], *table[:, 0]):
            axes.axis("off")
        table[1, -2].set_title("bias", loc="center")
        shapes = {
            "input": image.shape,
            "weight": layer.weight.shape,
            "bias": layer.bias.shape,
            "output": outputs.shape,
        }
        figure.suptitle(
            "   ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items()),
            color=INK,
        )
    return figure


def _draw_centred_text(axes: Axes, text: str, colour: str, size: int = 11) -> None:
    axes.text(
        0.5,
        0.5,
        text,
        ha="center",
        va="center",
        color=colour,
        fontsize=size,
        transform=axes.transAxes,
    )


def receptive_fields(stacks: Mapping[str, Sequence[tuple[int, int]]], pixels: int = 15) -> Figure:
    """Stacks of layers in cross-section: the input pixels that one output pixel depends on.

    Args:
        stacks: by name, the (kernel, stride) of each layer, the first layer first.
        pixels: how many input pixels to draw.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(stacks), figsize=(5.2 * len(stacks), 3.8), layout="constrained"
        )
        deepest = max(map(len, stacks.values()))
        for axes, (name, layers) in zip(np.atleast_1d(panels), stacks.items(), strict=True):
            _draw_cross_section(axes, layers, pixels)
            axes.set_title(name)
            axes.set_ylim(-0.6, _LEVEL_HEIGHT * deepest + 0.6)
    return figure


def _draw_cross_section(axes: Axes, layers: Sequence[tuple[int, int]], pixels: int) -> None:
    positions: list[np.ndarray] = [np.arange(pixels, dtype=float)]
    for kernel, stride in layers:
        below = positions[-1]
        count = (len(below) - kernel) // stride + 1
        centres = [below[start * stride : start * stride + kernel].mean() for start in range(count)]
        positions.append(np.array(centres))
    fields = [{len(positions[-1]) // 2}]  # receptive field of each level, input first
    for kernel, stride in reversed(layers):
        fields.insert(0, {index * stride + step for index in fields[0] for step in range(kernel)})
    for level, (xs, field) in enumerate(zip(positions, fields, strict=True)):
        colour = GREEN if level == len(layers) else SKY if level == 0 else ORANGE
        y = _LEVEL_HEIGHT * level
        for index, x in enumerate(xs):
            axes.add_patch(
                Rectangle(
                    (x - 0.4, y - 0.25),
                    0.8,
                    0.5,
                    color=colour if index in field else FAINT,
                    zorder=2,
                )
            )
        label = f"input\nfield: {len(field)}"
        if level:
            kernel, stride = layers[level - 1]
            for index in field:
                for step in range(kernel):
                    axes.plot(
                        (positions[level - 1][index * stride + step], xs[index]),
                        (y - _LEVEL_HEIGHT + 0.25, y - 0.25),
                        color=MUTED,
                        linewidth=0.9,
                        zorder=1,
                    )
            label = f"layer {level}\n{kernel} wide, stride {stride}"
        axes.text(-1.2, y, label, ha="right", va="center")
    axes.set_xlim(-6.2, pixels)
    axes.axis("off")


def kernel_gallery(
    kernels: Kernels,
    groups: Mapping[str, Tensor],
    titles: Mapping[int, str] | None = None,
    columns: int = 10,
) -> Figure:
    """All kernels as small colour images, grey where they are 0, in groups.

    Args:
        kernels: of three channels; each is scaled by its own maximum.
        groups: by name, a mask or the indices of the group's kernels, in display order.
        titles: by index, the text above a kernel; without one, none is written.
        columns: kernels per row.
    """
    titles = titles or {}
    height, places, headings = 0.0, [], []
    for name, index in groups.items():
        group = torch.arange(len(kernels))[index].tolist()
        row_height = 1.3 if titles.keys() & set(group) else 1.1
        if group:
            headings.append((height, f"{name}: {len(group)}"))
            places += [
                (number, k % columns * 1.1, height + 0.75 + (k // columns + 1) * row_height)
                for k, number in enumerate(group)
            ]
            height = places[-1][2] + 0.25
    with course_style():
        figure, axes = plt.subplots(
            figsize=(0.74 * columns, 0.74 * height / 1.1), layout="constrained"
        )
        for top, heading in headings:
            axes.text(0, top + 0.5, heading, fontsize=13, weight="bold", va="center")
        for number, left, bottom in places:
            axes.imshow(to_rgb(kernels[number]), extent=(left, left + 1, bottom, bottom - 1))
            axes.text(left + 0.5, bottom - 1.04, titles.get(number, ""), fontsize=11, ha="center")
        axes.set(xlim=(0, 1.1 * columns), ylim=(height, 0))
        axes.axis("off")
    return figure


def to_rgb(kernel: Float[Tensor, "3 height width"]) -> np.ndarray:
    """A kernel or patch as a colour image: mid grey where it is 0, scaled to its maximum."""
    limit = kernel.abs().max().clamp(min=1e-9)
    return (kernel / limit / 2 + 0.5).permute(1, 2, 0).numpy()


def compare_kernels(
    photo: Grey,
    pairs: Mapping[str, tuple[Kernel, Float[Tensor, "3 side side"]]],
    crop: tuple[int, int, int] = (100, 92, 124),
) -> Figure:
    """For each direction: a hand-made and a learned kernel, each with its response to a photo.

    A learned kernel is drawn as the sum of its three channels: that is what a grey photo meets.

    Args:
        photo: grey, in [0, 1]; a learned kernel of three channels gets it as red, green and blue.
        pairs: by direction, the two kernels.
        crop: top, left and side of the part of the photo, which is shown enlarged above the
            responses to it.
    """
    with course_style():
        figure, table = plt.subplots(
            len(pairs) + 1,
            4,
            figsize=(7.6, 2.15 * (len(pairs) + 1)),
            width_ratios=[1, 1.5, 1, 1.5],
            squeeze=False,
            layout="constrained",
        )
        for axes in table[0]:
            axes.axis("off")
        table[0, 1].imshow(_crop(photo, *crop).numpy(), cmap="gray", vmin=0, vmax=1)
        table[0, 1].set_title("a part of the photo")
        for line, (name, (hand_made, learned)) in zip(table[1:], pairs.items(), strict=True):
            for grid, image, kernel in zip(
                line[::2], line[1::2], (hand_made, learned.sum(0)), strict=True
            ):
                size = 11 if len(kernel) == 3 else 0  # the numbers of a larger one are illegible
                draw_number_grid(grid, kernel.numpy(), signed=True, size=size, digits=1)
                padding = len(kernel) // 2  # so that responses lie where their pixels are
                response = conv2d(photo[None, None], kernel[None, None], padding=padding)[0, 0]
                draw_signed_image(image, _crop(response, *crop))
            line[0].set_ylabel(name, fontsize=13)
        headings = ("Sobel, turned", "Sobel's response", "learned", "its response")
        for axes, heading in zip(table[1], headings, strict=True):
            axes.set_title(heading)
    return figure


def _crop(image: Grey, top: int, left: int, side: int) -> Grey:
    """A square crop of an image, shifted or shrunk where it does not fit."""
    height, width = image.shape
    top, left = min(top, max(height - side, 0)), min(left, max(width - side, 0))
    return image[top : top + side, left : left + side]


def im2col_diagram(
    image: Float[Tensor, "height width"],
    columns: Float[Tensor, "window positions"],
    kernel: Float[Tensor, "side side"],
) -> Figure:
    """An image, its im2col matrix, and kernel times matrix, each window in its own colour.

    Args:
        image: 4x4, of small whole numbers; it is drawn once for each window.
        columns: its im2col matrix for a kernel of 3x3: 9 x 4.
        kernel: 3x3.
    """
    colours = (INK, GREEN, PURPLE, "#B37700")  # red and blue are signs in this lesson
    height, positions = columns.shape
    row = kernel.reshape(1, -1)
    middle = height - 2  # the y coordinate of the row and the product, below the images
    matrix_left = height + 1
    product_left = matrix_left + positions + 1
    cell = 0.75  # the side of a pixel in the small copies of the image
    with course_style():
        figure, axes = plt.subplots(figsize=(9.6, 5.4), layout="constrained")
        axes.text(0, -0.15, "the image, four times: its windows", **_HEADING)
        for index, colour in enumerate(colours):
            down, right = divmod(index, image.shape[1] - kernel.shape[1] + 1)
            left, top = 4.6 * right, 3.3 * down
            _draw_cells(axes, image, left, top, "", cell=cell)
            side = cell * kernel.shape[0]
            _outline_cells(axes, left + cell * right, top + cell * down, side, side, colour)
            _outline_cells(axes, matrix_left + index, 0, 1, height, colour)
            _outline_cells(axes, product_left + index, middle, 1, 1, colour)
        strength = 0.3 * row / row.abs().max().clamp(min=1e-9) + 0.5  # pale: the text is dark
        _draw_cells(axes, row, 0, middle, "the kernel as a row", fills=DIVERGING(strength.numpy()))
        _draw_cells(axes, columns, matrix_left, 0, "the matrix: a window\nin each column")
        title = "row x matrix:\nfour output pixels"
        _draw_cells(axes, row @ columns, product_left, middle, title)
        for x, sign in ((height + 0.5, "x"), (product_left - 0.5, "=")):
            axes.text(x, middle + 0.5, sign, ha="center", va="center", fontsize=18, color=INK)
        axes.set(xlim=(-0.1, product_left + positions + 0.1), ylim=(height + 0.1, -1.2))
        axes.set_aspect("equal")
        axes.axis("off")
    return figure


def _outline_cells(
    axes: Axes, left: float, top: float, width: float, height: float, colour: str
) -> None:
    corner, inset = (left + 0.07, top + 0.07), 0.14
    outline = Rectangle(corner, width - inset, height - inset, fill=False, zorder=3)
    outline.set(edgecolor=colour, linewidth=2.6)
    axes.add_patch(outline)


def _draw_cells(
    axes: Axes,
    values: Float[Tensor, "rows columns"],
    left: float,
    top: float,
    title: str,
    fills: np.ndarray | None = None,
    cell: float = 1,
) -> None:
    """Draw a small matrix as cells, on axes whose y axis points down.

    ``fills`` are the colours of the cells: rows x columns x RGBA.
    """
    for row, column in np.ndindex(*values.shape):
        corner = (left + cell * column, top + cell * row)
        square = Rectangle(corner, cell, cell, facecolor="none", edgecolor=FAINT)
        if fills is not None:
            square.set_facecolor(fills[row, column])
        axes.add_patch(square)
        text = f"{values[row, column]:g}".replace("-", "−")
        centre = (corner[0] + cell / 2, corner[1] + cell / 2)
        axes.text(*centre, text, ha="center", va="center", color=INK, fontsize=13 * cell)
    axes.text(left, top - 0.15, title, **_HEADING)


def activation_and_pooling(stages: Mapping[str, Float[Tensor, "height width"]]) -> Figure:
    """A photo and the feature maps after each of several steps, with their sizes.

    Args:
        stages: by the name of the step; the first is a photo in [0, 1], the others are signed.
    """
    with course_style():
        figure, panels = plt.subplots(
            1, len(stages), figsize=(3.1 * len(stages), 3.7), layout="constrained"
        )
        for index, (axes, (name, values)) in enumerate(zip(panels, stages.items(), strict=True)):
            if index == 0:
                axes.imshow(values.numpy(), cmap="gray", vmin=0, vmax=1)
                axes.axis("off")
            else:
                draw_signed_image(axes, values)
            height, width = values.shape
            axes.set_title(f"{name}\n{height} x {width}")
    return figure


def parameter_counts(layers: Mapping[str, nn.Module]) -> Figure:
    """The number of parameters of each layer, counted on the layer, on a logarithmic scale.

    Blue squares are convolutions, orange dots fully connected layers.

    Args:
        layers: by name; build large ones on torch's ``meta`` device, where they take no memory.
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
        for row, (count, colour) in enumerate(zip(counts, colours, strict=True)):
            axes.axhline(row, color=FAINT, linewidth=1, zorder=1)
            axes.plot(count, row, "s" if colour == ROLES["convolution"] else "o", color=colour)
            text = f"{count:,}" if count < 1e9 else f"{count / 1e9:.1f} billion"
            axes.annotate(text, (count, row), (9, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(counts)), list(layers))
        axes.set_xscale("log")
        axes.set_xlim(1, max(counts) * 100)
        axes.invert_yaxis()
        axes.set_xlabel("parameters (logarithmic scale)")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
    return figure
