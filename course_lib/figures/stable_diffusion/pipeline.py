"""Lesson 7's figures of the parts: the pipeline, tokens, vectors, times, guidance and sizes, drawn
from the models.
"""

import re
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor, nn

from course_lib.diffusion.guidance import Measured
from course_lib.figures.convolution.kernels import SIGNED
from course_lib.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    course_style,
)
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.tokenizer import Tokenizer

_LINES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (PURPLE, "^", ":"), (INK, "D", "-."))
_NAMES = {"text_encoder": "text encoder", "unet": "U-Net", "vae": "autoencoder"}
TINTS = ("#CDE7F7", "#FBE6BC", "#CDEBDF", "#F0D9E6")  # of tokens, in turns


@torch.no_grad()
def parts(model: StableDiffusion, prompt: str) -> Figure:
    """The way from a prompt to a picture: each part with its parameters, each arrow with the shape
    that it carries.
    """
    like = model.unet.conv_in.weight
    ids, _ = model.tokenizer.encode(prompt)
    context = model.text_encoder(ids.to(like.device))
    side = model.unet.config.sample_size
    latent = torch.zeros(1, model.unet.config.in_channels, side, side).to(like)
    said = model.unet(latent, 0, context)
    picture = model.vae.decode(latent)
    with course_style():
        figure, axes = plt.subplots(figsize=(11.5, 4.1), layout="constrained")
        axes.set(xlim=(0, 11.5), ylim=(0, 4.1), aspect="equal")
        axes.axis("off")
        axes.text(0.1, 3.75, f"“{prompt}”", fontsize=11, va="center")
        _arrow(axes, (0.95, 3.55), (0.95, 2.98))
        _box(axes, 0.95, 2.5, "tokenizer", f"{len(model.tokenizer.tokens):,} pieces", FAINT)
        _arrow(axes, (1.75, 2.5), (2.75, 2.5), _shape(ids))
        _box(axes, 3.55, 2.5, "text encoder", _count(model.text_encoder), "#FBE6BC")
        _arrow(axes, (4.35, 2.5), (5.55, 2.5), _shape(context))
        _box(axes, 6.45, 2.5, "U-Net", _count(model.unet), "#CDE7F7", width=1.8, height=1.3)
        _box(axes, 6.45, 0.75, "sampler", "no parameters", FAINT, width=1.8)
        _arrow(axes, (6.95, 1.85), (6.95, 1.23), _shape(said) + "\nwhat is in it", "left")
        _arrow(axes, (5.95, 1.23), (5.95, 1.85), _shape(latent) + "\nthe next latent, t", "right")
        _arrow(axes, (4.35, 0.75), (5.55, 0.75), _shape(latent))
        axes.text(4.25, 0.75, "noise\nof a seed", ha="right", va="center")
        _arrow(axes, (7.35, 0.75), (8.55, 0.75), _shape(latent))
        axes.text(
            7.95, 0.42, "after the\nlast step", ha="center", va="top", fontsize=10, color=MUTED
        )
        _box(
            axes,
            9.35,
            0.75,
            "decoder",
            _count(model.vae.decoder, model.vae.post_quant_conv),
            "#CDEBDF",
        )
        _arrow(axes, (9.35, 1.23), (9.35, 2.1), _shape(picture), "left")
        axes.text(
            9.35, 2.35, "the picture", ha="center", va="center", fontsize=12, fontweight="bold"
        )
    return figure


def _box(
    axes: Axes,
    x: float,
    y: float,
    name: str,
    words: str,
    colour: str,
    width: float = 1.6,
    height: float = 0.96,
) -> None:
    corner = (x - width / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(
        FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=colour, edgecolor=MUTED)
    )
    axes.text(x, y + 0.15, name, ha="center", va="center", fontsize=12, fontweight="bold")
    axes.text(x, y - 0.2, words, ha="center", va="center", fontsize=10)


def _arrow(
    axes: Axes,
    begin: tuple[float, float],
    end: tuple[float, float],
    words: str = "",
    side: str = "center",
) -> None:
    """An arrow; its words stand above it, or beside it if it is upright."""
    axes.annotate("", end, begin, arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.6})
    x, y = (begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2
    if side == "center":
        axes.text(x, y + 0.1, words, ha="center", va="bottom", fontsize=10)
    else:
        axes.text(
            x + (0.12 if side == "left" else -0.12), y, words, ha=side, va="center", fontsize=10
        )


def _shape(tensor: Tensor) -> str:
    """Without the batch."""
    return " × ".join(str(side) for side in tensor.shape[1:])


def _count(*models: nn.Module) -> str:
    return f"{sum(weights.numel() for model in models for weights in model.parameters()) / 1e6:.1f} million"


def tokens(tokenizer: Tokenizer, prompts: Sequence[str]) -> Figure:
    """Each prompt on a line, and its tokens as boxes: the text, with a dot for a word's end, and
    the number.
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(10, 0.95 * len(prompts) + 0.1), layout="constrained")
        for line, prompt in enumerate(prompts):
            told = (
                prompt
                if prompt.isascii()
                else "U+" + " U+".join(f"{ord(letter):X}" for letter in prompt)
            )
            axes.text(0, -line, f"“{told}”", ha="left", va="center", fontsize=11)
            left = 3.6
            ids = tokenizer.tokenize(prompt)
            for index, (piece, number) in enumerate(zip(tokenizer.pieces(ids), ids, strict=True)):
                text = re.sub("\ufffd+", "bytes", piece).replace(" ", "·")
                width = 0.13 * max(len(text), len(str(number))) + 0.14
                spot, colour = (left, -line - 0.33), TINTS[index % len(TINTS)]
                axes.add_patch(
                    Rectangle(spot, width, 0.66, facecolor=colour, edgecolor=MUTED, linewidth=0.8)
                )
                axes.text(
                    left + width / 2, -line + 0.12, text, ha="center", va="center", fontsize=11
                )
                axes.text(
                    left + width / 2,
                    -line - 0.19,
                    number,
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=MUTED,
                )
                left += width + 0.06
        axes.set(xlim=(-0.1, 10), ylim=(0.5 - len(prompts), 0.5))
        axes.axis("off")
    return figure


def likeness(words: Sequence[str], alike: Float[Tensor, "words words"], last: int = 10) -> Figure:
    """The cosines between words' vectors as a coloured table, with a frame around the block of the
    ``last`` words.
    """
    values, count = alike.numpy().copy(), len(words)
    np.fill_diagonal(values, np.nan)
    with course_style():
        figure, axes = plt.subplots(figsize=(8.2, 7.2), layout="constrained")
        top = max(float(np.nanmax(np.abs(values))), 1e-6)
        drawn = axes.imshow(values, cmap=SIGNED, vmin=-top, vmax=top)
        axes.set_facecolor(FAINT)
        axes.set_xticks(range(count), words, rotation=90, fontsize=9, color=INK)
        axes.set_yticks(range(count), words, fontsize=9, color=INK)
        axes.tick_params(length=0)
        spot = (count - last - 0.5,) * 2
        axes.add_patch(Rectangle(spot, last, last, fill=False, edgecolor=INK, linewidth=2))
        figure.colorbar(drawn, ax=axes, shrink=0.7, pad=0.02).set_label("cosine")
    return figure


def clock_faces(
    vectors: Float[Tensor, "times channels"], marked: Sequence[int] = (100, 500, 900)
) -> Figure:
    """The vectors of all times as a table, and the cosines of some of them with all the others."""
    unit = nn.functional.normalize(vectors, dim=1)
    with course_style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(10.5, 4.2), width_ratios=[1, 1.1], layout="constrained"
        )
        drawn = left.imshow(vectors.numpy(), aspect="auto", cmap=SIGNED, vmin=-1.3, vmax=1.3)
        left.set(
            xlabel=f"channel (cosines, then sines: {vectors.shape[1]})",
            ylabel="time t",
            title="the vectors",
        )
        figure.colorbar(drawn, ax=left, ticks=[-1, 0, 1], pad=0.02)
        for time, (colour, _, style) in zip(marked, _LINES, strict=False):
            right.plot(
                (unit @ unit[time]).numpy(), color=colour, linestyle=style, label=f"t = {time}"
            )
            right.plot(time, 1, "o", color=colour)
        right.set(
            xlabel="time t", ylabel="cosine", title="how alike to a chosen one", ylim=(None, 1.28)
        )
        right.grid(axis="y", color=FAINT)
        right.legend(loc="upper center", ncols=len(marked))
    return figure


def told_and_true(told: Sequence[int], errors: Mapping[int, Sequence[float]]) -> Figure:
    """The error of the denoiser's answer against the time that it was told, a line for each true
    time.

    Args:
        told: the times.
        errors: by the true time, a mean squared error for each of ``told``.
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
        for (true, values), (colour, shape, style) in zip(errors.items(), _LINES, strict=False):
            axes.plot(
                told,
                values,
                color=colour,
                linestyle=style,
                marker=shape,
                markersize=4,
                label=f"true time {true}",
            )
            if true in told:
                at = values[list(told).index(true)]
                axes.plot(
                    true,
                    at,
                    shape,
                    color=colour,
                    markersize=13,
                    markeredgecolor=INK,
                    markeredgewidth=1.6,
                )
        top = 1.15 * max(max(values) for values in errors.values())
        axes.set(xlabel="the time that it was told", ylabel="mean squared error", ylim=(0, top))
        axes.grid(axis="y", color=FAINT)
        axes.legend()
    return figure


def prices(measured: Sequence[Measured]) -> Figure:
    """Against guidance: on the left the shares that the judge finds right, on the right variety and
    spread.
    """
    scales = [one.guidance for one in measured]
    gains = {"object": "the right object", "colour": "the right colour", "both": "both"}
    costs = {
        "variety": "variety: distance between\npictures of a prompt",
        "spread": "spread of the latents",
    }
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4), layout="constrained")
        for (key, name), (colour, shape, style) in zip(gains.items(), _LINES, strict=False):
            left.plot(
                scales,
                [getattr(one, key) for one in measured],
                style,
                marker=shape,
                color=colour,
                label=name,
            )
        left.set(title="gain", xlabel="guidance", ylabel="share of the pictures", ylim=(0, 1.05))
        left.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        for (key, name), (colour, shape, style) in zip(
            costs.items(), ((RED, "v", "-"), (SKY, "D", "--")), strict=True
        ):
            values = [getattr(one, key) for one in measured]
            base = values[min(range(len(scales)), key=lambda index: abs(scales[index] - 1))]
            relative = [value / max(base, 1e-9) for value in values]
            right.plot(scales, relative, style, marker=shape, color=colour, label=name)
        right.axhline(1, color=MUTED, linewidth=0.8)
        right.set(title="price", xlabel="guidance", ylabel="relative to guidance 1", ylim=(0, None))
        for axes in (left, right):
            axes.grid(axis="y", color=FAINT)
            axes.legend()
    return figure


def sizes(counts: Mapping[str, tuple[int, int]]) -> Figure:
    """Parameters of each part, here and at full size, on a logarithmic scale."""
    with course_style():
        figure, axes = plt.subplots(figsize=(9, 0.95 * len(counts) + 1.1), layout="constrained")
        for index, pair in enumerate(counts.values()):
            for offset, count, colour in zip((-0.19, 0.19), pair, (GREEN, BLUE), strict=True):
                axes.barh(index + offset, count, 0.34, color=colour)
                axes.text(
                    count * 1.15,
                    index + offset,
                    f"{count / 1e6:,.1f} million",
                    va="center",
                    fontsize=10,
                )
        axes.set_yticks(range(len(counts)), [_NAMES.get(name, name) for name in counts])
        axes.invert_yaxis()
        axes.set(xscale="log", xlim=(1e5, 2e10), xlabel="parameters")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        keys = [Rectangle((0, 0), 1, 1, color=colour) for colour in (GREEN, BLUE)]
        axes.legend(
            keys, ["the course's", "Stable Diffusion 1.x"], loc="lower right", facecolor=PAPER
        )
    return figure
