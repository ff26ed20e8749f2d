"""A classifier that evaluates generated images: which object, and which background colour?

Unlike the text-to-image model, it is trained with augmentation (geometry, blur, noise), so that the
two models do not rely on the same artefacts of the drawings.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from course_lib.assets import checkpoints
from course_lib.data import captioned, resampling, sprites
from course_lib.data.captioned import OBJECTS
from course_lib.training.loop import History, fit_new
from course_lib.vision.backbone import Backbone

COLOURS = tuple(captioned.COLOURS)
EXAMPLES_PER_EPOCH = 2000
EPOCHS = 10  # of the shipped checkpoint
BATCH = 16
LEARNING_RATE = 2e-3
TEST_SPLITS = {"seen": 500, "new-combinations": 500, "held-out-style": 500}
THRESHOLDS = {split: {"object": 0.99, "colour": 0.99} for split in ("seen", "new-combinations")}
# The training seeds start here; test images and other models' images have smaller seeds.
_FIRST_TRAINING_SEED = 1_000_000_000
_BATCH = 50  # images classified at once

Images = Float[Tensor, "batch 3 height width"]


class Verdict(NamedTuple):
    """The predicted object and background colour of an image."""

    name: str
    colour: str


class Judge(nn.Module):
    """Lesson 3's backbone, global average pooling, and two linear heads."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.object = nn.Linear(Backbone.channels[-1], len(OBJECTS))
        self.colour = nn.Linear(Backbone.channels[-1], len(COLOURS))

    def features(self, images: Images) -> Float[Tensor, "batch 128"]:
        """The pooled features of images in [0, 1]; Fréchet distances are computed from them."""
        return self.backbone(images)[-1].mean((2, 3))

    def forward(
        self, images: Images
    ) -> tuple[Float[Tensor, "batch objects"], Float[Tensor, "batch colours"]]:
        """The logits of the objects and of the colours; images in [0, 1]."""
        features = self.features(images)
        return self.object(features), self.colour(features)

    @torch.no_grad()
    def classify(self, images: Images) -> list[Verdict]:
        """The most likely object and colour of each image; images in [0, 1], on any device."""
        device = next(self.parameters()).device
        verdicts = []
        for batch in images.split(_BATCH):
            objects, colours = (logits.argmax(1).tolist() for logits in self(batch.to(device)))
            verdicts += [
                Verdict(OBJECTS[name], COLOURS[colour])
                for name, colour in zip(objects, colours, strict=True)
            ]
        return verdicts


def loss(
    model: Judge,
    images: Images,
    names: Int64[Tensor, " batch"],
    colours: Int64[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The sum of both heads' cross-entropies, on augmented images."""
    name_logits, colour_logits = model(augment(images))
    return F.cross_entropy(name_logits, names) + F.cross_entropy(colour_logits, colours)


def augment(
    images: Images,
    *,
    max_angle: float = 20,
    scales: tuple[float, float] = (0.8, 1.25),
    max_shift: float = 0.1,
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
    """Images with the class indices of their object and colour.

    They include the combinations held out from the text-to-image model: otherwise the judge could
    learn that an object on purple is never a fox.
    """

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        split = "seen" if index % 10 else "new-combinations"
        picture = captioned.captioned_picture(
            _FIRST_TRAINING_SEED + index, split=split, objects=OBJECTS
        )
        return picture.image, OBJECTS.index(picture.name), COLOURS.index(picture.colour)


def load() -> Judge:
    """The shipped judge, on the CPU, in eval mode."""
    judge = Judge()
    judge.load_state_dict(checkpoints.load("judge"))
    return judge.eval()


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return {
        "pictures": "captioned pictures, turned, scaled, moved, blurred and made noisy",
        "side": captioned.SIZE,
        "objects": list(OBJECTS),
        "colours": list(COLOURS),
        "styles": sprites.styles("train"),
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
    """The :func:`accuracy` on ``count`` real test images of a split.

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    pictures = [
        captioned.captioned_picture(seed, split=split, objects=OBJECTS) for seed in range(count)
    ]
    verdicts = model.classify(torch.stack([picture.image for picture in pictures]))
    return accuracy(verdicts, [(picture.name, picture.colour) for picture in pictures])


def accuracy(verdicts: Sequence[Verdict], expected: Sequence[tuple[str, str]]) -> dict[str, float]:
    """The fractions of correct verdicts.

    Args:
        verdicts: one per image.
        expected: the true object and colour of each image.

    Returns:
        The accuracies for ``object``, ``colour`` and ``both``.
    """
    pairs = list(zip(verdicts, expected, strict=True))
    correct = {
        "object": [verdict.name == name for verdict, (name, _) in pairs],
        "colour": [verdict.colour == colour for verdict, (_, colour) in pairs],
        "both": [tuple(verdict) == tuple(target) for verdict, target in pairs],
    }
    return {key: sum(values) / len(values) for key, values in correct.items()}
