"""A classifier that describes pictures of one or two objects, to evaluate generated ones.

First it predicts which places have an object, then each object from the features of its place. It
is trained like :mod:`course_lib.diffusion.judge`, with weaker geometric augmentation, which would
otherwise change the sizes and places.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from course_lib.assets import checkpoints
from course_lib.data import described, resampling, sprites
from course_lib.data.descriptions import (
    COLOURS,
    OBJECTS,
    PLACES,
    STYLES,
    Description,
    Item,
    vocabulary,
)
from course_lib.diffusion.judge import augment
from course_lib.training.loop import History, fit_new
from course_lib.vision.backbone import Backbone

EXAMPLES_PER_EPOCH = 2000
EPOCHS = 18
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
_BATCH = 50  # images described at once

# The places of an object ("": in the middle), and those that have an object in a picture.
SLOTS = ("", *PLACES)
LAYOUTS: tuple[tuple[str, ...], ...] = (
    *((slot,) for slot in SLOTS),
    ("left", "right"),
    ("top", "bottom"),
)
_STYLES, _SIZES = tuple(STYLES), ("small", "", "large")
_IGNORED = -100  # a label that cross_entropy ignores

Images = Float[Tensor, "batch 3 height width"]


class Logits(NamedTuple):
    """The logits of the colour and the layout, and of each object by its slot."""

    colour: Float[Tensor, "batch colours"]
    layout: Float[Tensor, "batch layouts"]
    name: Float[Tensor, "batch slots names"]
    style: Float[Tensor, "batch slots styles"]
    size: Float[Tensor, "batch slots sizes"]


class Judge(nn.Module):
    """Lesson 3's backbone, and linear heads on its last feature map, pooled in different ways."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        width = Backbone.channels[-1]
        self.colour = nn.Linear(width, len(COLOURS))
        self.layout = nn.Linear(width * 16, len(LAYOUTS))
        self.name = nn.Linear(width, len(OBJECTS))
        self.style = nn.Linear(width, len(_STYLES))
        self.size = nn.Linear(width, len(_SIZES))

    def features(self, images: Images) -> Float[Tensor, "batch 128"]:
        """The pooled features of images in [0, 1]; Fréchet distances are computed from them."""
        return self.backbone(images)[-1].mean((2, 3))

    def forward(self, images: Images) -> Logits:
        """The logits of images in [0, 1]."""
        last = self.backbone(images)[-1]
        rows, columns = last.shape[2] // 2, last.shape[3] // 2
        halves = (last[..., :columns], last[..., columns:], last[:, :, :rows], last[:, :, rows:])
        slots = torch.stack([part.mean((2, 3)) for part in (last, *halves)], dim=1)
        return Logits(
            self.colour(slots[:, 0]),
            self.layout(F.adaptive_avg_pool2d(last, 4).flatten(1)),
            self.name(slots),
            self.style(slots),
            self.size(slots),
        )

    @torch.no_grad()
    def describe(self, images: Images) -> list[Description]:
        """The most likely description of each image; images in [0, 1], on any device."""
        device = next(self.parameters()).device
        found = []
        for batch in images.split(_BATCH):
            predicted = (logits.argmax(-1).tolist() for logits in self(batch.to(device)))
            found += [_to_description(*labels) for labels in zip(*predicted, strict=True)]
        return found


def _to_description(
    colour: int, layout: int, names: list[int], styles: list[int], sizes: list[int]
) -> Description:
    items: dict[str, Item] = {}
    for place in LAYOUTS[layout]:
        n = SLOTS.index(place)
        name = OBJECTS[names[n]]
        # Two objects are different: of two equal ones, the first counts.
        items.setdefault(
            name, Item(name, _STYLES[styles[n]], _SIZES[sizes[n]] or None, place or None)
        )
    return Description(tuple(items.values()), COLOURS[colour])


def to_labels(description: Description) -> Int64[Tensor, " labels"]:
    """The classes of a complete description: colour and layout, then by slot the names, the styles
    and the sizes; -100 for a slot without an object.
    """
    items = {item.place or "": item for item in description.objects}
    layout = tuple(slot for slot in SLOTS if slot in items)
    labels = [COLOURS.index(description.colour), LAYOUTS.index(layout)]
    for attribute, classes in (("name", OBJECTS), ("style", _STYLES), ("size", _SIZES)):
        labels += [
            classes.index(getattr(items[slot], attribute) or "") if slot in items else _IGNORED
            for slot in SLOTS
        ]
    return torch.tensor(labels)


def loss(model: Judge, images: Images, labels: Int64[Tensor, "batch labels"]) -> Float[Tensor, ""]:
    """The sum of the heads' cross-entropies, on augmented images; labels as in ``to_labels``."""
    logits = model(augment(images, max_angle=10, scales=(0.95, 1.05), max_shift=0.025))
    slots = len(SLOTS)
    targets = labels.split([1, 1, slots, slots, slots], dim=1)
    pairs = zip(logits, targets, strict=True)
    losses = [F.cross_entropy(scores.flatten(0, -2), y.flatten()) for scores, y in pairs]
    return torch.stack(losses).sum()


class _TrainingImages(Dataset):
    """Images with their labels, including the combinations held out from the text-to-image model:
    otherwise the judge could learn that they do not exist.
    """

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture = described.described_picture(_FIRST_TRAINING_SEED + index, held_out=index % 4 == 0)
        return picture.image, to_labels(picture.description)


def load() -> Judge:
    """The shipped judge, on the CPU, in eval mode."""
    judge = Judge()
    judge.load_state_dict(checkpoints.load("described-judge"))
    return judge.eval()


def convert_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Initial weights from those of lesson 6's judge: its backbone and its head of the colours; the
    other heads become zero. Those of any other model are returned unchanged.
    """
    own = Judge().state_dict()
    kept = {key for key, value in own.items() if key in state and state[key].shape == value.shape}
    if not all(key in kept for key in own if key.startswith("backbone.")):
        return dict(state)
    return {key: state[key] if key in kept else torch.zeros_like(own[key]) for key in own}


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
    return fit_new(
        Judge, loss, data, epochs, learning_rate=learning_rate, label="described-judge", **options
    )


def evaluate(model: Judge, split: str, count: int) -> dict[str, float]:
    """The :func:`accuracy` on ``count`` real test images of a split.

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    pictures = [described.described_picture(seed, **_SPLITS[split]) for seed in range(count)]
    found = model.describe(torch.stack([picture.image for picture in pictures]))
    accuracies = accuracy(found, [picture.description for picture in pictures])
    if "drawings" in _SPLITS[split]:
        del accuracies["style"], accuracies["all"]  # none of the styles has these drawings
    return accuracies


def accuracy(found: Sequence[Description], asked: Sequence[Description]) -> dict[str, float]:
    """How many of the things asked for were found in the pictures.

    Args:
        found: complete descriptions, one per picture.
        asked: what the pictures should show; what it leaves open is not counted.

    Returns:
        Fractions, each only if something of the kind was asked for. ``object``: of the objects,
        those in the picture; an only object must be the only one. ``style``, ``place``, ``size``:
        of the objects for which it was asked, those in the picture with this property.
        ``colour``: of the background colours. ``both``: of the pairs, those with both objects.
        ``all``: of the pictures, those with everything right.
    """
    scores: dict[str, list[bool]] = {}

    def count(metric: str, right: bool) -> bool:
        scores.setdefault(metric, []).append(right)
        return right

    for actual, target in zip(found, asked, strict=True):
        items = {item.name: item for item in actual.objects}
        alone = len(target.objects) == 1
        rights = [count("colour", actual.colour == target.colour)]
        for item in target.objects:
            match = items.get(item.name) if not alone or len(items) == 1 else None
            rights.append(count("object", match is not None))
            for metric in ("style", "place", "size"):
                wanted = getattr(item, metric)
                if wanted is not None:
                    rights.append(
                        count(metric, match is not None and getattr(match, metric) == wanted)
                    )
        if not alone:
            rights.append(count("both", {item.name for item in target.objects} == set(items)))
        count("all", all(rights))
    return {metric: sum(values) / len(values) for metric, values in scores.items()}
