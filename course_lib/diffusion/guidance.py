"""What guidance gains and what it costs, measured: Ho and Salimans (2022), arXiv:2207.12598,
section 4.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from course_lib.data.captioned import sentence
from course_lib.diffusion import judge, text_to_image
from course_lib.sd.pipeline import StableDiffusion


class Measured(NamedTuple):
    """Pictures at one guidance: the shares in which the judge sees what was asked for, and three
    prices.
    """

    guidance: float
    object: float
    colour: float
    both: float
    variety: float  # mean distance between pictures of one prompt, root of the mean square
    spread: float  # the standard deviation of the latents; of real ones it is about 1
    seconds: float  # a picture


def measure(
    model: StableDiffusion,
    seen_by: judge.Judge,
    pairs: Sequence[tuple[str, str]],
    guidance: float,
    *,
    each: int = 4,
    steps: int = text_to_image.STEPS,
    seed: int = 0,
) -> Measured:
    """Draw ``each`` pictures of every pair of object and colour at one guidance, and look at them.

    The same seeds give the same noise at every guidance.

    Raises:
        ValueError: if there are fewer than two pictures of a pair, which leaves no variety to
            measure.
    """
    if each < 2 or not pairs:
        raise ValueError(
            f"{each} pictures of {len(pairs)} pairs: give a pair, and at least 2 pictures of each."
        )
    images, latents, seconds = [], [], 0.0
    for number, pair in enumerate(pairs):
        steps_seen: list[torch.Tensor] = []
        begin = time.perf_counter()
        drawn = model.generate(
            sentence(*pair),
            sampler=text_to_image.SAMPLER,
            steps=steps,
            guidance=guidance,
            seed=seed + number * each,
            count=each,
            callback=lambda number, t, x, kept=steps_seen: kept.append(x),
        )
        seconds += time.perf_counter() - begin
        images.append(drawn)
        latents.append(steps_seen[-1].float().cpu())
    wanted = [pair for pair in pairs for _ in range(each)]
    right = judge.agreement(
        [one for part in images for one in judge.verdicts(seen_by, part)], wanted
    )
    apart = [torch.pdist(part.flatten(1)).mean() / part[0].numel() ** 0.5 for part in images]
    return Measured(
        guidance=guidance,
        **right,
        variety=float(torch.stack(apart).mean()),
        spread=float(torch.cat(latents).std()),
        seconds=seconds / len(wanted),
    )
