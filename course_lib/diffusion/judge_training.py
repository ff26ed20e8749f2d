"""Training and evaluation of the judge of generated images.

Unlike the text-to-image model, it is trained with augmentation (geometry, blur, noise), so that the
two models do not rely on the same artefacts of the drawings.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from course_lib.data import described, resampling, sprites
from course_lib.data.descriptions import COLOURS, OBJECTS, Description, vocabulary
from course_lib.diffusion import judge as judging
from course_lib.diffusion.judge import (
    LAYOUTS,
    SIZE_CLASSES,
    SLOTS,
    STYLE_CLASSES,
    Images,
    Judge,
)
from course_lib.training.loop import History, fit_new

EXAMPLES_PER_EPOCH = 2000
EPOCHS = 18  # from random weights; the shipped judge had more, in several trainings
BATCH = 16
LEARNING_RATE = 2e-3
# split: the arguments of described_picture
_SPLITS: dict[str, dict[str, Any]] = {
    "seen": {},
    "new-combinations": {"held_out": True},
    "held-out-style": {"drawings": sprites.styles("held-out")[0]},
}
TEST_SPLITS = dict.fromkeys(_SPLITS, 500)
THRESHOLDS = {
    split: {"object": 0.98, "colour": 0.99, "style": 0.97, "place": 0.99, "size": 0.97}
    for split in ("seen", "new-combinations")
}
# The training seeds start here; test images and other models' images have smaller seeds.
_FIRST_TRAINING_SEED = 1_000_000_000
_IGNORED = -100  # a label that cross_entropy ignores


def to_labels(description: Description) -> Int64[Tensor, " labels"]:
    """The classes of a complete description: colour and layout, then by slot the names, the styles
    and the sizes; -100 for a slot without an object.
    """
    items = {item.place or "": item for item in description.objects}
    layout = tuple(slot for slot in SLOTS if slot in items)
    labels = [COLOURS.index(description.colour), LAYOUTS.index(layout)]
    for attribute, classes in (("name", OBJECTS), ("style", STYLE_CLASSES), ("size", SIZE_CLASSES)):
        labels += [
            classes.index(getattr(items[slot], attribute) or "") if slot in items else _IGNORED
            for slot in SLOTS
        ]
    return torch.tensor(labels)


def loss(model: Judge, images: Images, labels: Int64[Tensor, "batch labels"]) -> Float[Tensor, ""]:
    """The sum of the heads' cross-entropies, on augmented images; labels as in ``to_labels``."""
    logits = model(augment(images))
    slots = len(SLOTS)
    targets = labels.split([1, 1, slots, slots, slots], dim=1)
    pairs = zip(logits, targets, strict=True)
    losses = [F.cross_entropy(scores.flatten(0, -2), y.flatten()) for scores, y in pairs]
    return torch.stack(losses).sum()


def augment(
    images: Images,
    *,
    max_angle: float = 10,
    scales: tuple[float, float] = (0.98, 1.02),
    max_shift: float = 0.025,
) -> Images:
    """Random rotation (``max_angle`` in degrees), scale, shift (``max_shift`` is a fraction of the
    side), blur and noise.

    Pixels outside the image repeat its border, which has the background's colour.
    """

    def uniform(low: float | int, high: float | int) -> Float[Tensor, " batch"]:
        return low + (high - low) * torch.rand(len(images), device=images.device)

    angle = uniform(-max_angle, max_angle) * math.pi / 180
    scale = uniform(*scales)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    # the coordinates of the grid range from -1 to 1
    shift_x, shift_y = (uniform(-2 * max_shift, 2 * max_shift) for _ in range(2))
    matrices = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    blurred = F.interpolate(
        F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear", align_corners=False
    )
    images = torch.lerp(images, blurred, uniform(0, 1)[:, None, None, None])
    return images + uniform(0, 0.1)[:, None, None, None] * torch.randn_like(images)


class _TrainingImages(Dataset):
    """Images with their labels, including the combinations held out from the text-to-image model:
    otherwise the judge could learn that they do not exist.
    """

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture = described.described_picture(_FIRST_TRAINING_SEED + index, held_out=index % 4 == 0)
        return picture.image, to_labels(picture.description)


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return {
        "pictures": "described pictures, turned, scaled, moved, blurred and made noisy",
        "side": described.SIZE,
        **vocabulary(),
        "combinations": "all: those of the test splits too, in other pictures",
        "held out": sprites.styles("held-out"),
    }


def train(
    *,
    epochs: int = EPOCHS,
    workers: int = 0,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH,
    **options: Any,
) -> tuple[Judge, History]:
    """Train on new images in every epoch; other ``options`` are passed to :func:`fit_new`."""
    data = resampling.loader(
        _TrainingImages(), EXAMPLES_PER_EPOCH, batch_size=batch_size, workers=workers
    )
    return fit_new(Judge, loss, data, epochs, learning_rate=learning_rate, label="judge", **options)


def evaluate(model: Judge, split: str, count: int) -> dict[str, float]:
    """The :func:`description_accuracy` on ``count`` real test images of a split.

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    pictures = [described.described_picture(seed, **_SPLITS[split]) for seed in range(count)]
    found = model.describe(torch.stack([picture.image for picture in pictures]))
    accuracies = judging.description_accuracy(found, [picture.description for picture in pictures])
    if "drawings" in _SPLITS[split]:
        del accuracies["style"], accuracies["all"]  # none of the styles has these drawings
    return accuracies
