"""Lesson 6's denoiser: unconditional, and trained briefly in the lesson.

It is Stable Diffusion's U-Net in a small configuration. Its cross-attention gets a single token of
zeros. It works on latents or, with a different configuration, on pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.compression import codecs
from course_lib.compression.shortcut_autoencoder import Autoencoder
from course_lib.data import captioned
from course_lib.sd.samplers import SAMPLERS, NoiseSchedule, gaussian
from course_lib.sd.unet import UNet2DConditionModel, UNetConfig

OBJECTS = ("apple",)
CONFIG = UNetConfig(
    sample_size=16,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    block_out_channels=(24, 48, 96),
    layers_per_block=1,
    cross_attention_dim=8,
    attention_head_dim=4,
    norm_num_groups=8,
)
# The denoiser predicts the noise, as in Stable Diffusion 1.x.
SCHEDULE = NoiseSchedule(timestep_spacing="trailing")
BATCH = 16
LEARNING_RATE = 2e-3

Images = Float[Tensor, "batch channels height width"]  # pixels in [-1, 1], or latents
Noisy = Float[Tensor, "batch *shape"]  # images, or points in a few dimensions
NoisePredictor = Callable[[Tensor, int], Tensor]  # (noisy images, time) to noise


class Denoiser(nn.Module):
    """Predicts the noise in noisy images or latents at time t.

    Internally the U-Net predicts v (Salimans and Ho, 2022, arXiv:2202.00512), from which the noise
    follows. So even an untrained network is nearly right if the input is almost pure noise.
    """

    def __init__(self, config: UNetConfig = CONFIG) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(config)
        # The initial prediction is v = 0, the mean of v.
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)

    def forward(self, x: Images, t: Int64[Tensor, " batch"] | int) -> Images:
        """The noise in ``x``; ``t``: one time per image, or one for all."""
        no_text = x.new_zeros(len(x), 1, self.unet.config.cross_attention_dim)
        alpha, sigma = alpha_sigma(t, x)
        return sigma * x + alpha * self.unet(x, t, no_text)


def alpha_sigma(t: Int64[Tensor, " batch"] | int, reference: Tensor) -> tuple[Tensor, Tensor]:
    """The factors of the clean image and of the noise at time t.

    They have the dtype and device of ``reference``, and shapes that broadcast with it.
    """
    alpha_bar = SCHEDULE.alphas_cumprod[torch.as_tensor(t).cpu()]
    alpha_bar = alpha_bar.view(-1, *[1] * (reference.ndim - 1))
    return alpha_bar.sqrt().to(reference), (1 - alpha_bar).sqrt().to(reference)


def pixel_config(config: UNetConfig = CONFIG) -> UNetConfig:
    """The configuration of the same denoiser on pixels instead of latents."""
    return replace(config, sample_size=captioned.SIZE, in_channels=3, out_channels=3)


def examples(
    count: int, *, first_seed: int = 0, objects: Sequence[str] = OBJECTS
) -> list[captioned.CaptionedPicture]:
    """Captioned pictures of a few objects, with consecutive seeds."""
    seeds = range(first_seed, first_seed + count)
    return [captioned.captioned_picture(seed, objects=objects) for seed in seeds]


def encode(
    model: Autoencoder, images: Float[Tensor, "batch 3 _ _"]
) -> Float[Tensor, "batch channels _ _"]:
    """The scaled latents of images in [0, 1]: the encoder's means times ``scaling_factor``."""
    return codecs.encode(model, images) * model.config.scaling_factor


def decode(
    model: Autoencoder, latents: Float[Tensor, "batch channels _ _"]
) -> Float[Tensor, "batch 3 _ _"]:
    """The inverse of :func:`encode`: images in [0, 1], on the CPU."""
    return codecs.decode(model, latents / model.config.scaling_factor)


def loss(model: Callable[[Tensor, Tensor], Tensor], clean: Images) -> Float[Tensor, ""]:
    """The mean squared error of v, implied by the predicted noise, at random times.

    Ho et al. (2020), arXiv:2006.11239, algorithm 1. The error of v is the noise's error divided by
    alpha.
    """
    t = torch.randint(SCHEDULE.num_train_timesteps, (len(clean),), device=clean.device)
    noise = torch.randn_like(clean)
    alpha, sigma = alpha_sigma(t, clean)
    noise_pred = model(alpha * clean + sigma * noise, t).float()
    return F.mse_loss(noise_pred / alpha, noise / alpha)


@torch.no_grad()
def error_at(denoiser: NoisePredictor, clean: Images, t: int, seed: int = 0) -> float:
    """The mean squared error of the predicted noise at time t; always predicting 0 gives 1."""
    noise = gaussian(clean.shape, torch.Generator().manual_seed(seed)).to(clean)
    noisy, target = SCHEDULE.add_noise(clean, noise, t)
    return F.mse_loss(denoiser(noisy, t), target).item()


def v_error_at(denoiser: NoisePredictor, clean: Images, t: int, seed: int = 0) -> float:
    """The mean squared error of v at time t, implied by the predicted noise.

    The error of v is the error of the noise divided by alpha. Always predicting v = 0, its mean,
    gives about 1 at every time.
    """
    return error_at(denoiser, clean, t, seed) / float(SCHEDULE.alphas_cumprod[t])


@torch.no_grad()
def sample(
    denoiser: NoisePredictor, x: Noisy, *, sampler: str = "ddim", steps: int = 20, seed: int = 0
) -> Noisy:
    """Turn noise into latents, pixels or points, with ``steps`` steps.

    Args:
        denoiser: predicts the noise.
        x: Gaussian noise, on the denoiser's device.
        sampler: a name in ``SAMPLERS``.
        steps: as in :class:`course_lib.sd.samplers.Sampler`.
        seed: of the noise that DDPM adds in every step.
    """
    run = SAMPLERS[sampler](SCHEDULE, steps)
    generator = torch.Generator().manual_seed(seed)
    x = x * run.initial_scale
    for t in run.timesteps:
        noise_pred = denoiser(x * run.input_scale(t), t)
        x = run.step(noise_pred, t, x, generator)
    return x
