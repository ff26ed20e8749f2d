"""A classifier of generated images: which objects, with which properties, on which background?

First it predicts which places have an object, then each object from the features of its place. Its
training is in :mod:`course_lib.diffusion.judge_training`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.assets import checkpoints
from course_lib.data.descriptions import COLOURS, OBJECTS, PLACES, STYLES, Description, Item
from course_lib.vision.backbone import Backbone

# The places of an object ("": in the middle), and those that have an object in a picture.
SLOTS = ("", *PLACES)
LAYOUTS: tuple[tuple[str, ...], ...] = (
    *((slot,) for slot in SLOTS),
    ("left", "right"),
    ("top", "bottom"),
)
STYLE_CLASSES, SIZE_CLASSES = tuple(STYLES), ("small", "", "large")
_BATCH = 50  # images classified at once

Images = Float[Tensor, "batch 3 height width"]


class Verdict(NamedTuple):
    """The predicted object and background colour of an image."""

    name: str
    colour: str


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
        self.style = nn.Linear(width, len(STYLE_CLASSES))
        self.size = nn.Linear(width, len(SIZE_CLASSES))

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

    def classify(self, images: Images) -> list[Verdict]:
        """The object and the colour of each image; of two objects, only one."""
        found = self.describe(images)
        return [Verdict(what.objects[0].name, what.colour) for what in found]


def _to_description(
    colour: int, layout: int, names: list[int], styles: list[int], sizes: list[int]
) -> Description:
    items: dict[str, Item] = {}
    for place in LAYOUTS[layout]:
        n = SLOTS.index(place)
        name = OBJECTS[names[n]]
        # Two objects are different: of two equal ones, the first counts.
        items.setdefault(
            name,
            Item(name, STYLE_CLASSES[styles[n]], SIZE_CLASSES[sizes[n]] or None, place or None),
        )
    return Description(tuple(items.values()), COLOURS[colour])


def load() -> Judge:
    """The shipped judge, on the CPU, in eval mode."""
    judge = Judge()
    judge.load_state_dict(checkpoints.load("judge"))
    return judge.eval()


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


def description_accuracy(
    found: Sequence[Description], asked: Sequence[Description]
) -> dict[str, float]:
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
