"""Benefit and cost of classifier-free guidance (Ho and Salimans, 2022, arXiv:2207.12598)."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from course_lib.data.captioned import make_caption
from course_lib.diffusion import text_to_image
from course_lib.diffusion.judge import Judge, accuracy
from course_lib.sd.pipeline import StableDiffusion


class GuidanceResult(NamedTuple):
    """Measurements at one guidance scale."""

    guidance: float
    object: float  # fraction of images whose object the judge classifies correctly
    colour: float  # fraction whose background colour the judge classifies correctly
    both: float  # fraction for which both are correct
    diversity: float  # mean RMS distance between images of the same prompt
    latent_std: float  # standard deviation of the latents; about 1 for real images
    seconds: float  # per image


def measure_guidance(
    model: StableDiffusion,
    judge: Judge,
    pairs: Sequence[tuple[str, str]],
    guidance: float,
    *,
    images_per_pair: int = 4,
    steps: int = text_to_image.STEPS,
    seed: int = 0,
) -> GuidanceResult:
    """Generate images at one guidance scale and measure them.

    Args:
        model: the text-to-image pipeline, on any device.
        judge: classifies the object and the colour of each image.
        pairs: the object and background colour of each prompt.
        guidance: the guidance scale.
        images_per_pair: the number of images per pair, at least 2.
        steps: the number of sampling steps.
        seed: the seed of the first image; the initial noise is the same at every scale.

    Raises:
        ValueError: if there are no pairs, or fewer than two images per pair.
    """
    if images_per_pair < 2:
        raise ValueError(f"images_per_pair is {images_per_pair}: it must be at least 2.")
    if not pairs:
        raise ValueError("There are no pairs: give at least one object and colour.")
    images, final_latents, seconds = [], [], 0.0
    for index, pair in enumerate(pairs):
        latents: list[torch.Tensor] = []
        start = time.perf_counter()
        images.append(
            model.generate(
                make_caption(*pair),
                sampler=text_to_image.SAMPLER,
                steps=steps,
                guidance=guidance,
                seed=seed + index * images_per_pair,
                count=images_per_pair,
                callback=lambda step, t, x, latents=latents: latents.append(x),
            )
        )
        seconds += time.perf_counter() - start
        final_latents.append(latents[-1].float().cpu())
    expected = [pair for pair in pairs for _ in range(images_per_pair)]
    distances = [torch.pdist(group.flatten(1)).mean() / group[0].numel() ** 0.5 for group in images]
    return GuidanceResult(
        guidance=guidance,
        **accuracy(judge.classify(torch.cat(images)), expected),
        diversity=float(torch.stack(distances).mean()),
        latent_std=float(torch.cat(final_latents).std()),
        seconds=seconds / len(expected),
    )
