"""What lesson 5 lets you touch: the U-Net's depth and width, the network built anew and drawn at
each change.
"""

import io
from functools import lru_cache
from typing import NamedTuple

import ipywidgets as widgets
import matplotlib.pyplot as plt
import torch

from course_lib.data.sprites import CLASSES
from course_lib.figures.unet.architecture import architecture
from course_lib.figures.unet.trace import COPY, Operation, down_to_bottleneck, fitting, seen, trace
from course_lib.unet.model import UNet
from course_lib.widgets import named, show_widget

MOST = 5  # steps
# name: input channels, outputs, the options, and the size of the input to come near to
NETWORKS = {
    "the paper's: unpadded": (1, 2, {"padding": False, "normalisation": "none"}, 572),
    "the course's: padded, batch norm": (
        3,
        len(CLASSES) + 1,
        {"padding": True, "normalisation": "batch"},
        128,
    ),
}
_SKIPS = {"all": None, "only the deepest": 1, "none": 0}
_DPI = 75


class Drawn(NamedTuple):
    """A picture (PNG), and in words what it shows."""

    image: bytes
    words: str


class Builder(widgets.VBox):
    """Controls for a U-Net's depth, width, convolutions and skip connections, and the network that
    they make.

    The networks live on torch's ``meta`` device, where they have shapes and no numbers: a large one
    costs nothing.
    """

    def __init__(self) -> None:
        self.depth = named(
            widgets.IntSlider(4, 1, MOST, description="depth"), "how many steps go down, and up"
        )
        self.width = named(
            widgets.Dropdown(options=[8, 16, 32, 64], value=64, description="width"),
            "features of the first step",
        )
        self.network = named(
            widgets.Dropdown(options=list(NETWORKS), description="network"), "which network"
        )
        self.skips = named(
            widgets.Dropdown(options=list(_SKIPS), description="skips"), "which skip connections"
        )
        self.picture = widgets.Image(
            format="png", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        self.message = widgets.HTML()
        controls = (self.depth, self.width, self.network, self.skips)
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        row = widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([row, self.picture, self.message])

    def _update(self, change: object = None) -> None:
        drawn = _drawn(self.depth.value, self.width.value, self.network.value, self.skips.value)
        self.message.value, self.picture.value = drawn.words, drawn.image


def builder() -> None:
    """Show the controls, and the U-Net of the paper to begin with."""
    widget = Builder()
    alt = "A U-Net drawn as a U: boxes for its maps, arrows for convolutions, pooling, up-sampling and copies."
    caption = "Numbers above the boxes are channels, numbers below are sides in pixels, all read off the network."
    show_widget(widget, widget.picture.value, alt, caption)


@lru_cache(64)
def _drawn(depth: int, width: int, network: str, skips: str) -> Drawn:
    inputs, outputs, options, near = NETWORKS[network]
    kept = _SKIPS[skips]
    with torch.device("meta"):
        model = UNet(
            inputs, outputs, width=width, depth=depth, skips=kept and min(kept, depth), **options
        )
    size = fitting(depth, model.padding, near)
    figure = architecture(model, size)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    plt.close(figure)
    return Drawn(buffer.getvalue(), _words(trace(model, size)))


def _words(operations: list[Operation]) -> str:
    """The network in a few sentences, from its trace."""
    total = sum(one.parameters for one in operations)
    down = down_to_bottleneck(operations)
    lowest = down[-1].after
    deepest = sum(one.parameters for one in down if one.name.startswith("bottleneck"))
    field = _largest_field(down)
    copies = sum(one.kind == COPY for one in operations)
    return (
        f"{operations[0].before[1]} × {operations[0].before[2]} pixels in, {operations[-1].after[1]} × "
        f"{operations[-1].after[2]} out. {total:,} parameters, {deepest / total:.0%} of them in the bottleneck. Its "
        f"maps are {lowest[0]} × {lowest[1]} × {lowest[2]}, and one of their values sees {field} × {field} pixels of "
        f"the input. Skip connections: {copies}."
    )


def _largest_field(down: list[Operation]) -> int:
    """Of the value in the middle, as far as the picture reaches."""
    return len(seen(down, down[-1].after[1] // 2))
