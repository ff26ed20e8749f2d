"""What lesson 2 lets you touch: the kernel that walks over an image, and a live editor of 3x3
kernels.
"""

import io
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
from course_lib.figures import png
from course_lib.figures.convolution.kernels import SIGNED, sum_of_products, typeset, walk
from course_lib.figures.style import FAINT, GREEN, INK, ORANGE, PAPER
from course_lib.profiling.timing import one_thread
from course_lib.widgets import font, named, show_widget

Grey = Float[Tensor, "height width"]
Convolution = Callable[[Tensor, Tensor], Tensor]

_CELL = 44  # pixels on the screen for each pixel of the small image
_SHADES = (SIGNED(np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)


class KernelWalk(widgets.VBox):
    """Sliders for the row and the column of an output pixel, the window it is made from, and its
    sum.

    Args:
        image: in [0, 1], small enough that its pixels can be counted.
        kernel: smaller than the image.
    """

    def __init__(self, image: Grey, kernel: Float[Tensor, "kernel_height kernel_width"]) -> None:
        self._image, self._kernel = image, kernel
        self._output = conv2d(image[None, None], kernel[None, None])[0, 0]
        self.row, self.column = (
            named(
                widgets.IntSlider(0, 0, count - 1, description=name), f"{name} of the output pixel"
            )
            for name, count in zip(("row", "column"), self._output.shape, strict=True)
        )
        self.picture = widgets.Image(
            format="jpeg", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        self.sum = widgets.HTML()
        for slider in (self.row, self.column):
            slider.observe(self._update, "value")
        self._update()
        super().__init__([widgets.HBox([self.row, self.column]), self.picture, self.sum])

    def _update(self, change: object = None) -> None:
        row, column = self.row.value, self.column.value
        height, width = self._kernel.shape
        window = self._image[row : row + height, column : column + width]
        value = typeset(f"{self._output[row, column]:.2f}")
        self.sum.value = f"<pre>   {sum_of_products(window, self._kernel)}\n = {value}</pre>"
        left = _cells(
            self._image, (self._image * 255).byte().numpy(), (column, row, width, height), ORANGE
        )
        top = float(self._output.abs().max()) or 1.0
        shades = _SHADES[(self._output / (1.6 * top) * 127.5 + 127.5).byte().numpy()]
        right = _cells(
            self._output,
            shades,
            (column, row, 1, 1),
            GREEN,
            done=row * self._output.shape[1] + column + 1,
        )
        both = Image.new("RGB", (left.width + _CELL + right.width, left.height), PAPER)
        both.paste(left, (0, 0))
        both.paste(right, (left.width + _CELL, 0))
        self.picture.value = _jpeg(both)


def kernel_walk(image: Grey, kernel: Float[Tensor, "kernel_height kernel_width"]) -> None:
    """Show the kernel that walks over a small image; the arguments are those of
    :class:`KernelWalk`.
    """
    figure = walk(image, kernel, 0, 0)
    still = png(figure)
    plt.close(figure)
    alt = "A small grey image as numbers, a frame around the pixels under the kernel, the kernel, and its first output."
    show_widget(
        KernelWalk(image, kernel),
        still,
        alt,
        "The kernel at its first place: each pixel times the weight above it, all summed.",
    )


class KernelEditor(widgets.VBox):
    """Nine numbers, ready-made kernels and photos, and what a convolution makes of them, at once.

    Args:
        convolution: ``convolution(image, kernel)`` on two (height, width) arrays or tensors, as the
            exercise asks.
        size: side of the photo in pixels; less is used if the function is slow.
    """

    def __init__(self, convolution: Convolution, size: int = 256) -> None:
        self._convolution, self._size = convolution, size
        start = "vertical edges (Sobel)"
        self.numbers = []
        for index, value in enumerate(edge_kernels.kernel(start).flatten().tolist()):
            place = f"row {index // 3 + 1}, column {index % 3 + 1}"
            field = widgets.FloatText(
                value, step=0.5, description=place, layout=widgets.Layout(width="190px")
            )
            field.style.description_width = "initial"
            self.numbers.append(named(field, f"kernel weight in {place}"))
        self.preset = named(
            widgets.Dropdown(options=edge_kernels.names(), value=start, description="kernel"),
            "kernel",
        )
        self.photo = named(
            widgets.Dropdown(options=photos.names(), value="camera", description="photo"), "photo"
        )
        self.picture = widgets.Image(
            format="jpeg", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        self.message = widgets.HTML()
        with one_thread():
            self._choose_side()
        for field in self.numbers:
            field.observe(self._update, "value")
        self.photo.observe(self._update, "value")
        self.preset.observe(self._use_preset, "value")
        self._update()
        grid = widgets.VBox([widgets.HBox(self.numbers[start : start + 3]) for start in (0, 3, 6)])
        super().__init__(
            [widgets.HBox([self.preset, self.photo]), grid, self.picture, self.message]
        )

    def kernel(self) -> Float[Tensor, "3 3"]:
        """The kernel as it stands in the nine fields."""
        return torch.tensor([field.value for field in self.numbers]).view(3, 3)

    def _choose_side(self) -> None:
        """Time the function on 24x24 pixels, and take a photo that it should get through in 60
        ms.
        """
        seconds = []
        try:
            for _ in range(3):
                begin = time.perf_counter()
                self._convolution(torch.zeros(24, 24), self.kernel())
                seconds.append(time.perf_counter() - begin)
        except Exception:  # the learner's own code: what is wrong is said by _answer
            return
        pixels = 24**2 * 0.06 / max(min(seconds), 1e-9)
        self._size = int(min(self._size, max(32, pixels**0.5)))

    def _use_preset(self, change: object) -> None:
        chosen = edge_kernels.kernel(self.preset.value).flatten().tolist()
        for field in self.numbers:
            field.unobserve(self._update, "value")  # one picture for the nine of them
        for field, value in zip(self.numbers, chosen, strict=True):
            field.value = round(value, 4)
            field.observe(self._update, "value")
        self._update()

    def _update(self, change: object = None) -> None:
        image = photos.photo(self.photo.value, self._size, grey=True)[0]
        with one_thread():
            answer, whose, seconds = self._answer(image, self.kernel())
            self.message.value = f"{whose} {self._size}x{self._size} pixels, {seconds * 1000:.1f} ms for the convolution."
            self.picture.value = _jpeg(_side_by_side(image, answer, self.kernel()))

    def _answer(
        self, image: Grey, kernel: Float[Tensor, "3 3"]
    ) -> tuple[Float[Tensor, "rows columns"], str, float]:
        """The learner's answer, or the library's, a sentence that says which and why, and the
        seconds it took.
        """
        begin = time.perf_counter()
        expected = conv2d(image[None, None], kernel[None, None])[0, 0]
        instead = time.perf_counter() - begin
        try:
            begin = time.perf_counter()
            answer = torch.as_tensor(self._convolution(image, kernel)).float()
            seconds = time.perf_counter() - begin
        except NotImplementedError:
            return (
                expected,
                "Your function is not written yet, so the library's answers meanwhile.",
                instead,
            )
        except (
            Exception
        ) as error:  # whatever the learner's code raises is told, and the picture goes on
            problem = f"{type(error).__name__}: {error}".replace("<", "&lt;")
            return (
                expected,
                f"Your function stopped with <b>{problem}</b>. The library's answers meanwhile.",
                instead,
            )
        if answer.shape != expected.shape:
            shapes = f"{tuple(answer.shape)} where {tuple(expected.shape)} was expected"
            return (
                expected,
                f"Your function returned the shape {shapes}. The library's answers meanwhile.",
                instead,
            )
        if not torch.allclose(answer, expected, atol=1e-3):
            return (
                answer,
                "Your function answers, but not as the library does: look for the difference.",
                seconds,
            )
        return answer, "Your function answers.", seconds


def kernel_editor(convolution: Convolution, size: int = 256) -> None:
    """Show the live kernel editor; the arguments are those of :class:`KernelEditor`."""
    widget = KernelEditor(convolution, size)
    alt = "A photo of a man with a camera, and beside it the answer of Sobel's kernel for vertical edges."
    caption = "Left the photo, right what the kernel answers: orange below zero, white at zero, blue above."
    show_widget(widget, widget.picture.value, alt, caption, mime="image/jpeg")


def _side_by_side(
    image: Grey, answer: Float[Tensor, "rows columns"], kernel: Float[Tensor, "3 3"]
) -> Image.Image:
    """The photo and the answer, at least 256 pixels high: an answer that can be negative in the
    signed colours.
    """
    if float(kernel.min()) < 0 and abs(float(kernel.sum())) < 0.5:
        # Sharp edges are rare: full colour at a fixed share of the largest answer possible, so
        # edits can be compared.
        top = float(kernel.abs().sum()) / 4
        shades = _SHADES[((answer / top).clamp(-1, 1) * 127.5 + 127.5).byte().numpy()]
    else:
        shades = (answer.clamp(0, 1) * 255).byte().numpy()
    side = max(256, image.shape[0])
    parts = [Image.fromarray((image * 255).byte().numpy()), Image.fromarray(shades)]
    both = Image.new("RGB", (2 * side + 12, side), "white")
    for index, part in enumerate(parts):
        both.paste(
            part.convert("RGB").resize((side, side), Image.Resampling.NEAREST),
            (index * (side + 12), 0),
        )
    return both


def _cells(
    values: Grey,
    shades: np.ndarray,
    frame: tuple[int, int, int, int],
    colour: str,
    done: int | None = None,
) -> Image.Image:
    """A small image as large cells with numbers, the first ``done`` of them only, and a frame
    around some.

    Args:
        values: the numbers.
        shades: what the cells are filled with, grey or RGB, uint8.
        frame: (left, top, width, height), in cells.
        colour: of the frame.
        done: how many cells have been computed, all of them by default.
    """
    height, width = values.shape
    picture = Image.new("RGB", (width * _CELL + 1, height * _CELL + 1), PAPER)
    pen = ImageDraw.Draw(picture)
    for index, (row, column) in enumerate(np.ndindex(height, width)):
        left, top = column * _CELL, row * _CELL
        pen.rectangle((left, top, left + _CELL, top + _CELL), outline=FAINT)
        if done is None or index < done:
            shade = tuple(np.broadcast_to(shades[row, column], 3).tolist())
            pen.rectangle((left, top, left + _CELL, top + _CELL), fill=shade, outline=FAINT)
            number, ink = typeset(f"{values[row, column]:.2f}"), INK if sum(shade) > 384 else PAPER
            pen.text(
                (left + _CELL / 2, top + _CELL / 2), number, fill=ink, font=font(13), anchor="mm"
            )
    left, top, width, height = (_CELL * part for part in frame)
    pen.rectangle((left, top, left + width, top + height), outline=colour, width=4)
    return picture


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()
