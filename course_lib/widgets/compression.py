"""What lesson 4 lets you touch: JPEG's quality, block by block, and a walk among latents."""

import io
from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib.compression import jpeg
from course_lib.compression.codecs import decoded, encoded, pillow, whole_bytes
from course_lib.data import photos
from course_lib.data.captioned import Captioned
from course_lib.figures.convolution.kernels import SIGNED, typeset
from course_lib.figures.style import FAINT, INK, MUTED, ORANGE, PAPER
from course_lib.metrics.images import psnr
from course_lib.profiling.timing import one_thread
from course_lib.sd.vae import AutoencoderKL
from course_lib.widgets import font, named, show_widget

_PHOTO = 320  # pixels, the side of the photo
_SCALE = 2  # times as large on the screen, so that blocks can be seen
_CELL = 38  # pixels on the screen for each of a block's 64 numbers
_GAP, _TITLE = 16, 26
_SHADES = (SIGNED(np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)


class JpegBlocks(widgets.VBox):
    """Sliders for the quality and for a block of a photo: the block's numbers on their way, and the
    whole photo.

    Args:
        names: of the photos to choose from.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.photo = named(widgets.Dropdown(options=names, description="photo"), "photo")
        sliders = {
            "quality": (1, 100, 20),
            "row": (0, _PHOTO // 8 - 1, 12),
            "column": (0, _PHOTO // 8 - 1, 18),
        }
        words = {
            "quality": "quality of the JPEG",
            "row": "row of the block",
            "column": "column of the block",
        }
        self.quality, self.row, self.column = (
            named(widgets.IntSlider(start, low, high, description=name), words[name])
            for name, (low, high, start) in sliders.items()
        )
        self.picture = widgets.Image(
            format="jpeg", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        self.message = widgets.HTML()
        for control in (self.photo, self.quality, self.row, self.column):
            control.observe(self._update, "value")
        self._update()
        controls = widgets.HBox([self.photo, self.quality, self.row, self.column])
        controls.layout.flex_flow = "row wrap"
        super().__init__([controls, self.picture, self.message])

    def _update(self, change: object = None) -> None:
        with one_thread():
            image = photos.photo(self.photo.value, _PHOTO)
            quality, place = self.quality.value, (self.row.value, self.column.value)
            found = jpeg.compress(image, quality)
            back = jpeg.decompress(found)
            before = jpeg.blocks(jpeg.planes(image)[0])[place] + 128
            number, step = found.numbers[0][place].float(), found.steps[0]
            after = (jpeg.inverse_dct(number * step) + 128).clamp(0, 255)
            self.picture.value = _as_jpeg(
                _drawn(back, place, before, jpeg.dct(before - 128), number, after)
            )
        kept = sum(int((part != 0).sum()) for part in found.numbers) / image.numel()
        file = pillow(image, "JPEG", quality, subsampling=0)
        self.message.value = (
            f"This block: {int((number != 0).sum())} of 64 numbers are not 0. Whole photo: {kept:.1%} are not 0, "
            f"{psnr(back, image):.1f} dB. Pillow's file at quality {quality}: {file.bytes:,} bytes, "
            f"where the photo has {image.numel():,}."
        )


def jpeg_blocks(names: Sequence[str] | None = None) -> None:
    """Show JPEG at work on a block; ``names`` are those of the held-out photos unless others are
    given.
    """
    widget = JpegBlocks(names or photos.names("held-out"))
    alt = (
        "A photo as JPEG gives it back, with a frame around one block, and four tables of 64 numbers: the block's "
        "pixels, its amounts of waves, these amounts as whole numbers, and the pixels that come back."
    )
    caption = "The framed block: its pixels, how much of each wave is in it, what is stored, and what comes back."
    show_widget(widget, widget.picture.value, alt, caption, mime="image/jpeg")


class LatentWalk(widgets.VBox):
    """Two pictures, and sliders that mix their latents and move the channels of the mixture.

    Args:
        model: the autoencoder.
        pictures: at least two, of one size.

    Raises:
        ValueError: if there are fewer.
    """

    def __init__(self, model: AutoencoderKL, pictures: Sequence[Captioned]) -> None:
        if len(pictures) < 2:
            raise ValueError(f"{len(pictures)} pictures: give at least two to walk between.")
        self._model, self._pictures = model, pictures
        self._latents = [encoded(model, one.image) for one in pictures]
        self._spread = torch.stack(self._latents).std((0, 2, 3))
        options = [(one.caption, index) for index, one in enumerate(pictures)]
        self.first, self.second = (
            named(
                widgets.Dropdown(options=options, value=index, description=word), f"{word} picture"
            )
            for index, word in enumerate(("from", "to"))
        )
        self.share = _slider("way", 0.5, 0, 1, "how far from the first picture to the second")
        self.moves = [
            _slider(
                f"channel {index}",
                0,
                -3,
                3,
                f"how far channel {index} is moved, in its standard deviations",
            )
            for index in range(len(self._spread))
        ]
        self.picture = widgets.Image(
            format="jpeg", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        for control in (self.first, self.second, self.share, *self.moves):
            control.observe(self._update, "value")
        self._update()
        rows = [widgets.HBox(row) for row in ((self.first, self.second, self.share), self.moves)]
        for row in rows:
            row.layout.flex_flow = "row wrap"
        super().__init__([*rows, self.picture])

    def latent(self) -> Float[Tensor, "latents rows columns"]:
        """The mixture, with its channels moved, as the sliders stand."""
        ends, share = (
            (self._latents[self.first.value], self._latents[self.second.value]),
            self.share.value,
        )
        moves = torch.tensor([slider.value for slider in self.moves]) * self._spread
        return torch.lerp(*ends, share) + moves[:, None, None]

    def _update(self, change: object = None) -> None:
        ends = [self._pictures[choice.value].image for choice in (self.first, self.second)]
        walked, mixed = decoded(self._model, self.latent()), torch.lerp(*ends, self.share.value)
        titles = ("from", "decoded from the latent", "the pixels, mixed", "to")
        tiles = [
            _tile(image, title)
            for image, title in zip((ends[0], walked, mixed, ends[1]), titles, strict=True)
        ]
        width = tiles[0].width + _GAP
        strip = Image.new("RGB", (len(tiles) * width - _GAP, tiles[0].height), PAPER)
        for index, tile in enumerate(tiles):
            strip.paste(tile, (index * width, 0))
        self.picture.value = _as_jpeg(strip)


def latent_walk(model: AutoencoderKL, pictures: Sequence[Captioned]) -> None:
    """Show the walk among latents; the arguments are those of :class:`LatentWalk`."""
    widget = LatentWalk(model, pictures)
    alt = (
        f"Four pictures: {pictures[0].caption}, {pictures[1].caption}, and between them what the mean of their "
        "latents decodes to, and the mean of their pixels."
    )
    caption = "Half of the way from one picture to another, among the latents and among the pixels."
    show_widget(widget, widget.picture.value, alt, caption, mime="image/jpeg")


def _slider(word: str, start: float, low: float, high: float, name: str) -> widgets.FloatSlider:
    """It answers when it is let go: decoding takes longer than a mouse needs for its next step."""
    return named(
        widgets.FloatSlider(
            start, min=low, max=high, step=0.05, description=word, continuous_update=False
        ),
        name,
    )


def _tile(image: Float[Tensor, "3 height width"], title: str, side: int = 256) -> Image.Image:
    """A picture enlarged, below its title."""
    tile = Image.new("RGB", (side, side + _TITLE), PAPER)
    ImageDraw.Draw(tile).text(
        (0, _TITLE / 2), title, fill=INK, font=font(14, bold=True), anchor="lm"
    )
    tile.paste(
        Image.fromarray(whole_bytes(image)).resize((side, side), Image.Resampling.BICUBIC),
        (0, _TITLE),
    )
    return tile


def _drawn(
    back: Float[Tensor, "3 height width"],
    place: tuple[int, int],
    before: Float[Tensor, "8 8"],
    amounts: Float[Tensor, "8 8"],
    numbers: Float[Tensor, "8 8"],
    after: Float[Tensor, "8 8"],
) -> Image.Image:
    """The photo that comes back with a frame around the block, and four tables of numbers beside
    it.
    """
    side, table = _SCALE * _PHOTO, 8 * _CELL
    sheet = Image.new(
        "RGB", (side + 2 * (_GAP + table) + 1, max(side, 2 * (table + _TITLE) + _GAP + 1)), PAPER
    )
    whole = Image.fromarray(whole_bytes(back)).resize((side, side), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(whole)
    top, left = (8 * _SCALE * index for index in place)
    pen.rectangle(
        (left - 3, top - 3, left + 8 * _SCALE + 2, top + 8 * _SCALE + 2), outline=ORANGE, width=3
    )
    sheet.paste(whole, (0, 0))
    tables = (
        *(("pixels", before, None), ("amounts of the 64 waves", amounts, 60.0)),
        *(("in the file: amounts / steps", numbers, 4.0), ("pixels that come back", after, None)),
    )
    for index, (title, values, top_value) in enumerate(tables):
        corner = (side + _GAP + index % 2 * (table + _GAP), index // 2 * (table + _TITLE + _GAP))
        _table(sheet, corner, title, values, top_value)
    return sheet


def _table(
    sheet: Image.Image,
    corner: tuple[int, int],
    title: str,
    values: Float[Tensor, "8 8"],
    top: float | None,
) -> None:
    """64 whole numbers in cells: grey from 0 to 255, or coloured by their sign, in full at
    ``top``.
    """
    pen, (left, above) = ImageDraw.Draw(sheet), corner
    pen.text((left, above + _TITLE / 2), title, fill=INK, font=font(14, bold=True), anchor="lm")
    for row, column in np.ndindex(8, 8):
        value = round(float(values[row, column]))
        x, y = left + column * _CELL, above + _TITLE + row * _CELL
        if top is None:
            shade, ink = (value,) * 3, INK if value >= 128 else PAPER
        else:  # not up to the darkest shades, on which the ink could not be read
            shade = tuple(_SHADES[round(127.5 + 80 * min(max(value / top, -1), 1))].tolist())
            ink = INK if value else MUTED
        pen.rectangle((x, y, x + _CELL, y + _CELL), fill=shade, outline=FAINT)
        pen.text(
            (x + _CELL / 2, y + _CELL / 2),
            typeset(f"{value}"),
            fill=ink,
            font=font(12),
            anchor="mm",
        )


def _as_jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=90, subsampling=0)
    return buffer.getvalue()
