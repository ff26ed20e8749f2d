"""The diagram of a block of lesson 8's diffusion transformer."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from course_lib.figures.style import BLUE, FAINT, INK, MUTED, course_style

_IMAGE, _TEXT = 3.1, 1.0  # heights of the two rows
_SKIP = 0.62  # how far the path around a layer lies above its row
_VECTORS = "#B45309"  # what comes from the time: dashed, in a colour of its own


def joint_block_diagram() -> Figure:
    """One block of an MM-DiT, from left to right: two rows of tokens and one joint attention."""
    with course_style():
        figure, axes = plt.subplots(figsize=(10.5, 3.9), layout="constrained")
        axes.set(xlim=(0, 10.5), ylim=(0.15, 3.95), aspect="equal")
        axes.axis("off")
        for y, name in ((_IMAGE, "image\ntokens"), (_TEXT, "text\ntokens")):
            _draw_stream(axes, y, name)
        middle, height = (_IMAGE + _TEXT) / 2, _IMAGE - _TEXT + 0.7
        _draw_box(axes, 3.55, middle, "joint\nattention", "#FBE6BC", 1.0, height)
        axes.plot([], [], color=INK, label="tokens")
        axes.plot([], [], color=BLUE, linestyle=":", linewidth=2, label="around a layer")
        axes.plot([], [], color=_VECTORS, linestyle="--", label="vectors computed from the time")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _draw_stream(axes: Axes, y: float, name: str) -> None:
    """Draw the layers that one kind of tokens passes."""
    axes.text(0.4, y, name, ha="center", va="center", fontweight="bold", color=INK)
    axes.text(10.1, y, name, ha="center", va="center", fontweight="bold", color=INK)
    boxes = ((1.55, "modulate"), (2.55, "q, k, v"), (4.55, "linear"), (7.05, "modulate"))
    for x, label in boxes:
        _draw_box(axes, x, y, label, FAINT if label == "modulate" else "#CDE7F7")
    _draw_box(axes, 8.05, y, "feed-\nforward", "#CDE7F7")
    circles = {5.3: "×", 5.95: "+", 8.8: "×", 9.35: "+"}
    for x, sign in circles.items():
        axes.add_patch(Circle((x, y), 0.16, facecolor="white", edgecolor=INK, zorder=3))
        axes.text(x, y, sign, ha="center", va="center", fontsize=12, zorder=4)
    # Between the things on the row: (where one ends, where the next begins).
    gaps = ((0.75, 1.15), (1.95, 2.15), (2.95, 3.05), (4.05, 4.15), (4.95, 5.14), (5.46, 5.79))
    for start, end in (*gaps, (6.11, 6.65), (7.45, 7.65), (8.45, 8.64), (8.96, 9.19), (9.51, 9.8)):
        _draw_arrow(axes, (start, y), (end, y))
    for start, end in ((0.95, 5.95), (6.4, 9.35)):
        axes.plot([start, start, end], [y, y + _SKIP, y + _SKIP], color=BLUE, ls=":", lw=2)
        _draw_arrow(axes, (end, y + _SKIP), (end, y + 0.16), BLUE)
    for x, label in ((1.55, "shift, scale"), (5.3, "gate"), (7.05, "shift, scale"), (8.8, "gate")):
        edge = 0.16 if label == "gate" else 0.28
        _draw_arrow(axes, (x, y - 0.62), (x, y - edge), _VECTORS, "--")
        axes.text(x, y - 0.64, label, ha="center", va="top", fontsize=9.5, color=_VECTORS)


def _draw_box(
    axes: Axes,
    x: float,
    y: float,
    label: str,
    colour: str,
    width: float = 0.8,
    height: float = 0.56,
) -> None:
    corner = (x - width / 2, y - height / 2)
    shape = "round,pad=0,rounding_size=0.06"
    box = FancyBboxPatch(corner, width, height, boxstyle=shape, facecolor=colour, edgecolor=MUTED)
    box.set_zorder(2.5)  # before the dotted lines
    axes.add_patch(box)
    axes.text(x, y, label, ha="center", va="center", fontsize=9.5, color=INK, zorder=4)


def _draw_arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str = INK,
    dash: str = "-",
) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "linestyle": dash, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops={**style, "linewidth": 1.3})
