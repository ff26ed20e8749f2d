"""The quality of generated images: accuracy by the judge, distance to real images, copying."""

import textwrap
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor, nn

from course_lib.compression.codecs import to_uint8
from course_lib.data import captioned
from course_lib.data.descriptions import OBJECTS
from course_lib.diffusion import judge as judging
from course_lib.diffusion import text_to_image
from course_lib.metrics.generation import frechet_distance
from course_lib.sd.pipeline import StableDiffusion

_BATCH = 20  # images generated at once
_CAPTION_HEIGHT = 14  # pixels, of a line
_LETTER_WIDTH = 6  # pixels

Images = Float[Tensor, "images 3 _ _"]


def generate(
    model: StableDiffusion,
    pairs: Sequence[tuple[str, str]],
    *,
    sampler: str = text_to_image.SAMPLER,
    steps: int = text_to_image.STEPS,
    guidance: float = text_to_image.GUIDANCE,
) -> Images:
    """One image in [0, 1] per pair of object and colour; image n has the seed n."""
    prompts = [captioned.make_caption(*pair) for pair in pairs]
    return generate_prompts(model, prompts, sampler=sampler, steps=steps, guidance=guidance)


def generate_prompts(
    model: StableDiffusion,
    prompts: Sequence[str],
    *,
    sampler: str = text_to_image.SAMPLER,
    steps: int = text_to_image.STEPS,
    guidance: float = text_to_image.GUIDANCE,
) -> Images:
    """One image in [0, 1] per prompt, generated in batches; image n has the seed n."""
    starts = range(0, len(prompts), _BATCH)
    options: dict[str, Any] = {"sampler": sampler, "steps": steps, "guidance": guidance}
    return torch.cat([model.generate(prompts[n : n + _BATCH], seed=n, **options) for n in starts])


@torch.no_grad()
def judge_features(judge: judging.Judge, images: Images) -> Float[Tensor, "images features"]:
    """The judge's features of images in [0, 1], computed in batches."""
    return torch.cat([judge.features(batch) for batch in images.split(50)])


def generation_metrics(
    model: StableDiffusion,
    pairs: Sequence[tuple[str, str]],
    split: str,
    *,
    objects: Sequence[str] = OBJECTS,
    **settings: Any,
) -> dict[str, float]:
    """Measure one generated image per pair of object and colour with the shipped judge.

    Args:
        model: generates the images.
        pairs: objects and colours.
        split: of the real images, with which they are compared.
        objects: those of the real images.
        settings: sampler, steps and guidance of :func:`generate`.

    Returns:
        ``object, colour, both``: the fractions that the judge recognises. ``frechet``: the
        :func:`frechet_distance` to as many real images of the same split; ``frechet_real``: the
        distance of other real images to these, a baseline. ``nearest``: the median RMS distance
        to the nearest of 2,000 training images; ``nearest_real``: the same for new real images.
        Copied images would have a far smaller ``nearest``.
    """
    judge = judging.load()
    images = generate(model, pairs, **settings)
    real = real_images(split, len(pairs), objects=objects)
    more_real = real_images(split, len(pairs), first=len(pairs), objects=objects)
    features, real_features, more_real_features = (
        judge_features(judge, batch) for batch in (images, real, more_real)
    )
    return judging.accuracy(judge.classify(images), pairs) | {
        "frechet": frechet_distance(features, real_features),
        "frechet_real": frechet_distance(more_real_features, real_features),
        "nearest": _nearest_training_distance(images, tuple(objects)),
        "nearest_real": _nearest_training_distance(real, tuple(objects)),
    }


def preview_image(
    model: nn.Module,
    count: int = 96,
    columns: int = 12,
    *,
    to_pipeline: Callable[..., StableDiffusion],
    objects: Sequence[str] = OBJECTS,
    **settings: Any,
) -> Image.Image:
    """The preview shipped next to the card: generated images, not selected, with captions.

    Prompts alternate between seen and held-out combinations; image n has the seed n.

    Args:
        model: a trained model, of which ``to_pipeline`` makes a pipeline.
        objects: the names to choose from.
        settings: sampler, steps and guidance of :func:`generate`.
    """
    splits = ("seen", "new-combinations")
    by_split = [text_to_image.prompt_pairs(split, count, objects) for split in splits]
    pairs = [pair for row in zip(*by_split, strict=True) for pair in row][:count]
    images = generate(to_pipeline(model), pairs, **settings)
    return contact_sheet(images, [", ".join(pair) for pair in pairs], columns)


def contact_sheet(images: Images, labels: Sequence[str], columns: int) -> Image.Image:
    """Images in [0, 1] in rows of ``columns``, each above its label, in as many lines as needed."""
    side = images.shape[-1]
    wrapped = [textwrap.wrap(label, side // _LETTER_WIDTH) for label in labels]
    row_height = side + _CAPTION_HEIGHT * max(map(len, wrapped))
    sheet = Image.new("RGB", (columns * side, -(-len(images) // columns) * row_height), "white")
    canvas = ImageDraw.Draw(sheet)
    for index, (image, lines) in enumerate(zip(images, wrapped, strict=True)):
        left, top = index % columns * side, index // columns * row_height
        sheet.paste(Image.fromarray(to_uint8(image)), (left, top))
        canvas.text((left + 2, top + side), "\n".join(lines), fill="black")
    return sheet


def real_images(
    split: str, count: int, first: int = 0, objects: Sequence[str] = OBJECTS
) -> Float[Tensor, "count 3 _ _"]:
    """Captioned pictures of a split that no model was trained on, in [0, 1].

    ``first``: the index of the first, so that two sets can be compared with each other;
    ``objects``: the names to choose from.
    """
    seeds = range(10**6 + first, 10**6 + first + count)  # not used for training
    return torch.stack(
        [captioned.captioned_picture(seed, split=split, objects=objects).image for seed in seeds]
    )


def _nearest_training_distance(images: Images, objects: tuple[str, ...]) -> float:
    distances = torch.cdist(images.flatten(1), _training_images(objects))
    return float((distances / images[0].numel() ** 0.5).min(1).values.median())


@cache
def _training_images(objects: tuple[str, ...]) -> Float[Tensor, "count values"]:
    return torch.stack(
        [captioned.captioned_picture(seed, objects=objects).image.flatten() for seed in range(2000)]
    )
