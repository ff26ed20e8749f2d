"""The quality of the text-to-image model: accuracy by kind of sentence, distances, copying."""

from collections.abc import Sequence
from statistics import median

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from course_lib.data import described, descriptions
from course_lib.data.described import DescribedPicture
from course_lib.data.descriptions import Description
from course_lib.diffusion import judge as judging
from course_lib.diffusion import text_to_image
from course_lib.diffusion.drawings import nearest_drawing
from course_lib.diffusion.evaluation import contact_sheet, generate_prompts
from course_lib.metrics.generation import frechet_distance
from course_lib.sd.pipeline import StableDiffusion

_FIRST_TEST_SEED = 10**6  # not used for training

Images = Float[Tensor, "images 3 _ _"]


def real_pictures(split: str, count: int, *, first: int = 0) -> list[DescribedPicture]:
    """Real test pictures of a split; ``first`` skips as many.

    Raises:
        ValueError: if the split is none of ``text_to_image.TEST_SPLITS``.
    """
    splits = text_to_image.TEST_SPLITS
    if split not in splits:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(splits)}.")
    kind, held_out = split.removeprefix("new-"), split.startswith("new-")
    seeds = range(_FIRST_TEST_SEED + first, _FIRST_TEST_SEED + first + count)
    return [described.described_picture(seed, kind=kind, held_out=held_out) for seed in seeds]


def prompts_for(
    split: str, pictures: Sequence[DescribedPicture]
) -> tuple[list[Description], list[str]]:
    """What the prompts for pictures of a split ask for, and the prompts, in all forms in turn."""
    kind = split.removeprefix("new-")
    asked = [descriptions.leave_open(picture.description, kind) for picture in pictures]
    forms = len(descriptions.FORMS)
    return asked, [descriptions.describe(what, n % forms) for n, what in enumerate(asked)]


def generation_metrics(
    model: StableDiffusion, split: str, count: int, *, guidance: float = text_to_image.GUIDANCE
) -> dict[str, float]:
    """Measure ``count`` generated images of a split with the shipped judge.

    Returns:
        The accuracies of :func:`course_lib.diffusion.judge.description_accuracy`. For "mixed" also
        ``frechet``, the :func:`frechet_distance` to as many real pictures; ``frechet_real``, the
        distance of other real pictures to these; and ``frechet_quotient``, the second by the first,
        about 1 for perfect images. For "one" also ``nearest``, the median distance of the images
        to the nearest training drawing in any pose
        (:func:`course_lib.diffusion.drawings.nearest_drawing`), and ``nearest_real``, the same for
        real pictures, which are exact copies of a drawing.
    """
    real = real_pictures(split, count)
    judge = judging.load()
    asked, prompts = prompts_for(split, real)
    images = generate_prompts(model, prompts, guidance=guidance)
    metrics = judging.description_accuracy(judge.describe(images), asked)
    if split == "mixed":
        others = real_pictures(split, count, first=count)
        features, real_features, other_features = (
            _features(judge, batch) for batch in (images, _stack(real), _stack(others))
        )
        metrics["frechet"] = frechet_distance(features, real_features)
        metrics["frechet_real"] = frechet_distance(other_features, real_features)
        metrics["frechet_quotient"] = metrics["frechet_real"] / metrics["frechet"]
    if split == "one":  # nearest_drawing has no poses of small or large objects
        names = [what.objects[0].name for what in asked]
        metrics["nearest"] = _nearest_drawing_distance(images, names)
        metrics["nearest_real"] = _nearest_drawing_distance(_stack(real), names)
    return metrics


def evaluate(model: text_to_image.TextToImage, split: str, count: int) -> dict[str, float]:
    """:func:`generation_metrics` of a trained model on ``count`` prompts of a split.

    Raises:
        ValueError: if the split is unknown.
    """
    return generation_metrics(text_to_image.to_pipeline(model), split, count)


def sweep_guidance(
    model: StableDiffusion, scales: Sequence[float], split: str = "mixed", count: int = 100
) -> dict[float, dict[str, float]]:
    """:func:`generation_metrics` at each guidance scale, with the same prompts and seeds."""
    return {scale: generation_metrics(model, split, count, guidance=scale) for scale in scales}


def preview_image(
    model: text_to_image.TextToImage, count: int = 96, columns: int = 12
) -> Image.Image:
    """The preview shipped next to the card: generated images, not selected, with their prompts.

    The splits take turns; image n has the seed n.
    """
    splits = list(text_to_image.TEST_SPLITS)
    rows = [
        prompts_for(split, real_pictures(split, -(-count // len(splits))))[1] for split in splits
    ]
    prompts = [prompt for turn in zip(*rows, strict=True) for prompt in turn][:count]
    images = generate_prompts(
        text_to_image.to_pipeline(model), prompts, guidance=text_to_image.GUIDANCE
    )
    return contact_sheet(images, prompts, columns)


def _stack(pictures: Sequence[DescribedPicture]) -> Images:
    return torch.stack([picture.image for picture in pictures])


@torch.no_grad()
def _features(judge: judging.Judge, images: Images) -> Float[Tensor, "images features"]:
    return torch.cat([judge.features(batch) for batch in images.split(50)])


def _nearest_drawing_distance(images: Images, names: Sequence[str]) -> float:
    pairs = zip(images, names, strict=True)
    return median(nearest_drawing(image, name).distance for image, name in pairs)
