"""The pipeline: a sentence and a seed become a picture, and a picture becomes another one.

Rombach et al. (2022), arXiv:2112.10752, with classifier-free guidance: Ho and Salimans (2022),
arXiv:2207.12598.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.sd.clip import CLIPTextModel
from course_lib.sd.samplers import SAMPLERS, NoiseSchedule, gaussian
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import UNet2DConditionModel
from course_lib.sd.vae import AutoencoderKL


@dataclass
class StableDiffusion:
    """The four parts of Stable Diffusion, and the noise schedule that its denoiser was trained
    with.
    """

    tokenizer: Tokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    schedule: NoiseSchedule = NoiseSchedule()

    def to(self, *place: torch.device | torch.dtype | str) -> "StableDiffusion":
        """Move the models to a device, to a type such as ``torch.float16``, or both; returns the
        whole.
        """
        for model in (self.text_encoder, self.unet, self.vae):
            for each in place:
                model.to(each)
        return self

    @torch.no_grad()
    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        negative: str = "",
        image: Float[Tensor, "3 height width"] | None = None,
        strength: float = 0.8,
        guidance: float = 7.5,
        sampler: str = "pndm",
        steps: int = 50,
        eta: float = 0.0,
        seed: int = 0,
        count: int = 1,
        height: int | None = None,
        width: int | None = None,
        callback: Callable[[int, int, Tensor], None] | None = None,
    ) -> Float[Tensor, "pictures 3 high wide"]:
        """Pictures of a prompt, or of several: values in [0, 1] in float32, on the CPU.

        Args:
            prompt, negative: what is to be seen, and what is not.
            image: a picture in [0, 1] to begin with, instead of noise.
            strength: how much of ``image`` may change, from above 0 to 1, everything.
            guidance: how much more the prompt counts than ``negative``; at 1 only the prompt, and
                half the work.
            sampler: one of ``SAMPLERS``.
            steps, eta: as of :class:`Sampler`.
            seed: of the first picture; the next have ``seed + 1`` and so on, and look as if each
                were made alone.
            count: how many pictures of each prompt.
            height, width: in pixels; by default ``image``'s, or those that the denoiser was trained
                on.
            callback: told after every step its number from 0, its time, and the latents.

        Raises:
            ValueError: if there is no such sampler, or a number makes no sense.
        """
        factor, trained = (
            self.vae.config.factor,
            self.unet.config.sample_size * self.vae.config.factor,
        )
        size = (height or trained, width or trained) if image is None else tuple(image.shape[-2:])
        if min(size) < factor or size[0] % factor or size[1] % factor:
            raise ValueError(
                f"A picture of {size[0]} x {size[1]} pixels: both must be multiples of {factor}."
            )
        if sampler not in SAMPLERS:
            raise ValueError(
                f"There is no sampler {sampler!r}: choose one of {', '.join(SAMPLERS)}."
            )
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not prompts or count < 1:
            raise ValueError(
                f"{count} pictures of {len(prompts)} prompts: at least one of both is needed."
            )
        run = SAMPLERS[sampler](self.schedule, steps, 1.0 if image is None else strength, eta)
        generators = [torch.Generator().manual_seed(seed + n) for n in range(len(prompts) * count)]

        # on the device, and of the type, that the models reckon with
        like = self.unet.conv_in.weight
        texts = self.text_encoder(
            self.tokenizer.encode([negative, *prompts])[0].to(like.device)
        ).to(like)
        wanted = texts[1:].repeat_interleave(count, dim=0)
        context = wanted if guidance == 1 else torch.cat([texts[:1].expand_as(wanted), wanted])
        if image is not None:
            posterior = self.vae.encode(2 * image[None].to(like) - 1)
            clean = (
                torch.cat([posterior.sample(each) for each in generators]).float()
                * self.vae.config.scaling_factor
            )
        x = gaussian(
            (len(wanted), self.vae.config.latent_channels, size[0] // factor, size[1] // factor),
            generators,
        )
        x = x.to(like.device)
        if image is not None:
            x, _ = self.schedule.add_noise(clean, x, run.timesteps[0])
        x = x * run.initial_scale
        for number, t in enumerate(run.timesteps):
            seen = (x * run.input_scale(t)).to(like)
            said = (
                self.unet(seen.repeat(len(context) // len(x), 1, 1, 1), t, context)
                .float()
                .split(len(x))
            )
            x = run.step(said[0] + guidance * (said[-1] - said[0]), t, x, generators)
            if callback is not None:
                callback(number, t, x)
        pictures = self.vae.decode((x / self.vae.config.scaling_factor).to(like))
        return (pictures.float() / 2 + 0.5).clamp(0, 1).cpu()
