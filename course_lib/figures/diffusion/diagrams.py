"""The diagrams of lesson 6: the notes' picture of latent diffusion, with what really went along
every arrow.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from course_lib.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    SKY,
    course_style,
)

Picture = Float[Tensor, "3 height width"]
Latent = Float[Tensor, "channels rows columns"]
# The same part always has the same colour; what it is called stands in it as well.
COLOURS = {"text encoder": PURPLE, "U-Net": BLUE, "decoder": GREEN, "sampler and the rest": ORANGE}

_PITCH = 3.3  # from one picture of the diagram to the next; a picture is 1.9 wide


def mosaic(latent: Latent) -> Float[np.ndarray, "tall wide"]:
    """The channels of a latent beside and below each other, two in a row, in [0, 1]: 0 becomes mid
    grey.

    Raises:
        ValueError: if their number is odd.
    """
    channels, height, width = latent.shape
    if channels % 2:
        raise ValueError(f"{channels} channels can't stand two in a row: give an even number.")
    values = (0.5 + latent / (6 * float(latent.std().clamp(min=1e-6)))).clamp(0, 1).numpy()
    sheet = np.ones((channels // 2 * (height + 1) - 1, 2 * width + 1))
    for index, one in enumerate(values):
        top, left = index // 2 * (height + 1), index % 2 * (width + 1)
        sheet[top : top + height, left : left + width] = one
    return sheet


def diagram(
    image: Picture,
    clean: Latent,
    noisy: Latent,
    denoised: Latent,
    back: Picture,
    times: Sequence[int],
) -> Figure:
    """The notes' diagram: five pictures, and the four arrows between them.

    Args:
        image: what was encoded, in [0, 1].
        clean: its latent.
        noisy: the latent with noise.
        denoised: what came out of the loop.
        back: the picture decoded from that, in [0, 1].
        times: those at which the denoiser was asked.
    """
    shape = " x ".join(map(str, clean.shape))
    pixels = " x ".join(map(str, image.shape))
    shown = (
        ("picture", pixels, image, 0),
        ("latent", shape, clean, 1),
        (f"with noise, time {times[0]}", shape, noisy, 2),
        ("without", shape, denoised, 3),
        ("picture", pixels, back, 4),
    )
    words = ("1 encode", "2 add\nnoise", f"3 denoise\nU-Net,\n{len(times)} times", "4 decode")
    with course_style():
        figure, axes = plt.subplots(figsize=(12.5, 3.5))
        axes.set(xlim=(-0.1, 15.2), ylim=(-1.15, 2.9))
        axes.set_aspect("equal")
        axes.axis("off")
        axes.add_patch(_box(3.12, -0.95, 8.86, 3.7, FAINT, 0.5))
        axes.text(7.55, -0.72, "latent space", ha="center", color=MUTED)
        for title, size, content, place in shown:
            left = _PITCH * place
            _tile(axes, content, left)
            axes.text(
                left + 0.95, 2.05, title, ha="center", va="bottom", weight="bold", fontsize=10.5
            )
            axes.text(left + 0.95, -0.12, size, ha="center", va="top", color=MUTED, fontsize=9.5)
        for place, word in enumerate(words):
            middle = _PITCH * place + 2.6
            _arrow(axes, (middle - 0.55, 0.62), (middle + 0.55, 0.62))
            axes.text(middle, 0.8, word, ha="center", va="bottom", fontsize=9.5, linespacing=1.15)
        again = _PITCH * 2 + 2.6  # beside the third arrow
        loop = FancyArrowPatch(
            (again + 0.35, 0.45), (again - 0.35, 0.45), connectionstyle="arc3,rad=-1.2",
            arrowstyle="-|>", mutation_scale=13, color=BLUE, linewidth=2,
        )  # fmt: skip
        axes.add_patch(loop)
    return figure


def loop(seconds: Mapping[str, Sequence[float]], total: float) -> Figure:
    """Which part of a drawing is called how often, and a bar of the time that each takes.

    Args:
        seconds: of every call, by part: those of
            :func:`course_lib.profiling.denoiser_cost.clocked`.
        total: seconds of the whole drawing.

    Raises:
        ValueError: if the parts take longer than the whole.
    """
    taken = {name: sum(calls) for name, calls in seconds.items()}
    rest = total - sum(taken.values())
    if rest < 0:
        raise ValueError(
            f"The parts take {total - rest:.2f} s of {total:.2f} s: measure the whole around them."
        )
    calls = {name: f"{name}\n{len(times)} ×" for name, times in seconds.items()}
    with course_style():
        figure, (top, bottom) = plt.subplots(2, 1, figsize=(11, 5.2), height_ratios=[3, 1.2])
        top.set(xlim=(0, 11), ylim=(-0.35, 3.1))
        top.axis("off")
        top.add_patch(_box(4.15, -0.2, 3.0, 3.15, FAINT, 0.5))
        top.text(5.65, -0.02, "in every step", ha="center", color=MUTED)
        places = {"text encoder": (1.9, 1.95), "U-Net": (4.5, 1.95), "decoder": (7.6, 0.35)}
        for name, (left, low) in places.items():
            _part(top, left, low, calls[name], COLOURS[name])
        _part(top, 4.5, 0.35, "sampler", COLOURS["sampler and the rest"])
        top.text(0.1, 2.35, "sentence", va="center")
        top.text(3.2, 0.75, "noise", va="center")
        top.text(9.9, 0.75, "picture", va="center", weight="bold")
        for begin, end in (((1.15, 2.35), (1.85, 2.35)), ((3.5, 2.35), (4.45, 2.35)), ((3.85, 0.75), (4.45, 0.75)),
                           ((6.1, 0.75), (7.55, 0.75)), ((9.2, 0.75), (9.8, 0.75)), ((5.6, 1.2), (5.6, 1.9)),
                           ((5.0, 1.9), (5.0, 1.2))):  # fmt: skip
            _arrow(top, begin, end)
        top.text(4.9, 1.55, "prediction", ha="right", va="center", fontsize=9, color=MUTED)
        top.text(5.7, 1.55, "noisy latent, time", ha="left", va="center", fontsize=9, color=MUTED)
        left = 0.0
        for name, value in {**taken, "sampler and the rest": rest}.items():
            bottom.barh(0, value, left=left, color=COLOURS[name], edgecolor=PAPER, linewidth=1.5,
                        label=f"{name} {value / total:.1%}")  # fmt: skip
            left += value
        bottom.set(yticks=[], xlabel="seconds", xlim=(0, total))
        bottom.spines["left"].set_visible(False)
        bottom.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        figure.tight_layout()
    return figure


def _tile(axes: Axes, content: Tensor, left: float) -> None:
    """A picture in colours, or the channels of a latent in grey, in a square of 1.9."""
    extent = (left, left + 1.9, 0.0, 1.9)
    if len(content) == 3:
        axes.imshow(content.permute(1, 2, 0).clamp(0, 1).numpy(), extent=extent, zorder=3)
    else:
        axes.imshow(mosaic(content), cmap="gray", vmin=0, vmax=1, extent=extent, zorder=3)


def _part(axes: Axes, left: float, low: float, words: str, colour: str) -> None:
    axes.add_patch(_box(left, low, 1.6, 0.8, colour, 0.25, edge=colour))
    axes.text(left + 0.8, low + 0.4, words, ha="center", va="center", fontsize=10.5, color=INK)


def _box(
    left: float, low: float, wide: float, tall: float, colour: str, alpha: float, edge: str = SKY
) -> FancyBboxPatch:
    face = (*plt.matplotlib.colors.to_rgb(colour), alpha)
    return FancyBboxPatch(
        (left, low), wide, tall, "round,pad=0,rounding_size=0.15", facecolor=face, edgecolor=edge
    )


def _arrow(axes: Axes, begin: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(begin, end, arrowstyle="-|>", mutation_scale=15, color=INK, linewidth=1.6,
                                   shrinkA=0, shrinkB=0, zorder=4))  # fmt: skip
