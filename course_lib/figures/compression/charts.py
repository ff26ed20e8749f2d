"""The charts of lesson 4: what bytes buy."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from course_lib.compression.codecs import Point
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
    course_style,
)

# Told apart by their marks too, without colours. The autoencoder is what the lesson is about: it is
# the boldest.
_LOOKS = {
    "JPEG": (BLUE, "o"),
    "WebP": (SKY, "s"),
    "PCA": (MUTED, "^"),
    "autoencoder": (RED, "*"),
}
_MORE = ((GREEN, "D"), (ORANGE, "v"), (PURPLE, "P"), (BLACK, "X"))


def bytes_by_quality(found: Mapping[str, Mapping[int, tuple[int, float]]]) -> Figure:
    """Two panels with a line for each photo: how many bytes a quality takes, and how many dB it
    keeps.

    Args:
        found: by the photo's name, and by quality: (bytes, PSNR in dB).

    Raises:
        ValueError: if there is nothing to draw.
    """
    if not any(found.values()):
        raise ValueError("There is nothing to draw: give at least one photo with one quality.")
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
        for (name, row), (colour, mark) in zip(
            found.items(), [*_LOOKS.values(), *_MORE], strict=False
        ):
            for place, axes in enumerate(panels):
                values = [taken[place] for taken in row.values()]
                axes.plot(list(row), values, color=colour, marker=mark, markersize=6, label=name)
        left, right = panels
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_minor_locator(NullLocator())
        left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}"))
        left.set(xlabel="quality", ylabel="bytes of the file, in thousands", title="what it costs")
        right.set(xlabel="quality", ylabel="PSNR (dB)", title="what it keeps")
        left.legend()
        for axes in panels:
            axes.grid(color=FAINT, linewidth=0.8)
            axes.set_axisbelow(True)
    return figure


def rate_distortion(
    ways: Mapping[str, Sequence[Point]], labels: Mapping[str, Sequence[str]] | None = None
) -> Figure:
    """PSNR and SSIM against bits a pixel, a line for each way to store pictures.

    Args:
        ways: by name, points in the order in which they are joined.
        labels: by name, a word beside each of its points; ways without labels have none.

    Raises:
        ValueError: if there is no point.
    """
    if not any(ways.values()):
        raise ValueError("There is no point to draw: give at least one way with one point.")
    unknown = iter(_MORE)
    with course_style():
        figure, panels = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
        for name, points in ways.items():
            colour, mark = _LOOKS.get(name) or next(unknown)
            bold = name == "autoencoder"
            for axes, metric in zip(panels, ("psnr", "ssim"), strict=True):
                x, y = (
                    [point.bits_per_pixel for point in points],
                    [getattr(point, metric) for point in points],
                )
                size = 15 if bold else 6
                axes.plot(
                    x,
                    y,
                    color=colour,
                    marker=mark,
                    markersize=size,
                    label=name,
                    zorder=4 if bold else 3,
                )
                for place, word in enumerate((labels or {}).get(name, ())):
                    axes.annotate(
                        *(word, (x[place], y[place]), (7, -13)),
                        textcoords="offset points", color=colour if bold else INK, fontsize=9,
                        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, zorder=5,
                    )  # fmt: skip
        for axes, title in zip(panels, ("PSNR (dB)", "SSIM"), strict=True):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.set(xlabel="bits a pixel (an 8-bit photo has 24)", ylabel=title, title=title)
            axes.grid(color=FAINT, linewidth=0.8)
            axes.set_axisbelow(True)
        panels[0].legend(loc="upper left")
    return figure
