"""Images drawn with Pillow, and their bytes as image files, for widgets and animations."""

import io
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib.compression.codecs import to_uint8
from course_lib.figures.style import INK, PAPER, font
from course_lib.figures.text import drawable

_GAP, _TITLE_HEIGHT, _INDENT = 12, 28, 4  # pixels


def titled_images(images: Mapping[str, Float[Tensor, "3 _ _"]], side: int = 256) -> Image.Image:
    """Images in [0, 1] side by side, enlarged to ``side`` pixels, each below its title.

    All titles have the same size: the largest, up to 14, at which the longest fits its image.
    """
    titles = [drawable(title) for title in images]
    sizes = (font(size, bold=True) for size in range(14, 7, -1))
    fitting = (one for one in sizes if max(map(one.getlength, titles)) <= side - 2 * _INDENT)
    title_font = next(fitting, font(8, bold=True))
    canvas = Image.new("RGB", (len(images) * (side + _GAP) - _GAP, side + _TITLE_HEIGHT), PAPER)
    draw = ImageDraw.Draw(canvas)
    for index, (title, image) in enumerate(zip(titles, images.values(), strict=True)):
        left = index * (side + _GAP)
        position = (left + _INDENT, _TITLE_HEIGHT / 2)
        draw.text(position, title, fill=INK, font=title_font, anchor="lm")
        large = Image.fromarray(to_uint8(image)).resize((side, side), Image.Resampling.BICUBIC)
        canvas.paste(large, (left, _TITLE_HEIGHT))
    return canvas


def jpeg_bytes(image: Image.Image) -> bytes:
    """The image as a JPEG file: fast to encode and small, for widgets that redraw often."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def png_bytes(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def gif_bytes(frames: Sequence[Image.Image], milliseconds: int = 220, hold: int = 2500) -> bytes:
    """Frames of equal size as a looping GIF; the last frame stays for ``hold`` milliseconds."""
    stacked = Image.new("RGB", (frames[0].width, 2 * frames[0].height))
    stacked.paste(frames[0], (0, 0))
    stacked.paste(frames[-1], (0, frames[0].height))
    palette = stacked.quantize(256)  # one palette for all frames prevents flicker
    first, *others = (frame.quantize(palette=palette) for frame in frames)
    buffer = io.BytesIO()
    durations = [milliseconds] * len(others) + [hold]
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return buffer.getvalue()
