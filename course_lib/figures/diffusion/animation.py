"""The animation of lesson 6: denoising as a GIF."""

import io
from collections.abc import Sequence

from PIL import Image

from course_lib import mode
from course_lib.diffusion.trajectory import Frame
from course_lib.figures import figure_html
from course_lib.figures.images import titled_images


def gif_bytes(frames: Sequence[Frame], milliseconds: int = 220, hold: int = 2500) -> bytes:
    """The frames as a looping GIF: the decoded latent, and the predicted clean image.

    Args:
        frames: at least two.
        milliseconds: duration of a frame.
        hold: duration of the last frame, in milliseconds.

    Raises:
        ValueError: if there are fewer than two frames.
    """
    if len(frames) < 2:
        raise ValueError(f"{len(frames)} frames: an animation needs at least two.")
    images = [
        titled_images({f"t = {frame.t}": frame.image, "predicted image": frame.predicted_image})
        for frame in frames
    ]
    # A GIF has at most 256 colours. One palette, made from all frames, prevents flicker; without
    # dithering, uniform areas stay uniform.
    stacked = Image.new("RGB", (images[0].width, len(images) * images[0].height))
    for index, image in enumerate(images):
        stacked.paste(image, (0, index * image.height))
    palette = stacked.quantize(256)
    first, *others = (image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images)
    durations = [milliseconds] * len(others) + [hold]
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return buffer.getvalue()


def show_gif(animation: bytes, alt: str, caption: str) -> None:
    """Show a GIF in the notebook, with alt text and caption; in grading mode, show nothing."""
    from IPython.display import HTML, display

    if mode() != "grading":
        with Image.open(io.BytesIO(animation)) as image:
            width = image.width
        display(HTML(figure_html(animation, alt, caption, mime="image/gif", width=width)))
