"""The charts of lesson 4: file size against image quality, and patterns against cosines."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from course_lib.compression.codecs import RateDistortion
from course_lib.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    add_grid,
    course_style,
    label_log_axis,
)

# Colour and marker of each codec. The autoencoder, the subject of the lesson, stands out.
_CODEC_STYLES = {
    "JPEG": (BLUE, "o"),
    "WebP": (SKY, "s"),
    "PCA": (MUTED, "^"),
    "autoencoder": (RED, "*"),
}
_MORE_STYLES = ((GREEN, "D"), (ORANGE, "v"), (PURPLE, "P"), (BLACK, "X"))
# Five colours: no two photos share one, and no photo has that of JPEG, WebP or the autoencoder.
_PHOTO_STYLES = (*((colour, marker, "-") for colour, marker in _MORE_STYLES), (MUTED, "o", "--"))


def bytes_by_quality(results: Mapping[str, Mapping[int, tuple[int, float]]]) -> Figure:
    """File size and PSNR against JPEG quality, a line for each photo.

    Args:
        results: by the photo's name, and by quality: (bytes, PSNR in dB).

    Raises:
        ValueError: if there is nothing to draw.
    """
    if not any(results.values()):
        raise ValueError("There is nothing to draw: give at least one photo with one quality.")
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
        for (name, by_quality), (colour, marker, dash) in zip(
            results.items(), cycle(_PHOTO_STYLES), strict=False
        ):
            style = {"color": colour, "marker": marker, "linestyle": dash, "markersize": 6}
            for axes, values in zip(panels, zip(*by_quality.values(), strict=True), strict=False):
                axes.plot(list(by_quality), values, label=name, **style)
        left, right = panels
        left.set_yscale("log")
        label_log_axis(left.yaxis, unit=1000)
        left.set(xlabel="quality", ylabel="file size (kB)", title="file size")
        right.set(xlabel="quality", ylabel="PSNR (dB)", title="closeness to the photo")
        left.legend()
        for axes in panels:
            add_grid(axes)
    return figure


def rate_distortion(
    codecs: Mapping[str, Sequence[RateDistortion]],
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """PSNR and SSIM against bits per pixel, a line for each codec.

    Args:
        codecs: by name, points in the order in which they are joined.
        labels: by name, a label for each of the codec's points; optional for every codec.

    Raises:
        ValueError: if there is no point.
    """
    if not any(codecs.values()):
        raise ValueError("There is no point to draw: give at least one codec with one point.")
    more_styles = iter(_MORE_STYLES)
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
        for name, points in codecs.items():
            colour, marker = _CODEC_STYLES.get(name) or next(more_styles)
            bold = name == "autoencoder"
            for axes, metric in zip(panels, ("psnr", "ssim"), strict=True):
                x = [point.bits_per_pixel for point in points]
                y = [getattr(point, metric) for point in points]
                axes.plot(
                    x,
                    y,
                    color=colour,
                    marker=marker,
                    markersize=12 if bold else 6,
                    label=name,
                    zorder=4 if bold else 3,
                )
                for index, label in enumerate((labels or {}).get(name, ())):
                    # Above and below in turn, so that neighbouring labels don't touch.
                    axes.annotate(
                        label,
                        (x[index], y[index]),
                        (0, 10 if index % 2 else -20),
                        textcoords="offset points",
                        ha="center",
                        color=colour if bold else INK,
                        fontsize=9,
                        path_effects=[withStroke(linewidth=3, foreground="white")],
                        zorder=5,
                    )
        for axes, title in zip(panels, ("PSNR (dB)", "SSIM"), strict=True):
            axes.set_xscale("log")
            label_log_axis(axes.xaxis)
            axes.set(xlabel="bits per pixel (an 8-bit photo has 24)", ylabel=title, title=title)
            add_grid(axes)
        panels[0].legend(loc="upper left")
    return figure


def patterns_and_cosines(patterns: Float[Tensor, "8 8"], cosines: Float[Tensor, "8 8"]) -> Figure:
    """Eight patterns of eight values, each with the row of a matrix that it is compared with.

    Args:
        patterns: one in each row; the sign of each is set to agree with the cosine.
        cosines: the rows of the DCT matrix, in the same order.
    """
    position = range(patterns.shape[1])
    with course_style():
        figure, panels = plt.subplots(
            2, 4, figsize=(10, 3.6), sharex=True, sharey=True, layout="constrained"
        )
        for index, axes in enumerate(panels.flat):
            agreement = float(patterns[index] @ cosines[index])
            pattern = patterns[index] * (1 if agreement > 0 else -1)
            axes.plot(position, cosines[index], color=BLUE, label="row of W")
            axes.plot(position, pattern, "o", color=RED, markersize=6, label="found by PCA")
            axes.axhline(0, color=FAINT, linewidth=1, zorder=0)
            axes.set(xticks=[0, 7], yticks=[-0.5, 0, 0.5])
            axes.set_title(f"{index}: {abs(agreement):.3f}", fontsize=11)
        for axes in panels[-1]:
            axes.set_xlabel("pixel")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=11)
    return figure
