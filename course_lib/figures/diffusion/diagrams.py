"""The diagrams of lesson 6: latent diffusion, drawn with the tensors of a real run, and v."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
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
    RED,
    SKY,
    course_style,
)

Image = Float[Tensor, "3 height width"]
Latent = Float[Tensor, "channels rows columns"]
# Each component has the same colour in all diagrams, and is labelled with its name too.
COLOURS = {"text encoder": PURPLE, "U-Net": BLUE, "decoder": GREEN, "sampler and the rest": ORANGE}

_SIDE = 1.9  # of an image in the diagram
_SPACING = 3.3  # from the left edge of an image to the next
_ON_AN_ARROW = {
    "ha": "center",
    "va": "center",
    "fontsize": 10,
    "zorder": 5,
    "bbox": {"boxstyle": "round,pad=0.15", "facecolor": PAPER, "edgecolor": "none"},
}


def tile_channels(latent: Latent) -> Float[np.ndarray, "height width"]:
    """The channels of a latent in a grid of two columns, scaled from ±3 std to [0, 1] and clipped.

    Raises:
        ValueError: if the number of channels is odd.
    """
    channels, height, width = latent.shape
    if channels % 2:
        raise ValueError(f"{channels} channels don't fill two columns: give an even number.")
    values = (0.5 + latent / (6 * float(latent.std().clamp(min=1e-6)))).clamp(0, 1).numpy()
    canvas = np.ones((channels // 2 * (height + 1) - 1, 2 * width + 1))
    for index, channel in enumerate(values):
        top, left = index // 2 * (height + 1), index % 2 * (width + 1)
        canvas[top : top + height, left : left + width] = channel
    return canvas


def latent_diffusion_diagram(
    image: Image,
    clean: Latent,
    noisy: Latent,
    denoised: Latent,
    decoded: Image,
    times: Sequence[int],
) -> Figure:
    """The diagram of latent diffusion: five tensors as images, and the four steps between them.

    Args:
        image: the input, in [0, 1].
        clean: its latent.
        noisy: the latent with noise.
        denoised: the latent after the sampling loop.
        decoded: the image decoded from it, in [0, 1].
        times: the timesteps at which the denoiser was called.
    """
    latent_shape = " x ".join(map(str, clean.shape))
    image_shape = " x ".join(map(str, image.shape))
    tensors = (
        ("image", image_shape, image),
        ("latent", latent_shape, clean),
        (f"noisy, t = {times[0]}", latent_shape, noisy),
        ("denoised", latent_shape, denoised),
        ("image", image_shape, decoded),
    )
    steps = ("1 encode", "2 add\nnoise", f"3 denoise\nU-Net,\n{len(times)} times", "4 decode")
    with course_style():
        figure, axes = plt.subplots(figsize=(12.5, 3.5))
        axes.set(xlim=(-0.1, 15.2), ylim=(-1.15, 2.9))
        axes.set_aspect("equal")
        axes.axis("off")
        axes.add_patch(_box(3.12, -0.95, 8.86, 3.7, FAINT, 0.5))
        axes.text(7.55, -0.72, "latent space", ha="center", color=MUTED)
        for index, (title, shape, tensor) in enumerate(tensors):
            left = _SPACING * index
            middle = left + _SIDE / 2
            _draw_tensor(axes, tensor, left)
            axes.text(middle, 2.05, title, ha="center", va="bottom", weight="bold", fontsize=10.5)
            axes.text(middle, -0.12, shape, ha="center", va="top", color=MUTED, fontsize=9.5)
        for index, step in enumerate(steps):
            # the outer steps keep away from the border of the latent space
            middle = _SPACING * index + 2.6 + {0: -0.1, 3: 0.1}.get(index, 0)
            _draw_arrow(axes, (middle - 0.55, 0.62), (middle + 0.55, 0.62))
            axes.text(middle, 0.8, step, ha="center", va="bottom", fontsize=9.5, linespacing=1.15)
        middle = _SPACING * 2 + 2.6  # of the third arrow
        axes.add_patch(
            FancyArrowPatch(
                (middle + 0.35, 0.45),
                (middle - 0.35, 0.45),
                connectionstyle="arc3,rad=-1.2",
                arrowstyle="-|>",
                mutation_scale=13,
                color=BLUE,
                linewidth=2,
            )
        )
    return figure


def velocity_circle(alpha_bars: Mapping[int, float]) -> Figure:
    """Noisy images on a quarter circle, between the clean image and the noise, and v as a tangent.

    Along the horizontal axis lies the clean image, along the vertical one the noise: the two are
    nearly perpendicular in many dimensions. Salimans and Ho (2022), arXiv:2202.00512, appendix D.

    Args:
        alpha_bars: by timestep: its alpha bar, in [0, 1].

    Raises:
        ValueError: if there is no timestep, or an alpha bar is outside [0, 1].
    """
    if not alpha_bars or any(not 0 <= bar <= 1 for bar in alpha_bars.values()):
        raise ValueError("Give at least one timestep, with an alpha bar from 0 to 1.")
    angles = np.linspace(0, np.pi / 2, 100)
    with course_style():
        figure, axes = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
        axes.set(xlim=(-0.5, 1.75), ylim=(-0.08, 1.4), aspect="equal")
        axes.axis("off")
        axes.plot(np.cos(angles), np.sin(angles), color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for end, label, alignment in (
            ((1.3, 0.0), "clean image", {"ha": "left", "va": "center"}),
            ((0.0, 1.3), "noise", {"ha": "center", "va": "bottom"}),
        ):
            _draw_arrow(axes, (0, 0), end)
            axes.text(end[0] * 1.02, end[1] * 1.02, label, **alignment)
        for t, bar in alpha_bars.items():
            alpha, sigma = bar**0.5, (1 - bar) ** 0.5
            place, tip = (alpha, sigma), (alpha - 0.42 * sigma, sigma + 0.42 * alpha)
            _draw_arrow(axes, (0, 0), place, BLUE)
            _draw_arrow(axes, place, tip, RED, (0, (2, 1)))
            axes.text(0.55 * alpha, 0.55 * sigma, f"t = {t}", **_ON_AN_ARROW, color=BLUE)
            axes.text(tip[0] + 0.02, tip[1] + 0.03, "v", va="bottom", color=RED, weight="bold")
    return figure


def sampling_loop(seconds: Mapping[str, Sequence[float]], total: float) -> Figure:
    """A diagram of the components with their number of calls, and a stacked bar of their times.

    Args:
        seconds: by component, the seconds of each call, from
            :func:`course_lib.profiling.cost.time_calls`.
        total: seconds of the whole generation.

    Raises:
        ValueError: if the components take longer than ``total``.
    """
    times = {name: sum(calls) for name, calls in seconds.items()}
    rest = total - sum(times.values())
    if rest < 0:
        raise ValueError(
            f"The calls take {total - rest:.2f} s of {total:.2f} s: time the total around them all."
        )
    with course_style():
        figure, (top, bottom) = plt.subplots(2, 1, figsize=(11, 5.2), height_ratios=[3, 1.2])
        labels = {name: f"{name}\n{len(calls)} ×" for name, calls in seconds.items()}
        _draw_loop(top, labels)
        left = 0.0
        for name, value in {**times, "sampler and the rest": rest}.items():
            bottom.barh(
                0,
                value,
                left=left,
                color=COLOURS[name],
                edgecolor=PAPER,
                linewidth=1.5,
                label=f"{name} {value / total:.1%}",
            )
            left += value
        bottom.set(yticks=[], xlabel="seconds", xlim=(0, total))
        bottom.spines["left"].set_visible(False)
        bottom.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        figure.tight_layout()
    return figure


def _draw_loop(axes: Axes, labels: Mapping[str, str]) -> None:
    axes.set(xlim=(0, 11), ylim=(-0.35, 3.1))
    axes.axis("off")
    axes.add_patch(_box(4.15, -0.2, 3.0, 3.15, FAINT, 0.5))
    axes.text(5.65, -0.02, "in every step", ha="center", color=MUTED)
    corners = {"text encoder": (1.9, 1.95), "U-Net": (4.5, 1.95), "decoder": (7.6, 0.35)}
    for name, (left, bottom) in corners.items():
        _draw_component(axes, left, bottom, labels[name], COLOURS[name])
    _draw_component(axes, 4.5, 0.35, "sampler", COLOURS["sampler and the rest"])
    axes.text(0.1, 2.35, "prompt", va="center")
    axes.text(3.2, 0.75, "noise", va="center")
    axes.text(9.9, 0.75, "image", va="center", weight="bold")
    for start, end in (
        ((1.15, 2.35), (1.85, 2.35)),
        ((3.5, 2.35), (4.45, 2.35)),
        ((3.85, 0.75), (4.45, 0.75)),
        ((6.1, 0.75), (7.55, 0.75)),
        ((9.2, 0.75), (9.8, 0.75)),
        ((5.6, 1.2), (5.6, 1.9)),
        ((5.0, 1.9), (5.0, 1.2)),
    ):
        _draw_arrow(axes, start, end)
    axes.text(4.9, 1.55, "prediction", ha="right", va="center", fontsize=9, color=MUTED)
    axes.text(5.7, 1.55, "noisy latent, t", ha="left", va="center", fontsize=9, color=MUTED)


def _draw_tensor(axes: Axes, tensor: Tensor, left: float) -> None:
    """Draw an image in colour, or the channels of a latent in grey."""
    extent = (left, left + _SIDE, 0.0, _SIDE)
    if len(tensor) == 3:
        axes.imshow(tensor.permute(1, 2, 0).clamp(0, 1).numpy(), extent=extent, zorder=3)
    else:
        axes.imshow(tile_channels(tensor), cmap="gray", vmin=0, vmax=1, extent=extent, zorder=3)


def _draw_component(axes: Axes, left: float, bottom: float, label: str, colour: str) -> None:
    axes.add_patch(_box(left, bottom, 1.6, 0.8, colour, 0.25, edge=colour))
    axes.text(left + 0.8, bottom + 0.4, label, ha="center", va="center", fontsize=10.5, color=INK)


def _box(
    left: float,
    bottom: float,
    width: float,
    height: float,
    colour: str,
    alpha: float,
    edge: str = SKY,
) -> FancyBboxPatch:
    return FancyBboxPatch(
        (left, bottom),
        width,
        height,
        "round,pad=0,rounding_size=0.15",
        facecolor=to_rgba(colour, alpha),
        edgecolor=edge,
    )


def _draw_arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str = INK,
    dash: str | tuple[int, tuple[int, int]] = "-",
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=15,
            color=colour,
            linestyle=dash,
            linewidth=1.6,
            shrinkA=0,
            shrinkB=0,
            zorder=4,
        )
    )
