"""Sprites (drawn objects with transparency): 122 objects, each in four independent styles.

Three styles are for training. The fourth is held out: nothing in this course is trained on it, so
it shows whether a model learned what an owl is, or just three drawings of an owl. data/LICENSES.md
lists authors and licences; data/build_sprites.py explains how the styles were split.
"""

import json
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from course_lib.assets import paths

# The classes of lesson 3, three per group. Its models are not trained on any other object.
CLASSES = (
    "owl",
    "butterfly",
    "turtle",
    "apple",
    "banana",
    "pizza",
    "car",
    "rocket",
    "sailing boat",
    "house",
    "alarm clock",
    "cactus",
)


def styles(split: str = "train") -> list[str]:
    """The drawing styles of a split: ``"train"`` or ``"held-out"``.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in ("train", "held-out"):
        raise ValueError(
            f"There is no split {split!r} of the styles: choose 'train' or 'held-out'."
        )
    contents = _contents()
    return list(contents["styles"]) if split == "train" else [contents["held_out_style"]]


def names(group: str | None = None) -> list[str]:
    """The names of all objects, or of one group: ``"animal"``, ``"food"``, ``"vehicle"``,
    ``"thing"``.

    Raises:
        ValueError: if there is no such group.
    """
    groups = sorted({entry["group"] for entry in _contents()["objects"]})
    if group is not None and group not in groups:
        raise ValueError(f"There is no group {group!r}: choose one of {', '.join(groups)}.")
    return [entry["name"] for entry in _contents()["objects"] if group in (None, entry["group"])]


def group(name: str) -> str:
    """The group of an object.

    Raises:
        ValueError: if there is no such object.
    """
    for entry in _contents()["objects"]:
        if entry["name"] == name:
            return entry["group"]
    raise ValueError(f"There is no object {name!r}: choose one of {', '.join(names())}.")


def sprite(name: str, style: str) -> Float[Tensor, "4 height width"]:
    """An object as float32 RGBA in [0, 1], with straight (not premultiplied) alpha.

    Raises:
        ValueError: if there is no such object or style.
    """
    pixels = np.asarray(picture(name, style), dtype=np.float32) / 255
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@cache
def picture(name: str, style: str) -> Image.Image:
    """The object as a Pillow image in mode RGBA, 128x128. It is cached: copy it before editing.

    Raises:
        ValueError: if there is no such object or style.
    """
    all_styles = [*styles(), *styles("held-out")]
    if style not in all_styles:
        raise ValueError(f"There is no style {style!r}: choose one of {', '.join(all_styles)}.")
    if name not in names():
        raise ValueError(f"There is no object {name!r}: choose one of {', '.join(names())}.")
    contents = _contents()
    row, column = divmod(names().index(name), contents["columns"])
    side = contents["tile"]
    left, top = column * side, row * side
    return _sheet(style).crop((left, top, left + side, top + side))


@cache
def _contents() -> dict:
    return json.loads(paths.data_path("sprites", "sprites.json").read_text(encoding="utf-8"))


@cache
def _sheet(style: str) -> Image.Image:
    with Image.open(paths.data_path("sprites", f"{style}.webp")) as file:
        return file.convert("RGBA")
