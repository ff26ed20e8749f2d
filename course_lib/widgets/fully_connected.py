"""What lesson 1 lets you touch: two networks that look at a digit you move, and a layer you make
larger.

Both draw with Pillow instead of matplotlib, so that the picture follows the slider.
"""

import io
import math
from collections.abc import Mapping

import ipywidgets as widgets
import torch
from jaxtyping import Float, Int64
from PIL import Image, ImageDraw
from torch import Tensor, nn

from course_lib.data.digits import shift
from course_lib.figures.style import FAINT, INK, MUTED, PAPER, ROLES
from course_lib.profiling.cost import Cost, cost, in_words
from course_lib.widgets import font, named, show_widget

SIZE = (760, 300)  # of both pictures, in pixels


def shift_explorer(
    models: Mapping[str, nn.Module],
    images: Float[Tensor, "count 1 height width"],
    labels: Int64[Tensor, " count"],
    classes: tuple[str, ...],
) -> None:
    """Show sliders that choose a test image and move it, and what each network makes of it.

    Args:
        models: the trained networks by name: "fully connected" and "convolution".
        images: what the first slider chooses from.
        labels: what they really show.
        classes: the name of each label.
    """
    which = _slider("image", 0, len(images) - 1, 0)
    right, down = _slider("shift right", -6, 6, 2), _slider("shift down", -6, 6, 0)
    picture, words = widgets.Image(format="png"), widgets.Label()

    def draw(_: object = None) -> None:
        index = which.value
        moved = shift(images[index], right.value, down.value)
        chances = {name: _probabilities(model, moved) for name, model in models.items()}
        picture.value = draw_predictions(moved[0], chances, int(labels[index]), classes)
        said = [
            f"{name} says {classes[int(p.argmax())]} ({p.max():.0%})" for name, p in chances.items()
        ]
        words.value = f"It is {classes[int(labels[index])]}: " + ", ".join(said)

    for slider in (which, right, down):
        slider.observe(draw, names="value")
    draw()
    show_widget(
        widgets.VBox([widgets.HBox([which, right, down]), picture, words]),
        picture.value,
        alt=f"A digit moved by {right.value} pixels, and beside it one bar for each class and network. {words.value}.",
        caption="Move the digit: the networks see new numbers, you see the same digit. Ringed: the right answer.",
    )


def size_explorer() -> None:
    """Show sliders for the size of an image, and what a layer from that image to another one
    costs.
    """
    sides = [8, 16, 32, 64, 128, 256, 512, 1024]
    side = named(
        widgets.SelectionSlider(options=sides, value=256, description="side"),
        "side of the image in pixels",
    )
    channels, kernel = _slider("channels", 1, 64, 1), _slider("kernel side", 1, 11, 3, step=2)
    picture, words = widgets.Image(format="png"), widgets.Label()

    def draw(_: object = None) -> None:
        found = layer_costs(side.value, channels.value, kernel.value)
        picture.value = draw_costs(found)
        said = [
            f"{name}: {in_words(c.parameters)} parameters, {in_words(c.bytes, 'B')}"
            for name, c in found.items()
        ]
        words.value = (
            f"{side.value} x {side.value} pixels, {channels.value} channels. " + ". ".join(said)
        )

    for slider in (side, channels, kernel):
        slider.observe(draw, names="value")
    draw()
    show_widget(
        widgets.VBox([widgets.HBox([side, channels, kernel]), picture, words]),
        picture.value,
        alt=f"Bars for the memory of two layers, each step of the scale a thousand times the last. {words.value}.",
        caption="Change the side and watch which bar moves. On this scale each line is 1,000 times the last.",
    )


def layer_costs(side: int, channels: int, kernel: int) -> dict[str, Cost]:
    """The cost of both layers from an image to one of the same size and channels, counted without
    memory.
    """
    numbers = channels * side * side
    return {
        "fully connected": cost(nn.Linear(numbers, numbers, device="meta"), 1, numbers),
        "convolution": cost(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, device="meta"),
            1,
            channels,
            side,
            side,
        ),
    }


def draw_predictions(
    image: Float[Tensor, "height width"],
    chances: Mapping[str, Float[Tensor, " classes"]],
    label: int,
    classes: tuple[str, ...],
) -> bytes:
    """A PNG of the image in [0, 1] and of the probability that each network gives to each class."""
    card, pen = _card()
    pixels = Image.fromarray((image * 255).byte().cpu().numpy())
    card.paste(pixels.resize((240, 240), Image.Resampling.NEAREST), (16, 30))
    step = 440 / len(classes)
    for row, (name, chance) in enumerate(chances.items()):
        foot = 122 + 140 * row
        pen.text((290, foot - 110), name, fill=ROLES.get(name, INK), font=font(15, bold=True))
        pen.line((290, foot, 740, foot), fill=MUTED)
        for place, share in enumerate(chance.tolist()):
            left, middle = 296 + step * place, 296 + step * (place + 0.4)
            pen.rectangle(
                (left, foot - round(84 * share), left + 0.8 * step, foot), fill=ROLES.get(name, INK)
            )
            pen.text((middle, foot + 4), classes[place][:5], fill=INK, font=font(13), anchor="ma")
            if place == label:
                pen.ellipse(
                    (middle - 0.46 * step, foot + 1, middle + 0.46 * step, foot + 22),
                    outline=INK,
                    width=2,
                )
    return _png(card)


def draw_costs(found: Mapping[str, Cost]) -> bytes:
    """A PNG with one bar for the memory of each layer, on a scale from 1 byte to 1 exabyte."""
    card, pen = _card()
    left, width = 20, 680
    pen.text((left, 12), "memory for the parameters, in fp32", fill=INK, font=font(15, bold=True))
    for power, unit in zip(
        range(0, 19, 3), ("1 B", "1 kB", "1 MB", "1 GB", "1 TB", "1 PB", "1 EB"), strict=True
    ):
        x = left + width * power / 18
        pen.line((x, 46, x, 262), fill=FAINT)
        pen.text((x, 268), unit, fill=MUTED, font=font(13), anchor="ma" if power else "la")
    for row, (name, one) in enumerate(found.items()):
        top = 82 + 100 * row
        length = width * min(math.log10(one.bytes), 18) / 18
        pen.text((left, top - 28), name, fill=ROLES[name], font=font(15, bold=True))
        pen.rectangle((left, top, left + length, top + 28), fill=ROLES[name])
        text = f"{in_words(one.parameters)} parameters, {in_words(one.bytes, 'B')}, {in_words(one.flops)} FLOPs a pass"
        pen.text((left, top + 34), text, fill=INK, font=font(14))
    return _png(card)


def _slider(name: str, low: int, high: int, value: int, step: int = 1) -> widgets.IntSlider:
    layout = widgets.Layout(width="250px")
    return named(widgets.IntSlider(value, low, high, step, description=name, layout=layout), name)


@torch.no_grad()
def _probabilities(
    model: nn.Module, image: Float[Tensor, "1 height width"]
) -> Float[Tensor, " classes"]:
    device = next(model.parameters()).device
    return model(image[None].to(device)).softmax(1)[0].float().cpu()


def _card() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    card = Image.new("RGB", SIZE, PAPER)
    return card, ImageDraw.Draw(card)


def _png(card: Image.Image) -> bytes:
    buffer = io.BytesIO()
    card.save(buffer, format="png")
    return buffer.getvalue()
