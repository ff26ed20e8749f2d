"""The figure of lesson 3 about tensor shapes: one backbone, five heads, five outputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.figures.hooks import record_outputs
from course_lib.figures.style import FAINT, MUTED, ROLES, course_style
from course_lib.vision.backbone import Backbone, FeaturePyramid
from course_lib.vision.tasks import LEVELS

Shape = tuple[int, ...]  # without the batch

# In units of half an inch.
_WIDTH, _TOP, _ROW_HEIGHT = 22, 1.5, 2.2
_FEATURES_X, _HEAD_X, _HEAD_WIDTH, _OUTPUT_X = 8.2, 10.6, 3.4, 14.6
_PYRAMID_START, _PYRAMID_END = 1.0, 6.8
_PYRAMID_OFFSET = 4.6  # from the backbone's middle down to the pyramid's
_NUMBER_WORDS = ("one", "two", "three", "four", "five")
# The meaning of each output tensor, in the order in which the model returns them.
_MEANINGS = {
    "classifier": ("a score per class",),
    "localizer": ("a score per class", "one box"),
    "detector": ("a score per class and cell", "4 numbers per cell: a box"),
    "segmenter": ("a score per class and pixel",),
    "instances": ("a score per class and pixel", "a centre?", "offset to the centre: x, y"),
}


# The detector returns its boxes with the coordinates last; shown channels first, as all the others.
_CHANNELS_LAST = (("detector", 1),)


@dataclass
class ShapeTrace:
    """The tensor shapes of one image's forward pass through a model."""

    backbone: list[Shape]
    features: Shape  # the input of the head
    head: list[tuple[str, Shape]]  # name and output of each module
    outputs: list[Shape]


@torch.no_grad()
def trace_shapes(model: nn.Module, size: int = 128) -> ShapeTrace:
    """Run a model on an image of zeros and record the shapes that its modules return."""
    backbone = next(module for module in model.modules() if isinstance(module, Backbone))
    children = list(model.named_children())
    with_backbone = {
        name for name, child in children if any(module is backbone for module in child.modules())
    }
    training = model.training
    image = torch.zeros(1, 3, size, size, device=next(model.parameters()).device)
    with record_outputs([("", backbone), *children]) as recorded:
        outputs = model.eval()(image)
    model.train(training)
    trace = ShapeTrace([], (), [], [_shape(output) for output in _as_tuple(outputs)])
    for name, output in recorded:
        if not name:
            trace.backbone = [_shape(feature_map) for feature_map in output]
        elif name in with_backbone:
            trace.features = _shape(_as_tuple(output)[-1])
        else:
            trace.head.append((name, _shape(output)))
    return trace


def _as_tuple(output: Tensor | list[Tensor] | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (output,) if isinstance(output, Tensor) else tuple(output)


def _shape(tensor: Tensor) -> Shape:
    return tuple(tensor.shape[1:])


def output_shapes(models: Mapping[str, nn.Module], size: int = 128) -> Figure:
    """A row for each level, from the image to the output, with the shapes of the running models.

    All shapes are shown channels first, also that of the detector's boxes.

    Args:
        models: by the names of ``tasks.LEVELS``; all have the same backbone.
        size: side of the image in pixels, a multiple of 16.

    Raises:
        ValueError: if there is no model, or their backbones differ.
    """
    traces = {name: trace_shapes(models[name], size) for name in LEVELS if name in models}
    if len({tuple(trace.backbone) for trace in traces.values()}) != 1:
        raise ValueError(
            "Give one or more of the models of lesson 3, by the names in LEVELS, with one backbone."
        )
    maps = [(3, size, size), *next(iter(traces.values())).backbone]
    rows = {name: _TOP + _ROW_HEIGHT * (row + 0.5) for row, name in enumerate(traces)}
    on_pyramid = [rows[name] for name, trace in traces.items() if len(trace.features) == 3]
    # The backbone on the first row, the pyramid below it: their arrows cross no label.
    middle = _TOP + _ROW_HEIGHT / 2 + 0.4
    pyramid_y = max(middle + _PYRAMID_OFFSET, sum(on_pyramid) / max(len(on_pyramid), 1))
    bottom = max(_TOP + _ROW_HEIGHT * len(traces), pyramid_y + 1.3 if on_pyramid else middle + 3)
    backbone = "the backbone"
    if len(traces) > 1:
        number = _NUMBER_WORDS[len(traces) - 1]
        backbone = f"the same backbone in all {number},\neach with its own weights"
    with course_style():
        figure, axes = plt.subplots(figsize=(11, 11 * (bottom + 0.2) / _WIDTH))
        figure.subplots_adjust(0, 0, 1, 1)
        axes.set(xlim=(0, _WIDTH), ylim=(bottom + 0.2, 0))
        axes.axis("off")
        for x, heading in (
            (0.2, backbone),
            (_FEATURES_X, "input of\nthe head"),
            (_HEAD_X, "head"),
            (_OUTPUT_X, "output"),
        ):
            axes.text(x, 0.7, heading, weight="bold", va="center", linespacing=1.3)
        centres, end = _draw_backbone(axes, maps, middle)
        if on_pyramid:
            _draw_pyramid(axes, centres[1:], middle, pyramid_y)
        for row, (name, trace) in enumerate(traces.items()):
            y = rows[name]
            if row:
                line = y - _ROW_HEIGHT / 2
                axes.plot([_FEATURES_X, _WIDTH - 0.2], [line, line], color=FAINT, linewidth=1)
            start = (end, middle) if name == "classifier" else (_PYRAMID_END, pyramid_y)
            _draw_arrow(axes, start, (_FEATURES_X - 0.15, y))
            _draw_level(axes, name, trace, y, size)
    return figure


@torch.no_grad()
def feature_pyramid(model: nn.Module, image: Tensor) -> Figure:
    """How a feature pyramid is built from a real image: one channel of each feature map.

    Above are the backbone's feature maps, the highest resolution on the left. Each feature map of
    the pyramid below is the sum of the upsampled feature map on its right and a 1 x 1 convolution
    of the feature map above it. Of each map of the backbone, the channel that varies most is shown;
    of the pyramid's maps, the same channel in all: the one that varies most in the finest.

    Args:
        model: one of lesson 3's models with a ``FeaturePyramid``.
        image: (3, height, width), in [0, 1].
    """
    pyramid = next(module for module in model.modules() if isinstance(module, FeaturePyramid))
    maps = pyramid.backbone(image[None])[pyramid.finest :]
    sums = [pyramid.lateral[-1](maps[-1])]
    for lateral, finer in zip(reversed(pyramid.lateral[:-1]), reversed(maps[:-1]), strict=True):
        size = finer.shape[-2:]
        coarse = F.interpolate(sums[-1], size=size, mode="bilinear", align_corners=False)
        sums.append(lateral(finer) + coarse)
    own_channels = [_most_varied_channel(feature_map) for feature_map in maps]
    rows = (
        ("backbone", maps, own_channels, "convolution"),
        ("pyramid", sums[::-1], [_most_varied_channel(sums[-1])] * len(maps), "output"),
    )
    with course_style():
        figure, table = plt.subplots(2, len(maps), figsize=(2.4 * len(maps), 5.7))
        figure.subplots_adjust(0.01, 0.01, 0.99, 0.91, wspace=0.42, hspace=0.56)
        for line, (name, features, channels, role) in zip(table, rows, strict=True):
            for axes, feature_map, channel in zip(line, features, channels, strict=True):
                axes.imshow(feature_map[0, channel].numpy(), cmap="gray")
                axes.set(xticks=[], yticks=[], xlabel=f"channel {channel}")
                axes.set_title(f"{name}\n{format_shape(_shape(feature_map))}", color=ROLES[role])
        for index in range(len(maps)):
            between = {"xycoords": "axes fraction", "textcoords": "axes fraction"}
            arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 2}
            table[1, index].annotate("", (0.75, 1.08), (0.75, 1.44), arrowprops=arrow, **between)
            table[1, index].text(
                0.7, 1.35, "1×1 conv.", transform=table[1, index].transAxes, ha="right", va="center"
            )
            if index:
                table[0, index].annotate(
                    "", (-0.04, 0.5), (-0.38, 0.5), arrowprops=arrow, **between
                )
                table[1, index].annotate(
                    "", (-0.38, 0.5), (-0.04, 0.5), arrowprops=arrow, **between
                )
                table[1, index].text(
                    -0.21, 0.56, "enlarge,\nadd", transform=table[1, index].transAxes, ha="center"
                )
    return figure


def _most_varied_channel(feature_map: Tensor) -> int:
    return int(feature_map[0].flatten(1).std(1).argmax())


def format_shape(shape: Shape) -> str:
    """A shape with multiplication signs: 12×32×32."""
    return "×".join(map(str, shape))


def _draw_backbone(axes: Axes, maps: list[Shape], middle: float) -> tuple[list[float], float]:
    """Draw the image and the backbone's feature maps; return the x of their centres and the end."""
    x, centres = 0.2, []
    for index, shape in enumerate(maps):
        colour = ROLES["convolution"] if index else ROLES["input"]
        width = _draw_stack(axes, x, middle, shape, maps[0][1], colour)
        # On two lines, because the labels are wider than the small maps.
        text = f"{shape[0]}\n×{format_shape(shape[1:])}"
        axes.text(x + width / 2, middle + 1.6, text, ha="center", va="top", fontsize=9)
        centres.append(x + width / 2)
        x += width + 0.4
    return centres, x - 0.3


def _draw_pyramid(axes: Axes, centres: list[float], middle: float, y: float) -> None:
    """Draw the feature pyramid as a box below the backbone, with an arrow from each feature map."""
    width = _PYRAMID_END - _PYRAMID_START
    axes.add_patch(
        Rectangle((_PYRAMID_START, y - 1.1), width, 2.2, facecolor=ROLES["output"], alpha=0.25)
    )
    text = (
        "feature pyramid: each map gets 48\nchannels by a 1×1 convolution; the\n"
        "coarser map is enlarged and added"
    )
    axes.text(_PYRAMID_START + width / 2, y, text, ha="center", va="center", fontsize=9)
    for x in centres:
        _draw_arrow(axes, (x, middle + 2.8), (x, y - 1.15))


def _draw_level(axes: Axes, name: str, trace: ShapeTrace, y: float, size: int) -> None:
    """Draw one level: the input of its head, the head, and its outputs."""
    task = LEVELS[name]
    width = _draw_stack(
        axes, _FEATURES_X, y, trace.features, size, ROLES["convolution"], max_height=1.1
    )
    axes.text(_FEATURES_X, y + 0.68, format_shape(trace.features), va="top", fontsize=9)
    _draw_arrow(axes, (_FEATURES_X + width + 0.1, y), (_HEAD_X - 0.1, y))
    axes.add_patch(
        Rectangle((_HEAD_X, y - 0.75), _HEAD_WIDTH, 1.5, facecolor=ROLES["weight"], alpha=0.3)
    )
    steps = "\n".join(_head_steps(trace))
    axes.text(_HEAD_X + 0.15, y, steps, va="center", fontsize=9, linespacing=1.5)
    _draw_arrow(axes, (_HEAD_X + _HEAD_WIDTH + 0.1, y), (_OUTPUT_X - 0.1, y))
    heading = f"{task.level} · {task.question}"
    axes.text(_OUTPUT_X, y - 0.8, heading, weight="bold", va="center", fontsize=10)
    gap = min(0.75, 1.5 / len(trace.outputs))
    for index, (shape, meaning) in enumerate(zip(trace.outputs, _MEANINGS[name], strict=True)):
        if (name, index) in _CHANNELS_LAST:
            shape = (shape[-1], *shape[:-1])
        line = y + 0.15 + gap * (index - (len(trace.outputs) - 1) / 2)
        axes.text(
            _OUTPUT_X,
            line,
            format_shape(shape),
            color=ROLES["output"],
            weight="bold",
            va="center",
            fontsize=11,
        )
        axes.text(_OUTPUT_X + 2.55, line, meaning, va="center", fontsize=9.5)


def _head_steps(trace: ShapeTrace) -> list[str]:
    """A line for each step from the head's input to the output, with the shape of its result."""
    lines = [f"{module}: {format_shape(shape)}" for module, shape in trace.head]
    sides, output = trace.head[-1][1][1:], trace.outputs[0][1:]
    if not sides:  # the head is a linear layer
        lines.insert(0, f"mean over {format_shape(trace.features[1:])}: {trace.features[0]}")
    elif not output:
        numbers = " + ".join(format_shape(shape) for shape in trace.outputs)
        lines.append(f"weighted mean: {numbers}")
    elif sides < output:
        lines.append(f"enlarged to {format_shape(output)}")
    return lines


def _draw_stack(
    axes: Axes,
    x: float,
    y: float,
    shape: Shape,
    size: int,
    colour: str,
    max_height: float = 2.9,
) -> float:
    """Draw a feature map as a stack of sheets: taller with higher resolution, deeper with channels.

    Returns:
        Its width.
    """
    channels, height, _ = shape
    side = max_height * (height / size) ** 0.5  # the square root keeps low resolutions visible
    sheets, step = max(2, round(channels**0.5 / 1.5)), 0.06
    for sheet in range(sheets):
        corner = (x + sheet * step, y - side / 2 + (sheet - sheets / 2) * step)
        axes.add_patch(
            Rectangle(corner, side * 0.5, side, facecolor=colour, edgecolor="white", linewidth=0.6)
        )
    return side * 0.5 + sheets * step


def _draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.2}
    )
