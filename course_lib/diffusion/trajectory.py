"""The sampling trajectory from noise to an image, for the widget and the GIF of lesson 6."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.diffusion.small_denoiser import decode
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import DDIM, gaussian


class Frame(NamedTuple):
    """The latent at time ``t``, and two decoded images in [0, 1]."""

    t: int
    latent: Float[Tensor, "channels rows columns"]
    image: Float[Tensor, "3 height width"]  # the latent, decoded
    predicted_image: Float[Tensor, "3 height width"]  # the predicted clean latent, decoded


def record_trajectory(
    model: StableDiffusion, prompt: str, *, guidance: float, steps: int = 20, seed: int = 0
) -> list[Frame]:
    """Generate an image with DDIM and record every step.

    Returns:
        One frame before each step, and one for the result.

    Raises:
        ValueError: as in :meth:`StableDiffusion.generate`.
    """
    side, channels = model.unet.config.sample_size, model.vae.config.latent_channels
    # The same initial noise as in ``generate``.
    latents = [gaussian((1, channels, side, side), [torch.Generator().manual_seed(seed)])]
    model.generate(
        prompt,
        steps=steps,
        guidance=guidance,
        seed=seed,
        sampler="ddim",
        callback=lambda step, t, x: latents.append(x.cpu()),
    )
    ddim = DDIM(model.schedule, steps)
    predicted = [
        solve_x0(
            latents[index],
            latents[index + 1],
            ddim.alpha_sigma(t),
            ddim.alpha_sigma(ddim.next_timestep[t]),
        )
        for index, t in enumerate(ddim.timesteps)
    ]
    images = decode(model.vae, torch.cat(latents))
    predicted_images = decode(model.vae, torch.cat([*predicted, latents[-1]]))
    times = [*ddim.timesteps, ddim.final_timestep]
    frames = zip(times, torch.cat(latents), images, predicted_images, strict=True)
    return [Frame(*values) for values in frames]


def solve_x0(
    x: Float[Tensor, "batch *shape"],
    next_x: Float[Tensor, "batch *shape"],
    alpha_sigma: tuple[float, float],
    next_alpha_sigma: tuple[float, float],
) -> Float[Tensor, "batch *shape"]:
    """The clean latent that the model predicted in a DDIM step from ``x`` to ``next_x``.

    Solves two linear equations for x0 and eps: ``x = alpha * x0 + sigma * eps``, and the same for
    ``next_x`` with the next factors.
    """
    alpha, sigma = alpha_sigma
    next_alpha, next_sigma = next_alpha_sigma
    return (sigma * next_x - next_sigma * x) / (sigma * next_alpha - next_sigma * alpha)
