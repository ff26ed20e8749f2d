"""The figure of lesson 4 about the autoencoder: the tensor shapes from image to latent and back."""

import copy
from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import nn

from course_lib.compression.shortcut_autoencoder import Autoencoder, ShortcutAutoencoder
from course_lib.figures.hooks import record_outputs
from course_lib.figures.style import FAINT, INK, MUTED, PURPLE, ROLES, course_style

# In units of about an inch.
_STEP = 1.0  # between stages
_IMAGE_HEIGHT = 2.3
_ROW_HEIGHT = 3.75
_LATENT_COLOUR = PURPLE


class Stage(NamedTuple):
    """A module of the autoencoder, by its name in the code, and the shape of its output."""

    name: str
    shape: tuple[int, ...]  # channels, height, width


@torch.no_grad()
def trace_stages(model: Autoencoder, size: int = 512) -> list[Stage]:
    """Record the output shapes of the model's modules for one image, in execution order.

    A copy of the model runs on the device ``meta``, where tensors have shapes but no values, so the
    forward pass takes almost no time and memory.

    Args:
        model: on any device; it is left unchanged.
        size: side of the image in pixels, a multiple of ``model.config.factor``.
    """
    image = Stage("image", (model.config.in_channels, size, size))
    meta_model = copy.deepcopy(model).to("meta")
    with record_outputs(_traced_modules(meta_model)) as outputs:
        mean = meta_model.encode(torch.zeros(1, *image.shape, device="meta")).mean
        outputs.append(("latent", mean))
        meta_model.decode(mean)
    return [image, *(Stage(name, tuple(output.shape[1:])) for name, output in outputs)]


def _traced_modules(model: Autoencoder) -> list[tuple[str, nn.Module]]:
    """The modules to draw.

    Of Stable Diffusion's autoencoder: conv_in, one block per resolution, both middle blocks,
    quant_conv and conv_out. Of lesson 4's: the layers that change the shape, without the linear
    shortcut and the encoder's last layer, whose sum is the latent.
    """
    if isinstance(model, ShortcutAutoencoder):
        networks = {"encoder": model.encoder[:-1], "decoder": model.decoder}
        kinds = (nn.Conv2d, nn.PixelShuffle, nn.PixelUnshuffle)
        return [
            (f"{part}.{name}", layer)
            for part, network in networks.items()
            for name, layer in network.named_children()
            if isinstance(layer, kinds)
        ]
    down, up = model.encoder.down_blocks, model.decoder.up_blocks
    return [
        ("conv_in", model.encoder.conv_in),
        *((f"down_blocks.{index}", block) for index, block in enumerate(down)),
        ("mid_block", model.encoder.mid_block),
        ("quant_conv", model.quant_conv),
        ("mid_block", model.decoder.mid_block),
        *((f"up_blocks.{index}", block) for index, block in enumerate(up)),
        ("conv_out", model.decoder.conv_out),
    ]


def autoencoder_shapes(models: Mapping[str, Autoencoder], size: int = 512) -> Figure:
    """One row per model: the shapes from image to latent and back, recorded from a forward pass.

    Args:
        models: by name.
        size: side of the image in pixels.

    Raises:
        ValueError: if there is no model.
    """
    if not models:
        raise ValueError("There is no model to draw: give at least one.")
    traces = {name: trace_stages(model, size) for name, model in models.items()}
    width = max(map(len, traces.values())) * _STEP
    with course_style():
        figure, axes = plt.subplots(figsize=(12.5, 12.5 * _ROW_HEIGHT * len(traces) / width))
        figure.subplots_adjust(0, 0, 1, 1)
        axes.set(xlim=(-0.55 * _STEP, width - 0.45 * _STEP), ylim=(_ROW_HEIGHT * len(traces), 0))
        axes.axis("off")
        for row, (name, stages) in enumerate(traces.items()):
            parameters = sum(parameter.numel() for parameter in models[name].parameters())
            axes.text(
                -0.5 * _STEP,
                _ROW_HEIGHT * row + 0.22,
                f"{name}: {parameters:,} parameters",
                weight="bold",
                fontsize=12,
                va="center",
            )
            _draw_row(axes, stages, _ROW_HEIGHT * row + 0.55 + _IMAGE_HEIGHT / 2, size)
    return figure


def _draw_row(axes: Axes, stages: list[Stage], middle: float, size: int) -> None:
    latent = next(index for index, stage in enumerate(stages) if stage.name == "latent")
    last = len(stages) - 1
    for start, end, colour in ((0, latent, ROLES["input"]), (latent, last, ROLES["output"])):
        halves = [
            (index * _STEP, _height(stages[index].shape, size) / 2 + 0.12)
            for index in range(start, end + 1)
        ]
        upper = [(x, middle - half) for x, half in halves]
        lower = [(x, middle + half) for x, half in reversed(halves)]
        axes.add_patch(Polygon(upper + lower, color=colour, alpha=0.12, linewidth=0))
    colours = {0: ROLES["input"], latent: _LATENT_COLOUR, last: ROLES["output"]}
    for index, (name, shape) in enumerate(stages):
        x = index * _STEP
        height = _height(shape, size)
        width = min(0.8, 0.12 + 0.03 * shape[0] ** 0.5)  # more channels, a wider box
        axes.add_patch(
            Rectangle(
                (x - width / 2, middle - height / 2),
                width,
                height,
                facecolor=colours.get(index, FAINT),
                edgecolor=INK,
                linewidth=1,
            )
        )
        # At alternating heights, or neighbouring labels would touch.
        y = middle + _IMAGE_HEIGHT / 2 + (0.16 if index % 2 else 0.58)
        axes.plot([x, x], [middle + height / 2, y - 0.1], color=FAINT, linewidth=1, zorder=0)
        text = "×".join(map(str, shape))
        weight = "bold" if index in colours else "normal"
        axes.text(x, y, text, ha="center", va="center", fontsize=10.5, weight=weight)
        axes.text(x, y + 0.18, name, ha="center", va="center", fontsize=9.5, color=MUTED)


def _height(shape: tuple[int, ...], size: int) -> float:
    # The square root keeps low-resolution feature maps visible.
    return _IMAGE_HEIGHT * (shape[-2] / size) ** 0.5
