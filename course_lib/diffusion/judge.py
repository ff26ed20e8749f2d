"""A judge of generated pictures: which object is it, and on which colour? A classifier with two
heads.

It is trained on captioned pictures that are turned, moved, blurred and made noisy, none of which
the text-to-image model sees, so that it does not go by what the drawings have in common. The
functions below ``load`` are what ``course train judge`` and ``course evaluate judge`` run: see
``course_lib.training.recipes``.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from course_lib.assets import checkpoints
from course_lib.data import captioned, resampling, sprites
from course_lib.diffusion.text_to_image import OBJECTS
from course_lib.training.loop import History, fit_new
from course_lib.vision.backbone import Backbone

COLOURS = tuple(captioned.COLOURS)
EPOCH = 2000  # pictures
BATCH = 16
LEARNING_RATE = 2e-3
TESTS = {"seen": 500, "new-combinations": 500, "held-out-style": 500}
BARS = {
    "judge": {split: {"object": 0.99, "colour": 0.99} for split in ("seen", "new-combinations")}
}
# seeds of its training pictures begin here: those of its tests and of others come before
_AHEAD = 1_000_000_000


class Judge(nn.Module):
    """The backbone of lesson 3, its last map averaged over the picture, and a linear layer for each
    question.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.object = nn.Linear(Backbone.channels[-1], len(OBJECTS))
        self.colour = nn.Linear(Backbone.channels[-1], len(COLOURS))

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 128"]:
        """What it goes by; images in [0, 1]. Frechet distances are measured between these."""
        return self.backbone(images)[-1].mean((2, 3))

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch objects"], Float[Tensor, "batch colours"]]:
        features = self.features(images)
        return self.object(features), self.colour(features)


class Verdict(NamedTuple):
    """The most likely object and colour of a picture."""

    name: str
    colour: str


@torch.no_grad()
def verdicts(judge: Judge, images: Float[Tensor, "batch 3 height width"]) -> list[Verdict]:
    """What the judge sees in pictures in [0, 1]."""
    objects, colours = (scores.argmax(1).tolist() for scores in judge(images))
    return [
        Verdict(OBJECTS[name], COLOURS[colour])
        for name, colour in zip(objects, colours, strict=True)
    ]


def loss(
    model: Judge,
    images: Float[Tensor, "batch 3 height width"],
    names: Int64[Tensor, " batch"],
    colours: Int64[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Cross-entropy of both answers, on disturbed pictures."""
    found_names, found_colours = model(disturbed(images))
    return F.cross_entropy(found_names, names) + F.cross_entropy(found_colours, colours)


def disturbed(
    images: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """Turned by up to 20 degrees, scaled by 0.8 to 1.25, moved by up to a tenth, then blurred and
    made noisy.

    What comes in from outside repeats the border, which has the ground's colour.
    """
    count = len(images)

    def uniform(low: float | int, high: float | int) -> Tensor:
        return low + (high - low) * torch.rand(count, device=images.device)

    angle, scale = uniform(-20, 20) * math.pi / 180, uniform(0.8, 1.25)
    rows = [
        scale * angle.cos(),
        -scale * angle.sin(),
        uniform(-0.2, 0.2),
        scale * angle.sin(),
        scale * angle.cos(),
    ]
    places = torch.stack([*rows, uniform(-0.2, 0.2)], dim=1).view(count, 2, 3)
    grid = F.affine_grid(places, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    half = F.interpolate(
        F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear", align_corners=False
    )
    images = torch.lerp(images, half, uniform(0, 1)[:, None, None, None])
    return images + uniform(0, 0.1)[:, None, None, None] * torch.randn_like(images)


class _Pictures(Dataset):
    """Endless: a picture for each number, with the numbers of its object and colour.

    Of all combinations: a judge that never sees a fox on purple learns that what stands on purple
    is no fox.
    """

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, seed: int) -> tuple[Tensor, int, int]:
        split = "seen" if seed % 10 else "new-combinations"
        made = captioned.captioned(_AHEAD + seed, split=split, objects=OBJECTS)
        return made.image, OBJECTS.index(made.name), COLOURS.index(made.colour)


def load(name: str = "judge") -> Judge:
    """The shipped judge, on the CPU, ready to use."""
    judge = Judge()
    judge.load_state_dict(checkpoints.load(name))
    return judge.eval()


MODELS = {"judge": Judge}


def model(name: str = "judge") -> Judge:
    """One with random weights."""
    return Judge()


def epochs(name: str = "judge") -> int:
    """Of 2,000 pictures each, for the shipped one."""
    return 10


def styles(name: str = "judge") -> list[str]:
    """None: it is not made to be trained without one of its drawing styles."""
    return []


def facts(name: str = "judge", styles: Sequence[str] | None = None) -> dict[str, Any]:
    """What it is trained on."""
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
    name: str = "judge",
    *,
    epochs: int = 10,
    device: torch.device | None = None,
    workers: int = 0,
    seed: int = 0,
    start: Mapping[str, Tensor] | None = None,
    learning_rate: float = LEARNING_RATE,
    checkpoint: str | Path | None = None,
) -> tuple[Judge, History]:
    """Train it on new pictures in every epoch; the options are those of ``course train``."""
    data: DataLoader = resampling.loader(_Pictures(), EPOCH, batch=BATCH, workers=workers)
    options = {
        "learning_rate": learning_rate,
        "device": device,
        "checkpoint": checkpoint,
        "label": name,
    }
    return fit_new(Judge, loss, data, epochs, seed=seed, start=start, **options)


def evaluate(name: str, model: Judge, split: str, count: int) -> dict[str, float]:
    """The share of ``count`` real test pictures of a split whose object, and whose colour, it names
    rightly.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in TESTS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TESTS)}.")
    device = next(model.parameters()).device
    shown = [captioned.captioned(seed, split=split, objects=OBJECTS) for seed in range(count)]
    found = [
        verdict
        for part in range(0, count, 50)
        for verdict in verdicts(
            model, torch.stack([one.image for one in shown[part : part + 50]]).to(device)
        )
    ]
    return agreement(found, [Verdict(one.name, one.colour) for one in shown])


def agreement(
    found: Sequence[Verdict], wanted: Sequence[Verdict | tuple[str, str]]
) -> dict[str, float]:
    """The share of verdicts in which the object, the colour, and both are those that were
    wanted.
    """
    pairs = list(zip(found, wanted, strict=True))
    names, colours = (
        [one.name == name for one, (name, _) in pairs],
        [one.colour == tone for one, (_, tone) in pairs],
    )
    both = [first and second for first, second in zip(names, colours, strict=True)]
    return {
        key: sum(right) / len(right)
        for key, right in {"object": names, "colour": colours, "both": both}.items()
    }
