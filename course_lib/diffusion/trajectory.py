"""A picture on its way out of the noise, frame by frame: of what the scrubber and the GIF of lesson
6 are made.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.diffusion.small_denoiser import decoded
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import DDIM, gaussian


class Frame(NamedTuple):
    """One moment of a run: the latent at time ``t``, and the clean latent that the denoiser sees in
    it.

    ``picture`` and ``guess`` are the two decoded, in [0, 1].
    """

    t: int
    latent: Float[Tensor, "channels rows columns"]
    picture: Float[Tensor, "3 height width"]
    guess: Float[Tensor, "3 height width"]


def shoot(
    model: StableDiffusion, prompt: str, *, steps: int = 20, guidance: float = 5.0, seed: int = 0
) -> list[Frame]:
    """Draw a picture with DDIM, and keep every step of it: ``steps`` frames, and one more of the
    result.

    Raises:
        ValueError: as of :meth:`StableDiffusion.generate`.
    """
    side, channels = model.unet.config.sample_size, model.vae.config.latent_channels
    noise = gaussian((1, channels, side, side), [torch.Generator().manual_seed(seed)])
    latents = [noise]  # generate begins with it: the seed says so
    options = {"steps": steps, "guidance": guidance, "seed": seed, "sampler": "ddim"}
    model.generate(prompt, **options, callback=lambda number, t, x: latents.append(x.cpu()))
    run = DDIM(model.schedule, steps)
    guesses = [
        clean_between(one, other, run.parts(t), run.parts(run.next[t]))
        for one, other, t in zip(latents, latents[1:], run.timesteps, strict=False)
    ]
    pictures = decoded(model.vae, torch.cat(latents))
    guessed = decoded(model.vae, torch.cat([*guesses, latents[-1]]))
    times = [*run.timesteps, run.end]
    return [Frame(*each) for each in zip(times, torch.cat(latents), pictures, guessed, strict=True)]


def clean_between(
    x: Float[Tensor, "batch *shape"],
    after: Float[Tensor, "batch *shape"],
    parts: tuple[float, float],
    next_parts: tuple[float, float],
) -> Float[Tensor, "batch *shape"]:
    """The clean latent that a step of DDIM went by: it and the noise are the two unknowns of two
    equations.

    ``x`` is ``signal * clean + noise * gaussian``, and so is ``after``, with the next signal and
    the next noise.
    """
    (signal, noise), (next_signal, next_noise) = parts, next_parts
    return (noise * after - next_noise * x) / (noise * next_signal - next_noise * signal)
