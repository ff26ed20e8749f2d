"""Compares samplers with the same model and noise: quality, time and discretisation error."""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.compression.shortcut_autoencoder import Autoencoder
from course_lib.diffusion import small_denoiser, text_to_image
from course_lib.diffusion.evaluation import generate, judge_features
from course_lib.diffusion.judge import Judge, accuracy
from course_lib.diffusion.small_denoiser import NoisePredictor, sample
from course_lib.metrics.generation import frechet_distance
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import SAMPLERS


class SamplerResult(NamedTuple):
    """Measurements of a sampler with a number of steps."""

    sampler: str
    steps: int
    seconds: float  # per image, including the decoder
    accuracy: float  # fraction of images whose object and colour the judge classifies correctly
    frechet: float  # Frechet distance to real images, in the judge's features
    images: Float[Tensor, "images 3 _ _"]


def measure_sampler(
    model: StableDiffusion,
    pairs: Sequence[tuple[str, str]],
    sampler: str,
    steps: int,
    *,
    judge: Judge,
    real_features: Float[Tensor, "real features"] | None = None,
    guidance: float = text_to_image.GUIDANCE,
) -> SamplerResult:
    """Generate one image per pair of object and colour, and measure them.

    Args:
        model: on any device.
        pairs: objects and colours to generate; image n has the seed n.
        sampler, steps, guidance: as for :meth:`StableDiffusion.generate`.
        judge: classifies the object and the colour of each image.
        real_features: the judge's features of real images; without them ``frechet`` is NaN.
    """
    start = time.perf_counter()
    images = generate(model, pairs, sampler=sampler, steps=steps, guidance=guidance)
    seconds = time.perf_counter() - start
    return SamplerResult(
        sampler,
        steps,
        seconds / len(pairs),
        accuracy(judge.classify(images), pairs)["both"],
        math.nan
        if real_features is None
        else frechet_distance(judge_features(judge, images), real_features),
        images,
    )


class LatentQuality(NamedTuple):
    """Measurements of generated latents of a model without prompts."""

    recognised: float  # fraction of images whose object, to the judge, is one of the model's
    frechet: float  # Frechet distance to real images, in the judge's features
    images: Float[Tensor, "images 3 _ _"]


def measure_latents(
    latents: Float[Tensor, "images channels _ _"],
    *,
    vae: Autoencoder,
    judge: Judge,
    objects: Sequence[str] = small_denoiser.OBJECTS,
    real_features: Float[Tensor, "real features"] | None = None,
) -> LatentQuality:
    """Decode generated latents and measure the images.

    Args:
        latents: scaled, as samplers return them.
        vae: decodes them.
        judge: classifies the images, among all of its objects.
        objects: those that the model was trained on.
        real_features: the judge's features of real images; without them ``frechet`` is NaN.
    """
    images = small_denoiser.decode(vae, latents)
    names = [verdict.name for verdict in judge.classify(images)]
    return LatentQuality(
        sum(name in objects for name in names) / len(names),
        math.nan
        if real_features is None
        else frechet_distance(judge_features(judge, images), real_features),
        images,
    )


def mean_nearest_distance(
    features: Float[Tensor, "n features"], reference: Float[Tensor, "m features"]
) -> float:
    """The mean distance from each row of ``features`` to the nearest row of ``reference``."""
    return float(torch.cdist(features, reference).min(1).values.mean())


@torch.no_grad()
def discretisation_error(
    denoiser: NoisePredictor,
    x: Float[Tensor, "batch *shape"],
    steps: Sequence[int],
    samplers: Sequence[str],
    reference_steps: int = 200,
) -> dict[str, dict[int, float]]:
    """The distance of a sampler's result to its result with many more steps, from the same noise.

    Args:
        denoiser: as for :func:`course_lib.diffusion.small_denoiser.sample`.
        x: Gaussian noise.
        steps: numbers of steps to compare.
        samplers: names in ``SAMPLERS``.
        reference_steps: the number of steps of the reference.

    Returns:
        The root mean squared difference, by sampler and number of steps.

    Raises:
        ValueError: if a sampler is unknown, or ``reference_steps`` does not exceed all ``steps``.
    """
    unknown = sorted(set(samplers) - set(SAMPLERS))
    if unknown:
        raise ValueError(f"Unknown samplers {unknown}: choose among {', '.join(SAMPLERS)}.")
    if reference_steps <= max(steps):
        raise ValueError(
            f"reference_steps is {reference_steps}: give reference_steps above {max(steps)}."
        )
    errors: dict[str, dict[int, float]] = {}
    for name in samplers:
        reference = sample(denoiser, x, sampler=name, steps=reference_steps)
        errors[name] = {}
        for count in steps:
            result = sample(denoiser, x, sampler=name, steps=count)
            errors[name][count] = float((result - reference).square().mean().sqrt())
    return errors
