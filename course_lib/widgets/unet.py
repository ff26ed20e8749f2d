"""The widgets of lesson 5: a builder of U-Nets, and surgery on skip connections."""

import io
from functools import lru_cache
from typing import Any, NamedTuple

import ipywidgets as widgets
import matplotlib.pyplot as plt
import torch

from course_lib.data.compose import Scene
from course_lib.data.sprites import CLASSES
from course_lib.figures.unet.architecture import architecture
from course_lib.figures.unet.feature_maps import compare_segmentations
from course_lib.figures.unet.trace import (
    COPY,
    Operation,
    encoder_and_bottleneck,
    largest_valid_size,
    receptive_rows,
    trace,
)
from course_lib.profiling.timing import one_thread
from course_lib.unet import UNet
from course_lib.unet.surgery import encode, run_with_edited_skips
from course_lib.widgets import add_tooltip, control_row, picture_widget, show_widget

MAX_DEPTH = 5


class Network(NamedTuple):
    """A kind of U-Net: its channels, its options, and the upper limit of its input size."""

    in_channels: int
    out_channels: int
    options: dict[str, Any]
    max_size: int


NETWORKS = {
    "the paper's: unpadded": Network(1, 2, {"padding": False, "normalisation": "none"}, 572),
    "the course's: padded, batch norm": Network(
        3, len(CLASSES) + 1, {"padding": True, "normalisation": "batch"}, 128
    ),
}
SKIPS = {"all": None, "only the deepest": 1, "none": 0}
_DPI = 75


class RenderedUNet(NamedTuple):
    """A drawing (PNG) and its description."""

    image: bytes
    description: str


class UNetBuilder(widgets.VBox):
    """Controls for a U-Net's depth, width, convolutions and skip connections, and its drawing.

    The networks are on torch's ``meta`` device, where tensors have shapes but no values, so even a
    large network takes no memory.
    """

    def __init__(self) -> None:
        self.depth = add_tooltip(
            widgets.IntSlider(4, 1, MAX_DEPTH, description="depth"),
            "number of encoder and of decoder steps",
        )
        self.width = add_tooltip(
            widgets.Dropdown(options=[8, 16, 32, 64], value=64, description="width"),
            "channels of the first step",
        )
        self.network = add_tooltip(
            widgets.Dropdown(options=list(NETWORKS), description="network"), "kind of network"
        )
        self.skips = add_tooltip(
            widgets.Dropdown(options=list(SKIPS), description="skips"), "skip connections"
        )
        self.picture = picture_widget("png")
        self.message = widgets.HTML()
        controls = (self.depth, self.width, self.network, self.skips)
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        super().__init__([control_row(*controls), self.picture, self.message])

    def _update(self, change: object = None) -> None:
        unet = _render(self.depth.value, self.width.value, self.network.value, self.skips.value)
        self.message.value, self.picture.value = unet.description, unet.image


def unet_builder() -> None:
    """Show :class:`UNetBuilder`, initially with the paper's U-Net."""
    widget = UNetBuilder()
    alt = (
        "A U-Net drawn as a U: boxes for its feature maps, arrows for convolutions, pooling, "
        "upsampling and copies."
    )
    caption = (
        "Numbers above the boxes are channels, numbers below are sides in pixels. The network at "
        f"the beginning: {widget.message.value}"
    )
    show_widget(widget, widget.picture.value, alt, caption)


@lru_cache(64)
def _render(depth: int, width: int, network: str, skips: str) -> RenderedUNet:
    in_channels, out_channels, options, max_size = NETWORKS[network]
    skip_count = SKIPS[skips]
    with torch.device("meta"):
        model = UNet(
            in_channels,
            out_channels,
            width=width,
            depth=depth,
            skips=skip_count and min(skip_count, depth),
            **options,
        )
    size = largest_valid_size(depth, model.padding, max_size)
    figure = architecture(model, size)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    plt.close(figure)
    return RenderedUNet(buffer.getvalue(), _describe(trace(model, size)))


def _describe(operations: list[Operation]) -> str:
    """The network in a few sentences, from its trace."""
    down = encoder_and_bottleneck(operations)
    _, in_height, in_width = operations[0].input_shape
    _, out_height, out_width = operations[-1].output_shape
    channels, height, width = down[-1].output_shape
    # For a value in the middle, whose receptive field the border truncates least.
    field = len(receptive_rows(down, height // 2))
    parameters = sum(operation.parameters for operation in operations)
    bottleneck = sum(
        operation.parameters for operation in down if operation.name.startswith("bottleneck")
    )
    copies = sum(operation.kind == COPY for operation in operations)
    return (
        f"Input {in_height} × {in_width} pixels, output {out_height} × {out_width}. "
        f"{parameters:,} parameters, {bottleneck / parameters:.0%} of them in the bottleneck. Its "
        f"feature maps are {channels} × {height} × {width}; the receptive field of each value is "
        f"{field} × {field} pixels. Skip connections: {copies}."
    )


SURGERY = ("its own map", "zeros", "the other scene's map")


class SkipSurgery(widgets.VBox):
    """A control for each skip connection of a trained U-Net, and the network's new prediction.

    Args:
        model: a trained U-Net, on the CPU, in eval mode.
        scene: the scene to segment.
        other: a scene of the same size, whose feature maps a skip connection can carry.
    """

    def __init__(self, model: UNet, scene: Scene, other: Scene) -> None:
        self._model, self._scene, self._other = model, scene, other
        with torch.no_grad():
            self._other_skips, _ = encode(model, other.image[None])
        self.levels = [
            add_tooltip(
                widgets.Dropdown(options=SURGERY, description=f"level {level}"),
                f"what the skip connection of level {level} carries; 0 has the highest resolution",
            )
            for level in range(model.depth)
        ]
        self.picture = picture_widget("png")
        self.message = widgets.HTML()
        for control in self.levels:
            control.observe(self._update, "value")
        self._update()
        super().__init__([control_row(*self.levels), self.picture, self.message])

    def _edit(self, level: int, skip: torch.Tensor) -> torch.Tensor:
        choice = SURGERY.index(self.levels[level].value)
        return (skip, torch.zeros_like(skip), self._other_skips[level])[choice]

    def _update(self, change: object = None) -> None:
        with one_thread():
            logits = run_with_edited_skips(self._model, self._scene.image[None], self._edit)
        prediction = logits.argmax(1)[0]
        accuracy = float((prediction == self._scene.semantic).float().mean())
        predictions = {"with these skips": prediction}
        captions = {"with these skips": f"{accuracy:.1%} of the pixels right"}
        # In one row, so that the controls and the picture fit on the screen of a laptop.
        figure = compare_segmentations(self._scene, predictions, captions, one_row=True)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        plt.close(figure)
        self.picture.value = buffer.getvalue()
        carried = ", ".join(f"level {level}: {box.value}" for level, box in enumerate(self.levels))
        self.message.value = f"{accuracy:.1%} of the pixels are right. {carried}."


def skip_surgery(model: UNet, scene: Scene, other: Scene) -> None:
    """Show :class:`SkipSurgery`, which documents the arguments."""
    widget = SkipSurgery(model, scene, other)
    alt = (
        "A scene, its ground truth, the network's prediction, and its wrong pixels in black. "
        "Initially every skip connection carries its own feature map."
    )
    caption = (
        "What the trained network predicts when its skip connections carry something else. "
        "Now all of them carry their own maps."
    )
    show_widget(widget, widget.picture.value, alt, caption)
