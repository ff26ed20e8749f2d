"""The widgets of lesson 1: classifying a shifted digit, and the cost of a layer by image size.

Both draw with Pillow, which is fast enough to follow the slider.
"""

import math
from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import torch
from jaxtyping import Float, Int64
from PIL import Image, ImageDraw
from torch import Tensor, nn

from course_lib.data.digits import shift
from course_lib.figures.images import png_bytes
from course_lib.figures.style import FAINT, INK, MUTED, PAPER, ROLES, font
from course_lib.profiling.cost import ForwardCost, format_count, forward_cost
from course_lib.widgets import (
    add_tooltip,
    control_row,
    picture_widget,
    selection_slider,
    show_widget,
)

SIZE = (760, 300)  # of both images, in pixels
_SHIFT = 2  # pixels to the right at the start
_BAR = 84  # the height of a probability of 1, in pixels


def shift_explorer(
    models: Mapping[str, nn.Module],
    images: Float[Tensor, "count 1 height width"],
    labels: Int64[Tensor, " count"],
    classes: Sequence[str],
) -> None:
    """Show sliders that select and shift a test image, and the networks' predictions for it.

    The first image shown is one for which, at the first shift, only the fully connected network is
    wrong, if there is one.

    Args:
        models: the trained networks by name: "fully connected" and "convolution".
        images: the images to select from, in [0, 1].
        labels: the index of each image's class.
        classes: the name of each class.
    """
    index = _slider(
        "image", 0, len(images) - 1, _distinguishing_image(models, images, labels, _SHIFT)
    )
    right, down = _slider("shift right", -4, 4, _SHIFT), _slider("shift down", -4, 4, 0)
    picture, description = picture_widget("png"), widgets.HTML()

    def update(change: object = None) -> None:
        label = int(labels[index.value])
        shifted = shift(images[index.value], right.value, down.value)
        probabilities = {name: _probabilities(model, shifted) for name, model in models.items()}
        picture.value = draw_predictions(shifted[0], probabilities, label, classes)
        predictions = ", ".join(
            f"{name}: {classes[int(values.argmax())]} ({values.max():.0%})"
            for name, values in probabilities.items()
        )
        description.value = f"True class: {classes[label]}. Predictions: {predictions}"

    controls = [index, right, down]
    for slider in controls:
        slider.observe(update, names="value")
    update()
    show_widget(
        widgets.VBox([control_row(*controls), picture, description]),
        picture.value,
        alt=f"A digit shifted by {right.value} pixels, and next to it one bar for each class and "
        f"network. {description.value}.",
        caption="Shift the digit: the networks get new numbers, you see the same digit. A ring "
        "marks the true class. A bar as high as the line marked 1 is a probability of 1.",
    )


def size_explorer() -> None:
    """Show sliders for an image's size, and the cost of layers between two images of that size."""
    sides = [8, 16, 32, 64, 128, 256, 512, 1024]
    side = add_tooltip(
        selection_slider(options=sides, value=256, description="side"),
        "side of the image in pixels",
    )
    channels, kernel = _slider("channels", 1, 64, 1), _slider("kernel side", 1, 11, 3, step=2)
    picture, description = picture_widget("png"), widgets.HTML()

    def update(change: object = None) -> None:
        costs = layer_costs(side.value, channels.value, kernel.value)
        picture.value = draw_costs(costs)
        counts = ". ".join(
            f"{name}: {format_count(cost.parameters)} parameters, {format_count(cost.bytes, 'B')}"
            for name, cost in costs.items()
        )
        unit = "channel" if channels.value == 1 else "channels"
        description.value = f"{side.value} x {side.value} pixels, {channels.value} {unit}. {counts}"

    controls = [side, channels, kernel]
    for slider in controls:
        slider.observe(update, names="value")
    update()
    show_widget(
        widgets.VBox([control_row(*controls), picture, description]),
        picture.value,
        alt="The memory of two layers as marks on a scale where each step is a factor of a "
        f"thousand. {description.value}.",
        caption="Change the side, the number of channels and the kernel: which mark moves? From "
        "one line to the next, the memory is multiplied by 1,000.",
    )


def layer_costs(side: int, channels: int, kernel: int) -> dict[str, ForwardCost]:
    """The cost of both layers between equally large images; the layers allocate no memory."""
    features = channels * side * side
    fully_connected = nn.Linear(features, features, device="meta")
    convolution = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, device="meta")
    return {
        "fully connected": forward_cost(fully_connected, 1, features),
        "convolution": forward_cost(convolution, 1, channels, side, side),
    }


def draw_predictions(
    image: Float[Tensor, "height width"],
    probabilities: Mapping[str, Float[Tensor, " classes"]],
    label: int,
    classes: Sequence[str],
) -> bytes:
    """A PNG of an image in [0, 1] and of each network's class probabilities."""
    canvas, draw = _blank_canvas()
    pixels = Image.fromarray((image * 255).byte().cpu().numpy())
    canvas.paste(pixels.resize((240, 240), Image.Resampling.NEAREST), (16, 30))
    spacing = 440 / len(classes)
    for row, (name, values) in enumerate(probabilities.items()):
        bottom, colour = 122 + 140 * row, ROLES.get(name, INK)
        draw.text((290, bottom - 110), name, fill=colour, font=font(15, bold=True))
        for value in (0, 1):
            y = bottom - _BAR * value
            draw.line((290, y, 740, y), fill=FAINT if value else MUTED)
            draw.text((284, y), str(value), fill=MUTED, font=font(13), anchor="rm")
        for index, probability in enumerate(values.tolist()):
            left, middle = 296 + spacing * index, 296 + spacing * (index + 0.4)
            top = bottom - round(_BAR * probability)
            draw.rectangle((left, top, left + 0.8 * spacing, bottom), fill=colour)
            name_of_class = classes[index][:5]
            draw.text((middle, bottom + 4), name_of_class, fill=INK, font=font(13), anchor="ma")
            if index == label:
                radius = 0.46 * spacing
                draw.ellipse(
                    (middle - radius, bottom + 1, middle + radius, bottom + 22),
                    outline=INK,
                    width=2,
                )
    return png_bytes(canvas)


def draw_costs(costs: Mapping[str, ForwardCost]) -> bytes:
    """A PNG with a mark for each layer's memory, on a log scale from 1 byte to 1 exabyte.

    A mark, and not a bar: on a logarithmic scale, where no zero exists, a length means nothing.
    """
    canvas, draw = _blank_canvas()
    left, width = 20, 680
    draw.text((left, 12), "memory for the parameters, in fp32", fill=INK, font=font(15, bold=True))
    for power, unit in zip(
        range(0, 19, 3), ("1 B", "1 kB", "1 MB", "1 GB", "1 TB", "1 PB", "1 EB"), strict=True
    ):
        x = left + width * power / 18
        draw.line((x, 46, x, 262), fill=FAINT)
        draw.text((x, 268), unit, fill=MUTED, font=font(13), anchor="ma" if power else "la")
    for row, (name, cost) in enumerate(costs.items()):
        top = 82 + 100 * row
        x, y = left + width * min(math.log10(cost.bytes), 18) / 18, top + 14
        draw.text((left, top - 28), name, fill=ROLES[name], font=font(15, bold=True))
        draw.line((left, y, left + width, y), fill=MUTED)
        mark = draw.ellipse if row == 0 else draw.rectangle
        mark((x - 9, y - 9, x + 9, y + 9), fill=ROLES[name])
        text = (
            f"{format_count(cost.parameters)} parameters, {format_count(cost.bytes, 'B')}, "
            f"{format_count(cost.flops)} FLOPs per forward pass"
        )
        draw.text((left, top + 34), text, fill=INK, font=font(14))
    return png_bytes(canvas)


def _slider(name: str, low: int, high: int, value: int, step: int = 1) -> widgets.IntSlider:
    layout = widgets.Layout(width="250px")
    slider = widgets.IntSlider(value, low, high, step, description=name, layout=layout)
    return add_tooltip(slider, name)


@torch.no_grad()
def _distinguishing_image(
    models: Mapping[str, nn.Module],
    images: Float[Tensor, "count 1 height width"],
    labels: Int64[Tensor, " count"],
    right: int,
) -> int:
    """The first image that, moved right, only the convolution classifies correctly; else 0."""
    shifted = shift(images, right)
    correct = {
        name: model(shifted.to(next(model.parameters()).device)).argmax(1).cpu() == labels
        for name, model in models.items()
    }
    return int((correct["convolution"] & ~correct["fully connected"]).int().argmax())


@torch.no_grad()
def _probabilities(
    model: nn.Module, image: Float[Tensor, "1 height width"]
) -> Float[Tensor, " classes"]:
    device = next(model.parameters()).device
    return model(image[None].to(device)).softmax(1)[0].float().cpu()


def _blank_canvas() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    canvas = Image.new("RGB", SIZE, PAPER)
    return canvas, ImageDraw.Draw(canvas)
