"""The course's opening animation: images that a small network generates from sentences."""

from collections.abc import Sequence

import torch
from PIL import Image

from course_lib import mode
from course_lib.diffusion import text_to_image
from course_lib.diffusion.small_denoiser import decode
from course_lib.figures.diffusion.animation import show_gif
from course_lib.figures.images import gif_bytes, titled_images
from course_lib.figures.style import PAPER
from course_lib.sd.samplers import gaussian

_SIDE, _GAP = 262, 12  # screen pixels: the side of an image, and the gap between two


def show_promise(prompts: Sequence[str], steps: int = 10) -> None:
    """Show :func:`images_from_noise`; in grading mode, compute and show nothing."""
    if mode() == "grading":
        return
    show_gif(
        images_from_noise(prompts, steps),
        alt=f"An animation of {len(prompts)} images that begin as coloured noise and become, step "
        f"by step: {'; '.join(prompts)}.",
        caption="From noise to an image of the sentence above it. The first frame is the noise, "
        "each further one the result of a sampling step.",
    )


def images_from_noise(prompts: Sequence[str], steps: int = 10, seed: int = 0) -> bytes:
    """A looping GIF, two images per row, each denoised from noise to the image of its prompt.

    The networks are the bundled checkpoints of the course's text-to-image pipeline.

    Args:
        prompts: sentences such as "an owl on an orange background", an even number.
        steps: sampling steps; each gives a frame, after one of the noise itself.
        seed: of the noise.
    """
    pipeline = text_to_image.load()
    side, channels = pipeline.unet.config.sample_size, pipeline.vae.config.latent_channels
    # The same initial noise as in ``generate``.
    generators = [torch.Generator().manual_seed(seed + number) for number in range(len(prompts))]
    latents = [gaussian((len(prompts), channels, side, side), generators)]
    pipeline.generate(
        list(prompts),
        sampler=text_to_image.SAMPLER,
        steps=steps,
        guidance=text_to_image.GUIDANCE,
        seed=seed,
        callback=lambda step, time, latent: latents.append(latent.cpu()),
    )
    frames = [_image_grid(prompts, decode(pipeline.vae, latent)) for latent in latents]
    return gif_bytes(frames)


def _image_grid(prompts: Sequence[str], images: torch.Tensor) -> Image.Image:
    """The images in rows of two, each below its prompt."""
    titled = list(zip(prompts, images, strict=True))
    rows = [
        titled_images(dict(titled[first : first + 2]), _SIDE) for first in range(0, len(titled), 2)
    ]
    height = rows[0].height + _GAP
    canvas = Image.new("RGB", (rows[0].width, height * len(rows)), PAPER)
    for index, row in enumerate(rows):
        canvas.paste(row, (0, index * height))
    return canvas
