"""How good generated pictures are: what the judge sees in them, how far they are from real ones,
and whether copied.
"""

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib.data import captioned
from course_lib.diffusion import judge, text_to_image
from course_lib.sd.pipeline import StableDiffusion

_BATCH = 20  # pictures drawn at once


def drawn(
    model: StableDiffusion, pairs: Sequence[tuple[str, str]], seed: int = 0
) -> Float[Tensor, "pictures 3 _ _"]:
    """A picture in [0, 1] of each pair of object and colour, the first from ``seed``, the next from
    the next.
    """
    parts = [pairs[first : first + _BATCH] for first in range(0, len(pairs), _BATCH)]
    return torch.cat(
        [
            model.generate(
                [captioned.sentence(*pair) for pair in part],
                sampler=text_to_image.SAMPLER,
                steps=text_to_image.STEPS,
                guidance=text_to_image.GUIDANCE,
                seed=seed + number * _BATCH,
            )
            for number, part in enumerate(parts)
        ]
    )


def figures(
    model: StableDiffusion, pairs: Sequence[tuple[str, str]], split: str
) -> dict[str, float]:
    """Of a picture of each pair, measured with the shipped judge.

    Returns:
        ``object, colour, both``: the share in which it sees what was asked for. ``frechet``: the
        Frechet distance of its features to those of as many real pictures of the same split (Heusel
        et al., 2017, arXiv:1706.08500, equation 6), and ``frechet_real``, that of other real
        pictures, the least that can be expected. ``nearest``: the median distance (root of the mean
        squared difference) to the nearest of 2,000 training pictures, and ``nearest_real`` that of
        new real ones: a model that copied pixels would be much nearer.
    """
    seen = judge.load()
    images = drawn(model, pairs)
    real, others = (_real(split, len(pairs), first) for first in (0, len(pairs)))
    features = [
        torch.cat([seen.features(part).detach() for part in one.split(50)])
        for one in (images, real, others)
    ]
    verdicts = [verdict for part in images.split(50) for verdict in judge.verdicts(seen, part)]
    return judge.agreement(verdicts, pairs) | {
        "frechet": frechet(features[0], features[1]),
        "frechet_real": frechet(features[2], features[1]),
        "nearest": _nearest(images),
        "nearest_real": _nearest(real),
    }


def sheet(model: StableDiffusion, count: int = 96, columns: int = 12) -> Image.Image:
    """Pictures of the first ``count`` prompts, seen combinations and held-out ones in turn, from
    seeds 0 and on.

    None is left out. What was asked for stands below each.
    """
    pairs = [
        pair
        for both in zip(
            *(text_to_image.prompts(split, count) for split in text_to_image.TESTS), strict=True
        )
        for pair in both
    ]
    images = drawn(model, pairs[:count])
    side, line = images.shape[-1], 14
    made = Image.new("RGB", (columns * side, -(-count // columns) * (side + line)), "white")
    for number, (image, pair) in enumerate(zip(images, pairs[:count], strict=True)):
        left, top = number % columns * side, number // columns * (side + line)
        made.paste(
            Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()), (left, top)
        )
        ImageDraw.Draw(made).text((left + 2, top + side), ", ".join(pair), fill="black")
    return made


def frechet(one: Float[Tensor, "n features"], other: Float[Tensor, "m features"]) -> float:
    """Between two Gaussians with the means and covariances of these: arXiv:1706.08500, equation
    6.
    """
    one, other = one.double(), other.double()
    product = torch.linalg.eigvals(one.T.cov() @ other.T.cov())
    # its eigenvalues are real and not below 0, but for rounding
    roots = product.real.clamp(min=0).sqrt().sum()
    return float(
        (one.mean(0) - other.mean(0)).square().sum()
        + one.T.cov().trace()
        + other.T.cov().trace()
        - 2 * roots
    )


def _real(split: str, count: int, first: int) -> Float[Tensor, "count 3 _ _"]:
    seeds = range(10**6 + first, 10**6 + first + count)  # none of those that were trained on
    return torch.stack(
        [
            captioned.captioned(seed, split=split, objects=text_to_image.OBJECTS).image
            for seed in seeds
        ]
    )


def _nearest(images: Float[Tensor, "pictures 3 _ _"]) -> float:
    distances = torch.cdist(images.flatten(1), _trained_on()) / images[0].numel() ** 0.5
    return float(distances.min(1).values.median())


@cache
def _trained_on() -> Float[Tensor, "count values"]:
    return torch.stack(
        [
            captioned.captioned(seed, objects=text_to_image.OBJECTS).image.flatten()
            for seed in range(2000)
        ]
    )
