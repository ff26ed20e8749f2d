"""The widgets of lesson 2: a kernel that slides over an image, and a live editor of 3x3 kernels."""

import html
import time
from collections.abc import Callable

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib.convolution import edge_kernels
from course_lib.convolution.layers import conv2d
from course_lib.data import photos
from course_lib.figures import figure_png
from course_lib.figures.convolution.kernels import (
    Grey,
    Kernel,
    convolution_step,
    format_number,
    sum_of_products,
)
from course_lib.figures.images import jpeg_bytes
from course_lib.figures.style import DIVERGING_RGB, FAINT, GREEN, INK, PAPER, font
from course_lib.profiling.timing import one_thread
from course_lib.widgets import add_tooltip, control_row, picture_widget, show_widget

Convolution = Callable[[Tensor, Tensor], Tensor]

_CELL = 44  # screen pixels per pixel of the small image
_GAP = 12  # screen pixels between photo and output
_TIME_LIMIT = 0.06  # target seconds per redraw


class SlidingKernel(widgets.VBox):
    """Sliders for the position of an output pixel, its input window, and its sum of products.

    Args:
        image: in [0, 1], a few pixels wide and high.
        kernel: smaller than the image.
    """

    def __init__(self, image: Grey, kernel: Kernel) -> None:
        self._image, self._kernel = image, kernel
        self._output = conv2d(image[None, None], kernel[None, None])[0, 0]
        self.row, self.column = (
            add_tooltip(
                widgets.IntSlider(0, 0, count - 1, description=name), f"{name} of the output pixel"
            )
            for name, count in zip(("row", "column"), self._output.shape, strict=True)
        )
        self.picture = picture_widget()
        self.sum = widgets.HTML()
        for slider in (self.row, self.column):
            slider.observe(self._update, "value")
        self._update()
        super().__init__([control_row(self.row, self.column), self.picture, self.sum])

    def _update(self, change: object = None) -> None:
        row, column = self.row.value, self.column.value
        height, width = self._kernel.shape
        window = self._image[row : row + height, column : column + width]
        value = format_number(f"{self._output[row, column]:.2f}")
        self.sum.value = f"<pre>   {sum_of_products(window, self._kernel)}\n = {value}</pre>"
        pixels = (self._image * 255).byte().numpy()
        left = _draw_cells(self._image, pixels, (column, row, width, height), INK)
        limit = 1.6 * float(self._output.abs().max()) or 1.0
        colours = DIVERGING_RGB[(self._output / limit * 127.5 + 127.5).byte().numpy()]
        computed = row * self._output.shape[1] + column + 1
        right = _draw_cells(self._output, colours, (column, row, 1, 1), GREEN, computed)
        canvas = Image.new("RGB", (left.width + _CELL + right.width, left.height), PAPER)
        canvas.paste(left, (0, 0))
        canvas.paste(right, (left.width + _CELL, 0))
        self.picture.value = jpeg_bytes(canvas)


def sliding_kernel(image: Grey, kernel: Kernel) -> None:
    """Show :class:`SlidingKernel`, which documents the arguments."""
    figure = convolution_step(image, kernel, 0, 0)
    still = figure_png(figure)
    plt.close(figure)
    alt = (
        "A small grey image as numbers, an outline around the pixels under the kernel, each with "
        "its weight, and the first output."
    )
    caption = "The kernel at its first position: each pixel times its weight, all summed."
    show_widget(SlidingKernel(image, kernel), still, alt, caption)


class KernelEditor(widgets.VBox):
    """Nine editable weights, preset kernels and photos, and the output of a convolution.

    Args:
        convolution: ``convolution(image, kernel)`` of two (height, width) arrays or tensors, as the
            exercise asks for.
        size: side of the photo in pixels; reduced if the function is slow.
    """

    def __init__(self, convolution: Convolution, size: int = 256) -> None:
        self._convolution, self._size = convolution, size
        preset = "vertical edges (Sobel)"
        self.weights = []
        for index, value in enumerate(edge_kernels.kernel(preset).flatten().tolist()):
            position = f"row {index // 3 + 1}, column {index % 3 + 1}"
            # Bounded, because "1e999" in an unbounded field is infinite, which JSON can't transfer.
            field = widgets.BoundedFloatText(
                value,
                min=-1000,
                max=1000,
                step=0.5,
                description=position,
                layout=widgets.Layout(width="auto"),
            )
            field.style.description_width = "initial"
            self.weights.append(add_tooltip(field, f"kernel weight in {position}"))
        self.preset = add_tooltip(
            widgets.Dropdown(options=edge_kernels.names(), value=preset, description="kernel"),
            "kernel",
        )
        self.photo = add_tooltip(
            widgets.Dropdown(options=photos.names(), value="camera", description="photo"), "photo"
        )
        self.picture = picture_widget()
        self.message = widgets.HTML()
        with one_thread():
            self._reduce_size()
        for field in self.weights:
            field.observe(self._update, "value")
        self.photo.observe(self._update, "value")
        self.preset.observe(self._use_preset, "value")
        self._update()
        columns = "repeat(3, minmax(0, 190px))"  # narrower where the cell is narrow
        grid = widgets.GridBox(self.weights, layout=widgets.Layout(grid_template_columns=columns))
        super().__init__([control_row(self.preset, self.photo), grid, self.picture, self.message])

    def kernel(self) -> Float[Tensor, "3 3"]:
        """The kernel in the nine fields."""
        return torch.tensor([field.value for field in self.weights]).view(3, 3)

    def _reduce_size(self) -> None:
        """Time the function on 24x24 pixels, and reduce the photo if it would be too slow."""
        seconds = []
        try:
            for _ in range(3):
                start = time.perf_counter()
                self._convolution(torch.zeros(24, 24), self.kernel())
                seconds.append(time.perf_counter() - start)
        except Exception:  # an error in the learner's code, which _run reports
            return
        pixels = 24**2 * _TIME_LIMIT / max(min(seconds), 1e-9)
        self._size = int(min(self._size, max(32, pixels**0.5)))

    def _use_preset(self, change: object) -> None:
        values = edge_kernels.kernel(self.preset.value).flatten().tolist()
        for field in self.weights:
            field.unobserve(self._update, "value")  # one update for all nine fields
        for field, value in zip(self.weights, values, strict=True):
            field.value = round(value, 4)
            field.observe(self._update, "value")
        self._update()

    def _update(self, change: object = None) -> None:
        image = photos.photo(self.photo.value, self._size, grey=True)[0]
        kernel = self.kernel()
        with one_thread():
            output, status, seconds = self._run(image, kernel)
            self.message.value = (
                f"{status} {self._size}x{self._size} pixels, {seconds * 1000:.1f} ms for the "
                "convolution."
            )
            self.picture.value = jpeg_bytes(_side_by_side(image, output, kernel))

    def _run(
        self, image: Grey, kernel: Float[Tensor, "3 3"]
    ) -> tuple[Float[Tensor, "rows columns"], str, float]:
        """Run the learner's function, or the library's if that fails.

        Returns:
            The output, a status message, and the seconds of the call that gave the output.
        """
        start = time.perf_counter()
        expected = conv2d(image[None, None], kernel[None, None])[0, 0]
        library_seconds = time.perf_counter() - start
        start = time.perf_counter()
        try:
            output = torch.as_tensor(self._convolution(image, kernel)).float()
        except NotImplementedError:
            problem = "is not written yet"
        except Exception as error:  # any error in the learner's code is shown
            problem = f"stopped with <b>{html.escape(f'{type(error).__name__}: {error}')}</b>"
        else:
            seconds = time.perf_counter() - start
            shape, expected_shape = tuple(output.shape), tuple(expected.shape)
            if shape == expected_shape:
                equal = torch.allclose(output, expected, atol=1e-3)
                status = "runs" if equal else "runs, but its output differs from the library's"
                return output, f"Your function {status}.", seconds
            problem = f"returned the shape {shape} where {expected_shape} was expected"
        status = f"Your function {problem}. The library's output is shown instead."
        return expected, status, library_seconds


def kernel_editor(convolution: Convolution, size: int = 256) -> None:
    """Show :class:`KernelEditor`, which documents the arguments.

    The still for viewers without a kernel is of the full size, however slow the function is.
    """
    widget = KernelEditor(convolution, size)
    image, kernel = photos.photo("camera", size, grey=True)[0], widget.kernel()
    response = conv2d(image[None, None], kernel[None, None])[0, 0]
    still = jpeg_bytes(_side_by_side(image, response, kernel))
    alt = (
        "A photo of a man with a camera, and next to it the response of Sobel's kernel for "
        "vertical edges."
    )
    caption = "Left the photo, right the response: orange below zero, white at zero, blue above."
    show_widget(widget, still, alt, caption, mime="image/jpeg")


def _side_by_side(
    image: Grey, output: Float[Tensor, "rows columns"], kernel: Float[Tensor, "3 3"]
) -> Image.Image:
    """The photo and the output, at least 256 pixels high; signed outputs in diverging colours."""
    if float(kernel.min()) < 0 and abs(float(kernel.sum())) < 0.5:
        # Saturated at a fixed fraction of the largest possible output: edits are comparable.
        # Sharp edges are rare, so the share is small.
        limit = float(kernel.abs().sum()) / 4
        pixels = DIVERGING_RGB[((output / limit).clamp(-1, 1) * 127.5 + 127.5).byte().numpy()]
    else:
        pixels = (output.clamp(0, 1) * 255).byte().numpy()
    side = max(256, image.shape[0])
    canvas = Image.new("RGB", (2 * side + _GAP, side), "white")
    for index, values in enumerate(((image * 255).byte().numpy(), pixels)):
        part = Image.fromarray(values).convert("RGB")
        part = part.resize((side, side), Image.Resampling.NEAREST)
        canvas.paste(part, (index * (side + _GAP), 0))
    return canvas


def _draw_cells(
    values: Grey,
    colours: np.ndarray,
    outline: tuple[int, int, int, int],
    outline_colour: str,
    computed: int | None = None,
) -> Image.Image:
    """A small image as large cells with numbers; some cells are outlined.

    Args:
        values: the numbers.
        colours: the colours of the cells, grey or RGB, uint8.
        outline: (left, top, width, height), in cells.
        outline_colour: of the outline.
        computed: how many cells to fill, by default all.
    """
    height, width = values.shape
    canvas = Image.new("RGB", (width * _CELL + 1, height * _CELL + 1), PAPER)
    draw = ImageDraw.Draw(canvas)
    for index, (row, column) in enumerate(np.ndindex(height, width)):
        left, top = column * _CELL, row * _CELL
        corners = (left, top, left + _CELL, top + _CELL)
        draw.rectangle(corners, outline=FAINT)
        if computed is None or index < computed:
            fill = tuple(np.broadcast_to(colours[row, column], 3).tolist())
            ink = INK if sum(fill) > 384 else PAPER
            draw.rectangle(corners, fill=fill, outline=FAINT)
            number = format_number(f"{values[row, column]:.2f}")
            centre = (left + _CELL / 2, top + _CELL / 2)
            draw.text(centre, number, fill=ink, font=font(13), anchor="mm")
    left, top, width, height = (_CELL * length for length in outline)
    corners = (left, top, left + width, top + height)
    draw.rectangle(corners, outline=PAPER, width=6)  # so that the line is visible on any grey
    draw.rectangle(corners, outline=outline_colour, width=4)
    return canvas
