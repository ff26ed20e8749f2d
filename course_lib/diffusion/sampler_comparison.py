"""Samplers side by side: how good their pictures are and how long they take, with one model and the
same noise.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.data import captioned
from course_lib.diffusion import judge, small_denoiser, text_to_image
from course_lib.diffusion.evaluation import frechet
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import SAMPLERS

_BATCH = 20  # pictures drawn at once


class Result(NamedTuple):
    """What a sampler reached with a number of steps."""

    sampler: str
    steps: int
    seconds: float  # for each picture, the decoder included
    right: float  # the share in which the judge sees the object and the colour that were asked for
    # the Frechet distance of the judge's features to those of real pictures: arXiv:1706.08500
    frechet: float
    images: Float[Tensor, "pictures 3 _ _"]


def run(
    model: StableDiffusion,
    pairs: Sequence[tuple[str, str]],
    sampler: str,
    steps: int,
    *,
    looks: judge.Judge,
    real: Float[Tensor, "real features"],
) -> Result:
    """Draw a picture of each pair of object and colour, from seed 0 on, and have them judged.

    Args:
        model: on any device.
        pairs: objects and colours to ask for.
        sampler, steps: as of :meth:`StableDiffusion.generate`.
        looks: the judge.
        real: its features of real pictures.
    """
    begin, parts = time.perf_counter(), []
    for first in range(0, len(pairs), _BATCH):
        prompts = [captioned.sentence(*pair) for pair in pairs[first : first + _BATCH]]
        parts.append(
            model.generate(
                prompts, sampler=sampler, steps=steps, guidance=text_to_image.GUIDANCE, seed=first
            )
        )
    images, seconds = torch.cat(parts), time.perf_counter() - begin
    right = judge.agreement(judge.verdicts(looks, images), list(pairs))["both"]
    distance = frechet(features(looks, images), real)
    return Result(sampler, steps, seconds / len(pairs), right, distance, images)


@torch.no_grad()
def features(
    looks: judge.Judge, images: Float[Tensor, "pictures 3 _ _"]
) -> Float[Tensor, "pictures features"]:
    """What the judge goes by, of pictures in [0, 1]."""
    return torch.cat([looks.features(part) for part in images.split(50)])


def nearest(found: Float[Tensor, "n features"], real: Float[Tensor, "m features"]) -> float:
    """The mean distance from each to the nearest real one: small where every picture looks like
    some real one.
    """
    return float(torch.cdist(found, real).min(1).values.mean())


@torch.no_grad()
def away(
    denoiser: small_denoiser.Denoises,
    x: Float[Tensor, "batch *shape"],
    steps: Sequence[int],
    samplers: Sequence[str],
    finest: int = 200,
) -> dict[str, dict[int, float]]:
    """How far a sampler's result lies from its own result in very many steps, from the same noise.

    Args:
        denoiser: as for :func:`course_lib.diffusion.small_denoiser.sampled`.
        x: the noise.
        steps: numbers of steps to try.
        samplers: names in ``SAMPLERS``.
        finest: the number of steps to compare with.

    Returns:
        By sampler and by steps, the root of the mean squared difference.

    Raises:
        ValueError: if there is no such sampler, or ``finest`` is not more than all ``steps``.
    """
    unknown = sorted(set(samplers) - set(SAMPLERS))
    if unknown or finest <= max(steps):
        raise ValueError(
            f"{unknown or finest}: choose among {', '.join(SAMPLERS)}, and finest above {max(steps)}."
        )
    found: dict[str, dict[int, float]] = {}
    for name in samplers:
        limit = small_denoiser.sampled(denoiser, x, sampler=name, steps=finest)
        made = {
            count: small_denoiser.sampled(denoiser, x, sampler=name, steps=count) for count in steps
        }
        found[name] = {
            count: float((one - limit).square().mean().sqrt()) for count, one in made.items()
        }
    return found
