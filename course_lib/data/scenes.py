"""Scenes: objects in front of a photograph, with complete ground truth.

A scene is a pure function of its seed, so the data set is unlimited and needs no storage.
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
from course_lib.data.compose import Light, Placement, Scene, compose, visible_fractions

SIZE = 128  # pixels; the training size of lesson 3's models
MAX_OBJECTS = 5  # per scene
# split: (photos, styles, whether the objects are of CLASSES; if not, no model is trained on them)
SPLITS = {
    "seen": ("train", "train", True),
    "new-backgrounds": ("held-out", "train", True),
    "held-out-style": ("held-out", "held-out", True),
    "unseen-objects": ("held-out", "train", False),
}
TEST_SEEDS = range(1000)  # models are evaluated on these; training uses only larger seeds
_MIN_VISIBLE = 0.6  # fraction of each object that must not be hidden by others
_ATTEMPTS = 20


def scene(
    seed: int,
    size: int = SIZE,
    *,
    objects: tuple[int, int] = (1, MAX_OBJECTS),
    split: str = "seen",
    styles: Sequence[str] | None = None,
) -> Scene:
    """The scene of a seed; the same arguments always give the same scene.

    Args:
        seed: 0 or more.
        size: the image side in pixels. A seed gives nearly the same scene at every size; it can
            differ because visibility is counted in pixels.
        objects: minimum and maximum number of objects. A scene has fewer if no position with enough
            visibility was found, which happens with five.
        split: one of ``SPLITS``: which photos, styles and objects are used.
        styles: use these styles instead of the split's.

    Raises:
        ValueError: for an unknown split or style, or a number out of range.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(SPLITS)}.")
    if seed < 0 or size < 16 or not 1 <= objects[0] <= objects[1] <= MAX_OBJECTS:
        raise ValueError(
            f"seed {seed}, size {size}, objects {objects}: seed must be 0 or more, "
            "size 16 or more, and objects a minimum and a maximum number between 1 and "
            f"{MAX_OBJECTS}."
        )
    photo_split, style_split, known = SPLITS[split]
    # The order of the random draws is part of the data set: changing it changes every scene.
    rng = np.random.default_rng([seed, list(SPLITS).index(split)])
    styles = list(styles or sprites.styles(style_split))
    names = [name for name in sprites.names() if (name in sprites.CLASSES) == known]
    light = Light(rng.uniform(0, 360), rng.uniform(0, 0.5), rng.uniform(0, 0.6))
    background = _background(photo_split, size, rng)
    placements: list[Placement] = []
    target_count = int(rng.integers(objects[0], objects[1] + 1))
    for _ in range(_ATTEMPTS):
        if len(placements) == target_count:
            break
        candidate = [*placements, _random_placement(names, styles, rng)]
        if (visible_fractions(candidate, size) > _MIN_VISIBLE).all():
            placements = candidate
    composed = compose(background, placements, light)
    noise = rng.uniform(0, 0.03) * rng.standard_normal(composed.image.shape, dtype=np.float32)
    image = (composed.image + torch.from_numpy(noise).float()).clamp(0, 1)
    return replace(composed, image=image)


class Scenes(Dataset):
    """The scenes of a range of seeds, generated on access."""

    def __init__(self, seeds: range, **options) -> None:
        """``options`` are passed to :func:`scene`."""
        self.seeds = seeds
        self.options = options

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Scene:
        return scene(self.seeds[index], **self.options)


class Batch(NamedTuple):
    """A training batch for all five models, padded to the same number of objects.

    Padding has label -1 and box 0. There is room for at least ``MAX_OBJECTS`` objects.
    """

    images: Float[Tensor, "batch 3 height width"]
    labels: Int64[Tensor, "batch objects"]
    boxes: Float[Tensor, "batch objects 4"]
    instances: Int64[Tensor, "batch height width"]


def collate(scenes: Sequence[Scene]) -> Batch:
    """Scenes of the same size as a batch."""
    max_objects = max(MAX_OBJECTS, *(len(scene.labels) for scene in scenes))
    labels = torch.full((len(scenes), max_objects), -1)
    boxes = torch.zeros(len(scenes), max_objects, 4)
    for row, scene in enumerate(scenes):
        labels[row, : len(scene.labels)] = scene.labels
        boxes[row, : len(scene.boxes)] = scene.boxes
    images = torch.stack([scene.image for scene in scenes])
    return Batch(images, labels, boxes, torch.stack([scene.instances for scene in scenes]))


def loader(count: int, *, batch_size: int = 32, workers: int = 0, **options) -> DataLoader:
    """Training batches: ``count`` scenes per epoch, new ones in every epoch.

    See :func:`course_lib.data.resampling.loader`; ``options`` are those of :func:`scene`.
    """
    scenes = Scenes(range(TEST_SEEDS.stop, 2**31), **options)
    return resampling.loader(scenes, count, batch_size=batch_size, workers=workers, collate=collate)


def _random_placement(
    names: Sequence[str], styles: Sequence[str], rng: np.random.Generator
) -> Placement:
    size = rng.uniform(0.28, 0.55)
    # slightly more than half a tile, so that rotated objects stay (almost) inside the image
    margin = 0.55 * size
    x, y = rng.uniform(margin, 1 - margin, 2)
    name = names[int(rng.integers(len(names)))]
    style = styles[int(rng.integers(len(styles)))]
    return Placement(
        name=name,
        style=style,
        x=float(x),
        y=float(y),
        size=float(size),
        angle=float(rng.uniform(-30, 30)),
        flip=bool(rng.random() < 0.5),
        brightness=float(rng.uniform(0.75, 1.2)),
    )


def _background(
    split: str, size: int, rng: np.random.Generator
) -> Float[np.ndarray, "size size 3"]:
    """A random square crop of a photo, randomly mirrored, with jittered contrast and colours."""
    names = _photo_names(split)
    photo = _small_photo(names[rng.integers(len(names))])
    side = rng.uniform(0.3, 1.0) * min(photo.size)
    left, top = rng.uniform(0, photo.width - side), rng.uniform(0, photo.height - side)
    box = (left, top, left + side, top + side)
    crop = photo.resize((size, size), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(crop, dtype=np.float32) / 255
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    contrast = rng.uniform(0.6, 1.1)
    brightness = rng.uniform(-0.1, 0.15)
    tint = rng.uniform(-0.08, 0.08, 3).astype(np.float32)
    return np.clip((pixels - 0.5) * contrast + 0.5 + brightness + tint, 0, 1)


@cache
def _photo_names(split: str) -> list[str]:
    return photos.names(split)


@lru_cache(32)
def _small_photo(name: str) -> Image.Image:
    """A large photo downsampled to at most 448 pixels, so that cropping is fast."""
    photo = photos.picture(name)
    photo.thumbnail((448, 448), Image.Resampling.LANCZOS)
    return photo
