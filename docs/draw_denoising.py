"""Draw README's animation, ``denoising.webp``: ``uv run python docs/draw_denoising.py``.

The course's own text-to-image model denoises one latent in 20 DDIM steps. The left half shows the
latent of each step, decoded; the right half the clean image that the model predicts from it.
"""

import io
from pathlib import Path

from PIL import Image, ImageDraw

from course_lib.data.captioned import make_caption
from course_lib.diffusion import text_to_image
from course_lib.diffusion.trajectory import Frame, record_trajectory
from course_lib.figures.images import titled_images
from course_lib.figures.style import INK, MUTED, PAPER, font

FILE = Path(__file__).parent / "denoising.webp"
STEPS, SEED = 20, 0
FRAME_MS, FIRST_MS, LAST_MS = 160, 900, 2600
MARGIN, HEADER = 16, 44  # pixels


def main() -> None:
    """Write the animation next to this file."""
    prompt = make_caption("fox", "purple")
    model = text_to_image.load()
    frames = record_trajectory(
        model, prompt, steps=STEPS, guidance=text_to_image.GUIDANCE, seed=SEED
    )
    sheets = [sheet(prompt, step, frame) for step, frame in enumerate(frames)]
    durations = [FIRST_MS, *[FRAME_MS] * (len(sheets) - 2), LAST_MS]
    file = io.BytesIO()
    sheets[0].save(
        file,
        "WEBP",
        save_all=True,
        append_images=sheets[1:],
        duration=durations,
        loop=0,
        quality=80,
        method=6,
    )
    FILE.write_bytes(file.getvalue())


def sheet(prompt: str, step: int, frame: Frame) -> Image.Image:
    """One frame: the prompt and the step above the two images."""
    pictures = titled_images(
        {"latent, decoded": frame.image, "predicted clean image": frame.predicted_image}
    )
    width, height = pictures.width + 2 * MARGIN, pictures.height + HEADER + MARGIN
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, HEADER / 2), f"“{prompt}”", fill=INK, font=font(17, bold=True), anchor="lm")
    counter = f"step {step} of {STEPS}"
    draw.text((width - MARGIN, HEADER / 2), counter, fill=MUTED, font=font(14), anchor="rm")
    image.paste(pictures, (MARGIN, HEADER))
    return image


if __name__ == "__main__":
    main()
