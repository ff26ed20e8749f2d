"""The animation of lesson 6, drawn with Pillow: a picture on its way out of the noise, as a GIF
with alt text.
"""

import io
from collections.abc import Sequence

from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib import mode
from course_lib.compression.codecs import whole_bytes
from course_lib.diffusion.trajectory import Frame
from course_lib.figures import figure_html
from course_lib.figures.style import INK, PAPER
from course_lib.widgets import font

SIDE = 256  # pixels, of a pane
_GAP, _TITLE = 12, 28


def gif(frames: Sequence[Frame], milliseconds: int = 220, hold: int = 2500) -> bytes:
    """The frames as an animation that repeats: the noisy latent decoded, and what the denoiser sees
    in it.

    Args:
        frames: at least two.
        milliseconds: how long each is shown.
        hold: how long the last one is.

    Raises:
        ValueError: if there are fewer.
    """
    if len(frames) < 2:
        raise ValueError(f"{len(frames)} frames: an animation needs at least two.")
    sheets = [
        panes({f"time {one.t}": one.picture, "what the denoiser sees": one.guess}) for one in frames
    ]
    # The colours of a GIF are at most 256: chosen from the last frame and the first together, so
    # that none flickers.
    both = Image.new("RGB", (sheets[0].width, 2 * sheets[0].height))
    for place, sheet in enumerate((sheets[0], sheets[-1])):
        both.paste(sheet, (0, place * sheet.height))
    palette = both.quantize(256)
    first, *others = (sheet.quantize(palette=palette) for sheet in sheets)
    durations, file = [milliseconds] * len(others) + [hold], io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return file.getvalue()


def panes(pictures: dict[str, Float[Tensor, "3 height width"]], side: int = SIDE) -> Image.Image:
    """Pictures in [0, 1] beside each other, enlarged, each below its title."""
    sheet = Image.new("RGB", (len(pictures) * (side + _GAP) - _GAP, side + _TITLE), PAPER)
    pen = ImageDraw.Draw(sheet)
    for index, (title, picture) in enumerate(pictures.items()):
        left = index * (side + _GAP)
        pen.text((left, _TITLE / 2), title, fill=INK, font=font(14, bold=True), anchor="lm")
        large = Image.fromarray(whole_bytes(picture)).resize((side, side), Image.Resampling.BICUBIC)
        sheet.paste(large, (left, _TITLE))
    return sheet


def show_gif(animation: bytes, alt: str, caption: str) -> None:
    """Show a GIF in the notebook, with alt text and caption; while grading, nothing is shown."""
    from IPython.display import HTML, display

    if mode() != "grading":
        with Image.open(io.BytesIO(animation)) as opened:
            width = opened.width
        display(HTML(figure_html(animation, alt, caption, mime="image/gif", width=width)))
