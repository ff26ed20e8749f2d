"""The pipeline: text-to-image and image-to-image generation.

Rombach et al. (2022), arXiv:2112.10752, with classifier-free guidance: Ho and Salimans (2022),
arXiv:2207.12598.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.sd.clip import CLIPTextModel
from course_lib.sd.controlnet import ControlledUNet
from course_lib.sd.dit import MMDiT
from course_lib.sd.samplers import Sampler, Schedule, find_sampler, gaussian
from course_lib.sd.schedule import NoiseSchedule
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import UNet2DConditionModel


@dataclass
class StableDiffusion:
    """The parts of Stable Diffusion, and the schedule that its denoiser was trained with.

    The models are on the same device; each may have a different floating-point dtype.
    """

    tokenizer: Tokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel | ControlledUNet | MMDiT
    vae: nn.Module  # an AutoencoderKL, or a model with its encode, decode and config
    schedule: Schedule = NoiseSchedule()

    def to(self, *targets: torch.device | torch.dtype | str) -> "StableDiffusion":
        """Move the models to a device, convert them to a dtype, or both; returns self."""
        for model in (self.text_encoder, self.unet, self.vae):
            for target in targets:
                model.to(target)
        return self

    @torch.no_grad()
    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        negative: str | None = "",
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
        callback: Callable[[int, Any, Tensor], None] | None = None,
    ) -> Float[Tensor, "images 3 high wide"]:
        """Images for one or several prompts: values in [0, 1], float32, on the CPU.

        A value that overflowed is NaN.

        Args:
            prompt: what the image should show.
            negative: the negative prompt, which replaces the empty prompt in the guidance; None is
                the empty prompt.
            image: for image-to-image: the image to start from, in [0, 1], instead of noise.
            strength: how much of ``image`` may change, in (0, 1]; 1 is everything.
            guidance: the guidance scale; 1 disables guidance and halves the cost.
            sampler: a name in ``SAMPLERS``; in ``FLOW_SAMPLERS`` if the schedule is a
                ``FlowSchedule``.
            steps, eta: as in :class:`Sampler`.
            seed: of the first image; the next ones have ``seed + 1`` and so on. An image does not
                depend on the others of its batch.
            count: images per prompt.
            height, width: in pixels; by default the size of the denoiser's training images; ignored
                with ``image``, whose size is kept.
            callback: called after every step with its index (from 0), its time and the latents.

        Raises:
            ValueError: if the sampler is unknown or a number is out of range.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        height, width = self._image_size(image, height, width)
        make_sampler = find_sampler(sampler, self.schedule)
        if not prompts or count < 1:
            raise ValueError(
                f"{count} images of {len(prompts)} prompts: give at least one prompt and a "
                "count of at least 1."
            )
        run = make_sampler(self.schedule, steps, 1.0 if image is None else strength, eta)
        generators = [torch.Generator().manual_seed(seed + n) for n in range(len(prompts) * count)]
        context = self._context(prompts, negative or "", count, guidance)
        x = self._initial_latents(image, generators, height, width, run)
        x = x * run.initial_scale

        reference = next(self.unet.parameters())  # for the denoiser's device and dtype
        for index, t in enumerate(run.timesteps):
            model_input = (x * run.input_scale(t)).to(reference)
            # With guidance, the batch holds every latent twice: unconditional, then conditional.
            model_input = model_input.repeat(len(context) // len(x), 1, 1, 1)
            predictions = self.unet(model_input, t, context).float().split(len(x))
            uncond, cond = predictions[0], predictions[-1]
            x = run.step(uncond + guidance * (cond - uncond), t, x, generators)
            if callback is not None:
                callback(index, t, x)
        latents = x / self.vae.config.scaling_factor
        images = self.vae.decode(latents.to(next(self.vae.parameters()))).float() / 2 + 0.5
        # An infinite value is a failure: clamped, it would look like black or white.
        return images.clamp(0, 1).where(images.isfinite(), torch.nan).cpu()

    def _image_size(
        self, image: Tensor | None, height: int | None, width: int | None
    ) -> tuple[int, int]:
        """Height and width of the images, checked."""
        factor = self.vae.config.factor
        default = self.unet.config.sample_size * factor
        if image is not None:
            height, width = image.shape[-2:]
        else:
            height, width = height or default, width or default
        if min(height, width) < factor or height % factor or width % factor:
            raise ValueError(
                f"An image of {height} x {width} pixels: both must be multiples of {factor}."
            )
        return height, width

    def _context(
        self, prompts: Sequence[str], negative: str, count: int, guidance: float
    ) -> Float[Tensor, "batch tokens features"]:
        """The encoded prompt of each image; with guidance, preceded by as many negative prompts."""
        reference = next(self.unet.parameters())
        ids, _ = self.tokenizer.encode([negative, *prompts])
        texts = self.text_encoder(ids.to(reference.device)).to(reference)
        cond = texts[1:].repeat_interleave(count, dim=0)
        return cond if guidance == 1 else torch.cat([texts[:1].expand_as(cond), cond])

    def _initial_latents(
        self,
        image: Float[Tensor, "3 _ _"] | None,
        generators: Sequence[torch.Generator],
        height: int,
        width: int,
        run: Sampler,
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Gaussian noise; with ``image``, its latents, noised to the first timestep."""
        reference, config = next(self.vae.parameters()), self.vae.config
        shape = (
            len(generators),
            config.latent_channels,
            height // config.factor,
            width // config.factor,
        )
        if image is None:
            return gaussian(shape, generators).to(reference.device)
        posterior = self.vae.encode(2 * image[None].to(reference) - 1)
        samples = torch.cat([posterior.sample(generator) for generator in generators])
        x0 = samples.float() * config.scaling_factor
        noise = gaussian(shape, generators).to(reference.device)
        noisy, _ = self.schedule.add_noise(x0, noise, run.timesteps[0])
        return noisy
