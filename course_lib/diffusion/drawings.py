"""Detects copied training drawings: the distance of an image to the nearest drawing in any pose.

Each object of the course has three drawings for training. A training image shows one of them,
rotated, scaled, shifted and mirrored. So the drawing is aligned with the image first.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from course_lib.data import sprites

Image = Float[Tensor, "3 height width"]

_SIDE = 48  # pixels: images are compared at this size
_ANGLES = (-10, -5, 0, 5, 10)  # degrees, as in captioned pictures
_SIZES = (0.7, 0.77, 0.84, 0.91)  # fractions of the image's side
_SHIFTS = (-0.05, 0.0, 0.05)  # fractions of the image's side


class Nearest(NamedTuple):
    """The drawing nearest to an image, in its best pose."""

    style: str
    distance: float  # root mean squared difference of the pixels, in [0, 1]
    picture: Float[Tensor, "3 48 48"]  # the drawing in that pose, on the image's background
    second: float = math.inf  # distance of the second nearest drawing; infinite if there is none


def nearest_drawing(picture: Image, name: str, styles: list[str] | None = None) -> Nearest:
    """Compare an image with the drawings of an object, in many poses.

    Args:
        picture: in [0, 1], an object on a plain background.
        name: the object.
        styles: of the drawings; by default all training styles.

    Returns:
        The nearest of all drawings in 360 poses each. The poses are on a grid, so even an image of
        a drawing itself has a small distance above 0.
    """
    small = F.interpolate(picture[None], (_SIDE, _SIDE), mode="area")[0]
    border = torch.cat([small[:, :2].flatten(1), small[:, -2:].flatten(1)], dim=1)
    background = border.median(1).values[:, None, None]
    best: list[Nearest] = []
    for style in styles or sprites.styles():
        poses = _poses(sprites.sprite(name, style))
        candidates = poses[:, :3] + (1 - poses[:, 3:]) * background
        distances = (candidates - small).square().mean((1, 2, 3)).sqrt()
        index = int(distances.argmin())
        best.append(Nearest(style, float(distances[index]), candidates[index]))
    nearest, *others = sorted(best, key=lambda found: found.distance)
    return nearest._replace(second=others[0].distance) if others else nearest


def _poses(sprite: Float[Tensor, "4 _ _"]) -> Float[Tensor, "poses 4 48 48"]:
    """The drawing in all poses, with premultiplied alpha."""
    sprite = torch.cat([sprite[:3] * sprite[3:], sprite[3:]])
    sprite = F.interpolate(sprite[None], (_SIDE, _SIDE), mode="area")
    matrices = torch.tensor(
        [
            _matrix(flip, angle, size, x, y)
            for flip in (1, -1)
            for angle in _ANGLES
            for size in _SIZES
            for x in _SHIFTS
            for y in _SHIFTS
        ]
    )
    grid = F.affine_grid(matrices, [len(matrices), 4, _SIDE, _SIDE], align_corners=False)
    return F.grid_sample(sprite.expand(len(matrices), -1, -1, -1), grid, align_corners=False)


def _matrix(flip: int, angle: float, size: float, x: float, y: float) -> list[list[float]]:
    """The affine matrix from image coordinates to drawing coordinates, both in [-1, 1]."""
    cos, sin = math.cos(math.radians(angle)) / size, math.sin(math.radians(angle)) / size
    rows = [[flip * cos, -flip * sin], [sin, cos]]
    return [[*row, -2 * (row[0] * x + row[1] * y)] for row in rows]
