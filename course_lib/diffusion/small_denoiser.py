"""A denoiser without words, small enough to be trained in about a minute: lesson 6's own.

It is Stable Diffusion's class at a small configuration. That class wants a text: it is given one
token of zeros, which says nothing. It works on latents, or with other numbers in its configuration
on pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data import captioned
from course_lib.sd.samplers import SAMPLERS, NoiseSchedule, gaussian
from course_lib.sd.unet import UNet2DConditionModel, UNetConfig
from course_lib.sd.vae import AutoencoderKL

OBJECTS = ("apple", "car", "crown")
CONFIG = UNetConfig(
    sample_size=16,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    block_out_channels=(24, 48, 96),
    layers_per_block=1,
    cross_attention_dim=8,
    attention_head_dim=4,
    norm_num_groups=8,
)
# the denoiser says the noise, as Stable Diffusion 1.x does
SCHEDULE = NoiseSchedule(timestep_spacing="trailing")
BATCH = 16
LEARNING_RATE = 2e-3

Clean = Float[Tensor, "batch channels height width"]
Denoises = Callable[[Tensor, int], Tensor]  # noisy pictures and their time to the noise in them


class Denoiser(nn.Module):
    """Noisy latents (or pixels) and their time in, the noise in them out.

    Inside, the U-Net says v: Salimans and Ho (2022), arXiv:2202.00512. The noise follows from v and
    the input. So even a network that has learned nothing yet is right where the noise is nearly all
    that there is to be seen.
    """

    def __init__(self, config: UNetConfig = CONFIG) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(config)
        nn.init.zeros_(self.unet.conv_out.weight)  # it begins by saying that v is 0, its mean
        nn.init.zeros_(self.unet.conv_out.bias)

    def forward(self, x: Clean, t: Int64[Tensor, " batch"] | int) -> Clean:
        silence = x.new_zeros(len(x), 1, self.unet.config.cross_attention_dim)
        signal, amount = weights(t, x)
        return amount * x + signal * self.unet(x, t, silence)


def weights(t: Int64[Tensor, " batch"] | int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and amount of noise at time t, one for each picture or one for all, to be multiplied
    with ``like``.
    """
    squares = SCHEDULE.alphas_cumprod[torch.as_tensor(t).cpu()].view(-1, *[1] * (like.ndim - 1))
    return squares.sqrt().to(like), (1 - squares).sqrt().to(like)


def on_pixels(config: UNetConfig = CONFIG) -> UNetConfig:
    """The same denoiser for the pixels of the pictures that ``config`` has the latents of."""
    return replace(config, sample_size=captioned.SIZE, in_channels=3, out_channels=3)


def pictures(
    count: int, *, first: int = 0, objects: Sequence[str] = OBJECTS
) -> list[captioned.Captioned]:
    """Captioned pictures of a few objects, of the seeds from ``first`` on."""
    return [captioned.captioned(seed, objects=objects) for seed in range(first, first + count)]


@torch.no_grad()
def encoded(
    model: AutoencoderKL, images: Float[Tensor, "batch 3 _ _"]
) -> Float[Tensor, "batch channels _ _"]:
    """The latents of pictures in [0, 1]: the encoder's means times ``scaling_factor``, on the
    CPU.
    """
    device = next(model.parameters()).device
    parts = [model.encode(part.to(device) * 2 - 1).mean.float().cpu() for part in images.split(20)]
    return torch.cat(parts) * model.config.scaling_factor


@torch.no_grad()
def decoded(
    model: AutoencoderKL, latents: Float[Tensor, "batch channels _ _"]
) -> Float[Tensor, "batch 3 _ _"]:
    """The pictures of latents, in [0, 1], on the CPU: :func:`encoded` turned around."""
    device = next(model.parameters()).device
    parts = [
        model.decode(part.to(device) / model.config.scaling_factor).float().cpu()
        for part in latents.split(20)
    ]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)


def loss(model: nn.Module, clean: Clean) -> Float[Tensor, ""]:
    """Noise of a random time for each picture, and the squared error of what the model says of it.

    Ho et al. (2020), arXiv:2006.11239, algorithm 1, with the errors divided by the signal: these
    are the errors of v.
    """
    t = torch.randint(SCHEDULE.num_train_timesteps, (len(clean),), device=clean.device)
    noise = torch.randn_like(clean)
    signal, amount = weights(t, clean)
    said = model(signal * clean + amount * noise, t).float()
    return F.mse_loss(said / signal, noise / signal)


@torch.no_grad()
def error_at(denoiser: Denoises, clean: Clean, t: int, seed: int = 0) -> float:
    """The mean squared error of the noise that is predicted at one time. A prediction of 0 has an
    error of about 1.
    """
    noise = gaussian(clean.shape, torch.Generator().manual_seed(seed)).to(clean)
    noisy, target = SCHEDULE.add_noise(clean, noise, t)
    return F.mse_loss(denoiser(noisy, t), target).item()


@torch.no_grad()
def sampled(
    denoiser: Denoises, x: Clean, *, sampler: str = "ddim", steps: int = 20, seed: int = 0
) -> Float[Tensor, "batch channels height width"]:
    """From noise to latents (or pixels): ``denoiser`` is asked ``steps`` times.

    Args:
        denoiser: says the noise.
        x: Gaussian noise, where the denoiser computes.
        sampler: one of ``SAMPLERS``.
        steps: as of :class:`course_lib.sd.samplers.Sampler`.
        seed: of the noise that some samplers put in on the way.
    """
    run, generator = SAMPLERS[sampler](SCHEDULE, steps), torch.Generator().manual_seed(seed)
    x = x * run.initial_scale
    for t in run.timesteps:
        x = run.step(denoiser(x * run.input_scale(t), t), t, x, generator)
    return x
