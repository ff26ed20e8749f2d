"""The picture with which the course begins: images that a small network makes from sentences."""

from collections.abc import Sequence

import torch
from PIL import Image

from course_lib import mode
from course_lib.diffusion import text_to_image
from course_lib.diffusion.small_denoiser import decode
from course_lib.figures.diffusion.animation import show_gif
from course_lib.figures.images import gif_bytes, titled_images
from course_lib.figures.style import PAPER

_SIDE, _GAP = 262, 12  # screen pixels of one image, and between two


def show_promise(prompts: Sequence[str], steps: int = 10) -> None:
    """Show :func:`images_from_noise`; in grading mode, compute and show nothing."""
    if mode() == "grading":
        return
    show_gif(
        images_from_noise(prompts, steps),
        alt=f"An animation of {len(prompts)} images that begin as coloured noise and become, step "
        f"by step: {'; '.join(prompts)}.",
        caption="From noise to an image of the sentence above it. Each frame is one step.",
    )


def images_from_noise(prompts: Sequence[str], steps: int = 10, seed: int = 0) -> bytes:
    """A looping GIF, two images in a row: each goes from noise to the image of its sentence.

    The networks are those of lesson 6, as they are shipped.

    Args:
        prompts: sentences such as "an owl on an orange background", an even number.
        steps: of the sampler; a frame each.
        seed: of the noise.
    """
    pipeline = text_to_image.load()
    latents: list[torch.Tensor] = []
    pipeline.generate(
        list(prompts),
        sampler=text_to_image.SAMPLER,
        steps=steps,
        guidance=text_to_image.GUIDANCE,
        seed=seed,
        callback=lambda step, time, latent: latents.append(latent.cpu()),
    )
    frames = [_sheet(prompts, decode(pipeline.vae, latent)) for latent in latents]
    return gif_bytes(frames)


def _sheet(prompts: Sequence[str], images: torch.Tensor) -> Image.Image:
    """The images in rows of two, each below its sentence."""
    named = list(zip(prompts, images, strict=True))
    rows = [
        titled_images(dict(named[first : first + 2]), _SIDE) for first in range(0, len(named), 2)
    ]
    height = rows[0].height + _GAP
    sheet = Image.new("RGB", (rows[0].width, height * len(rows)), PAPER)
    for index, row in enumerate(rows):
        sheet.paste(row, (0, index * height))
    return sheet
