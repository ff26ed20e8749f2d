"""The widgets of lesson 4: JPEG block by block, and interpolation between latents."""

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib.compression import jpeg
from course_lib.compression.codecs import decode, encode, pillow, to_uint8
from course_lib.compression.shortcut_autoencoder import Autoencoder
from course_lib.data import photos
from course_lib.data.captioned import CaptionedPicture
from course_lib.figures.convolution.kernels import format_number
from course_lib.figures.images import jpeg_bytes, titled_images
from course_lib.figures.style import DIVERGING_RGB, FAINT, INK, MUTED, ORANGE, PAPER, font
from course_lib.metrics.images import psnr
from course_lib.profiling.timing import one_thread
from course_lib.widgets import add_tooltip, control_row, picture_widget, show_widget, wide_layout

Block = Float[Tensor, "8 8"]

_PHOTO_SIZE = 320  # pixels
_SCALE = 2  # screen pixels per pixel of the photo, so that blocks are visible
_CELL = 38  # screen pixels per number of a block
_TABLE = 8 * _CELL
_GAP, _TITLE_HEIGHT = 16, 26


class JpegBlocks(widgets.VBox):
    """Controls for a photo, a quality and a block; the block's numbers, and the decoded photo.

    Args:
        names: of the photos to choose from.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.photo = add_tooltip(widgets.Dropdown(options=names, description="photo"), "photo")
        last = _PHOTO_SIZE // 8 - 1
        self.quality, self.row, self.column = (
            add_tooltip(widgets.IntSlider(value, low, high, description=name), tooltip)
            for name, low, high, value, tooltip in (
                ("quality", 1, 100, 20, "quality of the JPEG"),
                ("row", 0, last, 12, "row of the block"),
                ("column", 0, last, 18, "column of the block"),
            )
        )
        self.picture = picture_widget()
        self.message = widgets.HTML()
        controls = (self.photo, self.quality, self.row, self.column)
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        super().__init__([control_row(*controls), self.picture, self.message])

    def _update(self, change: object = None) -> None:
        image = photos.photo(self.photo.value, _PHOTO_SIZE)
        quality, position = self.quality.value, (self.row.value, self.column.value)
        with one_thread():
            compressed = jpeg.compress(image, quality)
            decoded = jpeg.decompress(compressed)
            pixels = jpeg.to_blocks(jpeg.to_planes(image)[0])[position] + 128
            quantised = compressed.coefficients[0][position].float()
            dequantised = quantised * compressed.tables[0]
            tables = (
                ("pixels", pixels, None),
                ("DCT coefficients", jpeg.dct(pixels - 128), 60.0),
                ("quantised coefficients", quantised, 4.0),
                ("decoded pixels", (jpeg.inverse_dct(dequantised) + 128).clamp(0, 255), None),
            )
            self.picture.value = jpeg_bytes(_photo_and_tables(decoded, position, tables))
        nonzero = sum(int((plane != 0).sum()) for plane in compressed.coefficients)
        file = pillow(image, "JPEG", quality, subsampling=0)
        self.message.value = (
            f"This block: {int((quantised != 0).sum())} of 64 coefficients are not 0. "
            f"Whole photo: {nonzero / image.numel():.1%} are not 0, "
            f"PSNR {psnr(decoded, image):.1f} dB. Pillow's file at quality {quality} has "
            f"{file.bytes:,} bytes, the uncompressed photo {image.numel():,}."
        )


def jpeg_blocks(names: Sequence[str] | None = None) -> None:
    """Show :class:`JpegBlocks`, by default for the held-out photos."""
    widget = JpegBlocks(names or photos.names("held-out"))
    alt = (
        "A photo decoded from JPEG, with a frame around one block, and four tables of 64 numbers: "
        "the block's pixels, its DCT coefficients, the quantised coefficients, and the decoded "
        "pixels."
    )
    caption = "The framed block: its pixels, its coefficients, what is stored, and what is decoded."
    show_widget(widget, widget.picture.value, alt, caption, mime="image/jpeg")


class LatentWalk(widgets.VBox):
    """Two pictures, and sliders that interpolate their latents and change the result's channels.

    Args:
        model: the autoencoder.
        pictures: at least two, of equal size.

    Raises:
        ValueError: if there are fewer than two pictures.
    """

    def __init__(self, model: Autoencoder, pictures: Sequence[CaptionedPicture]) -> None:
        if len(pictures) < 2:
            raise ValueError(f"{len(pictures)} pictures: give at least two to interpolate between.")
        self._model, self._pictures = model, pictures
        self._latents = [encode(model, picture.image) for picture in pictures]
        self._std = torch.stack(self._latents).std((0, 2, 3))
        options = [(picture.caption, index) for index, picture in enumerate(pictures)]
        self.first, self.second = (
            add_tooltip(
                widgets.Dropdown(
                    options=options, value=index, description=name, layout=wide_layout()
                ),
                f"{name} picture",
            )
            for index, name in enumerate(("from", "to"))
        )
        self.weight = _slider("weight", 0.5, 0, 1, "weight of the second picture")
        self.channels = [
            _slider(f"channel {index}", 0, -3, 3, f"change of channel {index}, in its std")
            for index in range(len(self._std))
        ]
        self.picture = picture_widget()
        for control in (self.first, self.second, self.weight, *self.channels):
            control.observe(self._update, "value")
        self._update()
        ends = control_row(self.first, self.second, self.weight)
        super().__init__([ends, control_row(*self.channels), self.picture])

    def latent(self) -> Float[Tensor, "latents rows columns"]:
        """The interpolated latent with the changes of its channels."""
        first, second = self._latents[self.first.value], self._latents[self.second.value]
        changes = torch.tensor([slider.value for slider in self.channels]) * self._std
        return torch.lerp(first, second, self.weight.value) + changes[:, None, None]

    def _update(self, change: object = None) -> None:
        first, second = (
            self._pictures[control.value].image for control in (self.first, self.second)
        )
        images = {
            "from": first,
            "decoded latent": decode(self._model, self.latent()),
            "interpolated pixels": torch.lerp(first, second, self.weight.value),
            "to": second,
        }
        self.picture.value = jpeg_bytes(titled_images(images))


def latent_walk(model: Autoencoder, pictures: Sequence[CaptionedPicture]) -> None:
    """Show :class:`LatentWalk`, which documents the arguments."""
    widget = LatentWalk(model, pictures)
    alt = (
        f"Four images: {pictures[0].caption}, {pictures[1].caption}, and between them the decoded "
        "mean of their latents, and the mean of their pixels."
    )
    caption = "Half-way between two pictures, in latent space and in pixel space."
    show_widget(widget, widget.picture.value, alt, caption, mime="image/jpeg")


def _slider(
    name: str, value: float | int, low: int, high: int, tooltip: str
) -> widgets.FloatSlider:
    """A slider that updates on release, because decoding is too slow to follow dragging."""
    slider = widgets.FloatSlider(
        value, min=low, max=high, step=0.05, description=name, continuous_update=False
    )
    return add_tooltip(slider, tooltip)


def _photo_and_tables(
    photo: Float[Tensor, "3 height width"],
    position: tuple[int, int],
    tables: Sequence[tuple[str, Block, float | None]],
) -> Image.Image:
    """The photo with a block outlined, and the tables to its right.

    Args:
        photo: in [0, 1].
        position: row and column of the block, counted in blocks.
        tables: of each, the title, numbers, and limit of the diverging colours; None for pixels.
    """
    side = _SCALE * _PHOTO_SIZE
    width, height = side + 2 * (_GAP + _TABLE) + 1, 2 * (_TABLE + _TITLE_HEIGHT) + _GAP + 1
    canvas = Image.new("RGB", (width, max(side, height)), PAPER)
    enlarged = Image.fromarray(to_uint8(photo)).resize((side, side), Image.Resampling.NEAREST)
    block = 8 * _SCALE
    top, left = (block * index for index in position)
    ImageDraw.Draw(enlarged).rectangle(
        (left - 3, top - 3, left + block + 2, top + block + 2), outline=ORANGE, width=3
    )
    canvas.paste(enlarged, (0, 0))
    for index, (title, values, limit) in enumerate(tables):
        row, column = divmod(index, 2)
        x = side + _GAP + column * (_TABLE + _GAP)
        y = row * (_TABLE + _TITLE_HEIGHT + _GAP)
        _draw_table(canvas, (x, y), title, values, limit)
    return canvas


def _draw_table(
    canvas: Image.Image, corner: tuple[int, int], title: str, values: Block, limit: float | None
) -> None:
    """Draw 64 rounded numbers in cells: grey from 0 to 255, or diverging up to ``limit``."""
    draw, (left, top) = ImageDraw.Draw(canvas), corner
    draw.text(
        (left, top + _TITLE_HEIGHT / 2), title, fill=INK, font=font(14, bold=True), anchor="lm"
    )
    for row, column in np.ndindex(8, 8):
        value = round(float(values[row, column]))
        x, y = left + column * _CELL, top + _TITLE_HEIGHT + row * _CELL
        if limit is None:
            fill, ink = (value,) * 3, INK if value >= 128 else PAPER
        else:  # without the darkest colours, on which the text would be illegible
            relative = min(max(value / limit, -1), 1)
            fill = tuple(DIVERGING_RGB[round(127.5 + 80 * relative)].tolist())
            ink = INK if value else MUTED
        draw.rectangle((x, y, x + _CELL, y + _CELL), fill=fill, outline=FAINT)
        centre = (x + _CELL / 2, y + _CELL / 2)
        draw.text(centre, format_number(f"{value}"), fill=ink, font=font(12), anchor="mm")
