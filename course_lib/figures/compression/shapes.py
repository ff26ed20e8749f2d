"""Lesson 4's figure of the autoencoder: the shapes that a picture takes on its way, written down by
the running one.
"""

import copy
from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import nn

from course_lib.figures.style import FAINT, INK, MUTED, PURPLE, ROLES, course_style
from course_lib.sd.vae import AutoencoderKL

# between stages, of the picture, between models; in units of an inch or so
_STEP, _TALL, _ROW = (
    1.0,
    2.3,
    3.75,
)
_LATENT = PURPLE


class Stage(NamedTuple):
    """A part of the autoencoder, under the name that it has in the code, and the shape of what it
    returns.
    """

    name: str
    shape: tuple[int, ...]  # channels, height, width


@torch.no_grad()
def trace(model: AutoencoderKL, size: int = 512) -> list[Stage]:
    """Send an empty picture through a model, and write down what its parts return, in the order in
    which they do.

    It is done on a copy on the device ``meta``, where tensors have shapes but no numbers: as
    nothing is computed, even the largest model and picture take no time and no memory.

    Args:
        model: on any device; it is left as it is.
        size: side of the picture in pixels, a multiple of ``model.config.factor``.
    """
    seen = [Stage("image", (model.config.in_channels, size, size))]

    def note(name: str, part: nn.Module) -> None:
        part.register_forward_hook(
            lambda _, __, output: seen.append(Stage(name, tuple(output.shape[1:])))
        )

    copied = copy.deepcopy(model).to("meta")
    for name, part in _parts(copied):
        note(name, part)
    mean = copied.encode(torch.zeros(1, *seen[0].shape, device="meta")).mean
    seen.append(Stage("latent", tuple(mean.shape[1:])))
    copied.decode(mean)
    return seen


def _parts(model: AutoencoderKL) -> list[tuple[str, nn.Module]]:
    """What is drawn: each resolution once, and the ends. The coarse blocks in the middle are told
    as one.
    """
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


def shapes(models: Mapping[str, AutoencoderKL], size: int = 512) -> Figure:
    """A row for each model: the way from the picture to the latent and back, with the shapes of the
    running model.

    Args:
        models: by name.
        size: side of the picture in pixels.

    Raises:
        ValueError: if there is no model.
    """
    if not models:
        raise ValueError("There is no model to draw: give at least one.")
    traces = {name: trace(model, size) for name, model in models.items()}
    width = max(map(len, traces.values())) * _STEP
    with course_style():
        figure, axes = plt.subplots(figsize=(12.5, 12.5 * _ROW * len(traces) / width))
        figure.subplots_adjust(0, 0, 1, 1)
        axes.set(xlim=(-0.55 * _STEP, width - 0.45 * _STEP), ylim=(_ROW * len(traces), 0))
        axes.axis("off")
        for row, (name, stages) in enumerate(traces.items()):
            parameters = sum(part.numel() for part in models[name].parameters())
            heading = f"{name}: {parameters:,} parameters"
            axes.text(
                -0.5 * _STEP, _ROW * row + 0.22, heading, weight="bold", fontsize=12, va="center"
            )
            _row(axes, stages, _ROW * row + 0.55 + _TALL / 2, size)
    return figure


def _row(axes: Axes, stages: list[Stage], middle: float, size: int) -> None:
    latent = next(index for index, stage in enumerate(stages) if stage.name == "latent")
    ends = (stages[0].shape, stages[latent].shape, stages[-1].shape)
    for start, end, colour in (
        (0, latent, ROLES["input"]),
        (latent, len(stages) - 1, ROLES["output"]),
    ):
        tall = [_height(stages[index].shape, size) / 2 + 0.12 for index in (start, end)]
        corners = [(start, -tall[0]), (end, -tall[1]), (end, tall[1]), (start, tall[0])]
        axes.add_patch(
            Polygon(
                [(x * _STEP, middle + y) for x, y in corners], color=colour, alpha=0.12, linewidth=0
            )
        )
    for index, (name, shape) in enumerate(stages):
        x = index * _STEP
        ends_here = index in (0, latent, len(stages) - 1)
        colour = {0: ROLES["input"], latent: _LATENT, len(stages) - 1: ROLES["output"]}.get(
            index, FAINT
        )
        tall = _height(shape, size)
        wide = min(0.8, 0.12 + 0.03 * shape[0] ** 0.5)  # more channels, a thicker box
        corner = (x - wide / 2, middle - tall / 2)
        axes.add_patch(Rectangle(corner, wide, tall, facecolor=colour, edgecolor=INK, linewidth=1))
        # in turns higher and lower, or they would touch
        low = middle + _TALL / 2 + (0.16 if index % 2 else 0.52)
        axes.plot([x, x], [middle + tall / 2, low - 0.1], color=FAINT, linewidth=1, zorder=0)
        words = "×".join(map(str, shape))
        weight = "bold" if ends_here and shape in ends else "normal"
        axes.text(x, low, words, ha="center", va="center", fontsize=9.5, weight=weight)
        axes.text(x, low + 0.16, name, ha="center", va="center", fontsize=8, color=MUTED)


def _height(shape: tuple[int, ...], size: int) -> float:
    return _TALL * (shape[-2] / size) ** 0.5  # the root, so that the coarse ones can be seen
