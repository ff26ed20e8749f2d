"""Drawn objects with their outlines: 122 objects, each in four styles by four independent makers.

Three styles are for training. The fourth is held out for good: nothing in this course is ever
trained on it, so that what a model does with it tells whether it learned owls, or three drawings of
an owl. data/LICENSES.md has the makers and their licences; data/build_sprites.py says how the
styles were split.
"""

import json
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from course_lib.assets import paths

# What lesson 3 tells apart, three of each group. All other objects are never trained on there.
CLASSES = (
    *("owl", "butterfly", "turtle"),
    *("apple", "banana", "pizza"),
    *("car", "rocket", "sailing boat"),
    *("house", "alarm clock", "cactus"),
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
    """The names of all objects, or of one group: ``"animal"``, ``"food"``, ``"vehicle"`` or
    ``"thing"``.

    Raises:
        ValueError: if there is no such group.
    """
    groups = sorted({entry["group"] for entry in _contents()["objects"]})
    if group is not None and group not in groups:
        raise ValueError(f"There is no group {group!r}: choose one of {', '.join(groups)}.")
    return [entry["name"] for entry in _contents()["objects"] if group in (None, entry["group"])]


def group(name: str) -> str:
    """The group that an object belongs to.

    Raises:
        ValueError: if there is no such object.
    """
    for entry in _contents()["objects"]:
        if entry["name"] == name:
            return entry["group"]
    raise ValueError(f"There is no object {name!r}: choose one of {', '.join(names())}.")


def sprite(name: str, style: str) -> Float[Tensor, "4 height width"]:
    """An object as float32 red, green, blue and alpha in [0, 1]; alpha is 0 beside the object and 1
    on it.

    Raises:
        ValueError: if there is no such object or style.
    """
    pixels = np.asarray(picture(name, style), dtype=np.float32) / 255
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@cache
def picture(name: str, style: str) -> Image.Image:
    """The same as a Pillow image in mode RGBA, 128 pixels square. It is shared: copy it before you
    change it.

    Raises:
        ValueError: if there is no such object or style.
    """
    everything = [*styles(), *styles("held-out")]
    if style not in everything:
        raise ValueError(f"There is no style {style!r}: choose one of {', '.join(everything)}.")
    if name not in names():
        raise ValueError(f"There is no object {name!r}: choose one of {', '.join(names())}.")
    contents, index = _contents(), names().index(name)
    side = contents["tile"]
    left, top = index % contents["columns"] * side, index // contents["columns"] * side
    return _sheet(style).crop((left, top, left + side, top + side))


@cache
def _contents() -> dict:
    return json.loads(paths.data("sprites", "sprites.json").read_text(encoding="utf-8"))


@cache
def _sheet(style: str) -> Image.Image:
    with Image.open(paths.data("sprites", f"{style}.webp")) as file:
        return file.convert("RGBA")
