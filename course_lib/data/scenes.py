"""Scenes: drawn objects before a photograph, with everything there is to know about them.

A scene is a function of its seed, so there are as many as one wants and none has to be stored.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from course_lib.data import photos, resampling, sprites
from course_lib.data.compose import Light, Placement, Scene, compose, visible_shares

SIZE = 128  # pixels; what lesson 3's models are trained on
MOST = 5  # objects in a scene
# split: (photos, styles, whether the objects are of CLASSES or of the same groups but never trained
# on)
SPLITS = {
    "seen": ("train", "train", True),
    "new-backgrounds": ("held-out", "train", True),
    "held-out-style": ("held-out", "held-out", True),
    "unseen-objects": ("held-out", "train", False),
}
# scenes that models are measured on; training draws from the seeds behind them
TEST_SEEDS = range(1000)
_LEAST_VISIBLE = 0.6  # of each object, behind the others
_TRIES = 20


def scene(
    seed: int,
    size: int = SIZE,
    *,
    objects: tuple[int, int] = (1, MOST),
    split: str = "seen",
    styles: Sequence[str] | None = None,
) -> Scene:
    """The scene of a seed: the same one whenever and wherever it is asked for.

    Args:
        seed: 0 or more.
        size: the picture's side in pixels. At another size the same seed gives nearly the same
            scene, not always: whether enough can be seen of an object is counted in pixels.
        objects: how many there are at least and at most. There are fewer where, as happens with
            five, no place is found at which enough can be seen of each.
        split: one of ``SPLITS``: which photos, styles and objects it is made of.
        styles: draw from these styles rather than from those of the split.

    Raises:
        ValueError: if there is no such split or style, or the numbers make no sense.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(SPLITS)}.")
    if seed < 0 or size < 16 or not 1 <= objects[0] <= objects[1] <= MOST:
        raise ValueError(
            f"seed {seed}, size {size}, objects {objects}: seed must be 0 or more, size 16 or more, and objects "
            f"a lowest and a highest number between 1 and {MOST}."
        )
    photo_split, style_split, known = SPLITS[split]
    rng = np.random.default_rng([seed, list(SPLITS).index(split)])
    styles = list(styles or sprites.styles(style_split))
    choice = [name for name in sprites.names() if (name in sprites.CLASSES) == known]
    light = Light(rng.uniform(0, 360), rng.uniform(0, 0.5), rng.uniform(0, 0.6))
    background = _background(photo_split, size, rng)
    placements: list[Placement] = []
    wanted = int(rng.integers(objects[0], objects[1] + 1))
    for _ in range(_TRIES):
        if len(placements) == wanted:
            break
        tried = [*placements, _placement(choice, styles, rng)]
        if (visible_shares(tried, size) > _LEAST_VISIBLE).all():
            placements = tried
    made = compose(background, placements, light)
    noise = rng.uniform(0, 0.03) * rng.standard_normal(made.image.shape, dtype=np.float32)
    return replace(made, image=(made.image + torch.from_numpy(noise).float()).clamp(0, 1))


class Scenes(Dataset):
    """The scenes of a range of seeds, each made when it is asked for."""

    def __init__(self, seeds: range, **options) -> None:
        """``options`` are those of :func:`scene`."""
        self.seeds, self.options = seeds, options

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Scene:
        return scene(self.seeds[index], **self.options)


class Batch(NamedTuple):
    """What all five models are trained on. Where a scene has fewer objects, ``labels`` has -1 and
    ``boxes`` 0.

    There is room for ``MOST`` objects, or for more if a scene holds more, as a photograph of
    ``online`` may.
    """

    images: Float[Tensor, "batch 3 height width"]
    labels: Int64[Tensor, "batch objects"]
    boxes: Float[Tensor, "batch objects 4"]
    instances: Int64[Tensor, "batch height width"]


def collate(scenes: Sequence[Scene]) -> Batch:
    """Scenes of one size as a batch."""
    room = max(MOST, *(len(one.labels) for one in scenes))
    labels, boxes = torch.full((len(scenes), room), -1), torch.zeros(len(scenes), room, 4)
    for row, one in enumerate(scenes):
        labels[row, : len(one.labels)], boxes[row, : len(one.boxes)] = one.labels, one.boxes
    images = torch.stack([one.image for one in scenes])
    return Batch(images, labels, boxes, torch.stack([one.instances for one in scenes]))


def loader(count: int, *, batch: int = 32, workers: int = 0, **options) -> DataLoader:
    """Batches for training: ``count`` scenes an epoch, new ones in every epoch.

    See :func:`course_lib.data.resampling.loader`; ``options`` are those of :func:`scene`.
    """
    scenes = Scenes(range(TEST_SEEDS.stop, 2**31), **options)
    return resampling.loader(scenes, count, batch=batch, workers=workers, collate=collate)


def _placement(choice: Sequence[str], styles: Sequence[str], rng: np.random.Generator) -> Placement:
    size = rng.uniform(0.28, 0.55)
    # a little beyond the tile's half: a turned object stays inside the picture, or nearly
    reach = 0.55 * size
    x, y = rng.uniform(reach, 1 - reach, 2)
    name, style = choice[rng.integers(len(choice))], styles[rng.integers(len(styles))]
    return Placement(
        *(name, style, float(x), float(y), float(size), float(rng.uniform(-30, 30))),
        flip=bool(rng.random() < 0.5),
        brightness=float(rng.uniform(0.75, 1.2)),
    )


def _background(
    split: str, size: int, rng: np.random.Generator
) -> Float[np.ndarray, "size size 3"]:
    """A square piece of a photo, mirrored or not, with its contrast and colours changed a
    little.
    """
    names = _photo_names(split)
    photo = _photo(names[rng.integers(len(names))])
    side = rng.uniform(0.3, 1.0) * min(photo.size)
    left, top = rng.uniform(0, photo.width - side), rng.uniform(0, photo.height - side)
    piece = photo.resize(
        (size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
    )
    pixels = np.asarray(piece, dtype=np.float32) / 255
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    contrast, brightness, tint = (
        rng.uniform(0.6, 1.1),
        rng.uniform(-0.1, 0.15),
        rng.uniform(-0.08, 0.08, 3),
    )
    return np.clip((pixels - 0.5) * contrast + 0.5 + brightness + tint.astype(np.float32), 0, 1)


@cache
def _photo_names(split: str) -> list[str]:
    return photos.names(split)


@lru_cache(32)
def _photo(name: str) -> Image.Image:
    """A large photo made small enough that cutting a piece out of it is quick."""
    photo = photos.picture(name)
    photo.thumbnail((448, 448), Image.Resampling.LANCZOS)
    return photo
