"""Composing scenes: objects pasted onto a background, with exact labels for each of them.

Classes, boxes, masks and the caption follow from the placements, so they need no annotation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from PIL import Image, ImageFilter
from torch import Tensor

from course_lib.data import captions, sprites

UNKNOWN = len(sprites.CLASSES)  # the label of an object that belongs to none of the classes


@dataclass(frozen=True)
class Placement:
    """How an object is placed. ``x``, ``y`` (its centre) and ``size`` are fractions of the
    image's width, height and width.

    ``angle`` is in degrees, counter-clockwise; ``brightness`` multiplies the object's colours;
    ``flip`` mirrors it left to right.
    """

    name: str
    style: str
    x: float
    y: float
    size: float
    angle: float = 0.0
    flip: bool = False
    brightness: float = 1.0


@dataclass(frozen=True)
class Light:
    """A lamp: where it is, how uneven its light is, and how dark the shadows are.

    ``direction`` points to the lamp, in degrees counter-clockwise from the right; ``falloff`` and
    ``shadow`` are in [0, 1].
    """

    direction: float = 60.0
    falloff: float = 0.0
    shadow: float = 0.4


@dataclass(frozen=True)
class Scene:
    """An image with its ground truth.

    ``image`` is in [0, 1]. ``labels`` index ``sprites.CLASSES``, or are ``UNKNOWN``. ``boxes`` are
    the tight boxes x0, y0, x1, y1 of the masks in pixels; x1 and y1 are exclusive. A pixel belongs
    to an object's mask if the object covers at least half of it and no object in front does.
    Objects are ordered from back to front.
    """

    image: Float[Tensor, "3 height width"]
    labels: Int64[Tensor, " objects"]
    boxes: Float[Tensor, "objects 4"]
    masks: Bool[Tensor, "objects height width"]
    caption: str
    placements: tuple[Placement, ...]

    @property
    def instances(self) -> Int64[Tensor, "height width"]:
        """The instance map: 0 on the background, k on the k-th object, counted from 1."""
        numbers = torch.arange(1, len(self.masks) + 1)[:, None, None]
        return (self.masks * numbers).sum(0)

    @property
    def semantic(self) -> Int64[Tensor, "height width"]:
        """The semantic map: 0 on the background, 1 + label on an object."""
        return torch.cat([torch.zeros(1, dtype=torch.int64), self.labels + 1])[self.instances]


def compose(
    background: Float[np.ndarray, "height width 3"],
    placements: Sequence[Placement],
    light: Light | None = None,
) -> Scene:
    """Paste objects onto a background, from back to front, and derive the ground truth.

    Objects without a visible pixel are left out of the ground truth; their shadows remain.
    """
    light = light or Light()
    image = np.array(background, dtype=np.float32)
    height, width, _ = image.shape
    for placement in placements:
        sprite, left, top = _render_sprite(placement, width, height)
        if light.shadow:
            _cast_shadow(image, sprite, left, top, light)
        rows, columns, visible = _clip_to_image(sprite, left, top, width, height)
        alpha = visible[..., 3:]
        colour = np.minimum(visible[..., :3] * placement.brightness, alpha)
        image[rows, columns] = image[rows, columns] * (1 - alpha) + colour
    if light.falloff:
        image *= _illumination(width, height, light)[..., None]
    owner, _ = _frontmost_objects(placements, width, height)
    masks = owner[None] == np.arange(1, len(placements) + 1)[:, None, None]
    shown = [index for index, mask in enumerate(masks) if mask.any()]
    names = [placements[index].name for index in shown]
    labels = [sprites.CLASSES.index(name) if name in sprites.CLASSES else UNKNOWN for name in names]
    boxes = [_bounding_box(masks[index]) for index in shown]
    return Scene(
        image=torch.from_numpy(np.clip(image, 0, 1).transpose(2, 0, 1).copy()),
        labels=torch.tensor(labels, dtype=torch.int64),
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        masks=torch.from_numpy(masks[shown]),
        caption=captions.join_names(names),
        placements=tuple(placements[index] for index in shown),
    )


def visible_fractions(placements: Sequence[Placement], size: int) -> Float[np.ndarray, " objects"]:
    """The visible fraction of each object's pixels inside the image, in [0, 1]."""
    owner, areas = _frontmost_objects(placements, size, size)
    visible = np.bincount(owner.ravel(), minlength=len(areas) + 1)[1:]
    return visible / np.maximum(areas, 1)


def _frontmost_objects(
    placements: Sequence[Placement], width: int, height: int
) -> tuple[np.ndarray, list[int]]:
    """The number of the frontmost object at each pixel (0: none), and each object's area inside
    the image, with its hidden pixels.
    """
    owner: np.ndarray = np.zeros((height, width), dtype=np.int64)
    areas = []
    for number, placement in enumerate(placements, start=1):
        sprite, left, top = _render_sprite(placement, width, height)
        rows, columns, visible = _clip_to_image(sprite, left, top, width, height)
        covered = visible[..., 3] >= 0.5
        owner[rows, columns][covered] = number
        areas.append(int(covered.sum()))
    return owner, areas


@lru_cache(256)
def _render_sprite(placement: Placement, width: int, height: int) -> tuple[np.ndarray, int, int]:
    """The scaled, rotated and flipped sprite, and the position of its top left pixel (x, y).

    RGBA in [0, 1] with premultiplied alpha: interpolating straight alpha leaves dark fringes.
    """
    side = max(2.0, placement.size * width)
    tile = _reduced_tile(placement.name, placement.style, 1 if side > 80 else 2 if side > 40 else 4)
    angle = np.deg2rad(placement.angle)
    cos, sin = np.cos(angle), np.sin(angle)
    # half the side of the square that contains the rotated sprite
    half = int(np.ceil(side / 2 * (abs(cos) + abs(sin)))) + 1
    left = round(placement.x * width) - half
    top = round(placement.y * height) - half
    # Pillow expects the inverse map, from output pixels to pixels of the tile.
    scale, centre = tile.width / side, tile.width / 2
    mirror = -1 if placement.flip else 1
    to_x = scale * mirror * np.array([cos, -sin])
    to_y = scale * np.array([sin, cos])
    matrix = [*to_x, centre - to_x.sum() * half, *to_y, centre - to_y.sum() * half]
    rendered = tile.transform(
        (2 * half, 2 * half), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(rendered, dtype=np.float32) / 255, left, top


@cache
def _reduced_tile(name: str, style: str, factor: int) -> Image.Image:
    """A sprite downsampled by an integer factor, with premultiplied alpha."""
    return sprites.picture(name, style).convert("RGBa").reduce(factor)


def _clip_to_image(
    patch: np.ndarray, left: int, top: int, width: int, height: int
) -> tuple[slice, slice, np.ndarray]:
    """The rows and columns of the image that a patch covers, and the patch cropped to them."""
    patch_height, patch_width = patch.shape[:2]
    rows = slice(min(max(top, 0), height), max(min(top + patch_height, height), 0))
    columns = slice(min(max(left, 0), width), max(min(left + patch_width, width), 0))
    first_row, first_column = max(-top, 0), max(-left, 0)
    row_count = max(rows.stop - rows.start, 0)
    column_count = max(columns.stop - columns.start, 0)
    part = patch[first_row : first_row + row_count, first_column : first_column + column_count]
    return rows, columns, part


def _cast_shadow(image: np.ndarray, sprite: np.ndarray, left: int, top: int, light: Light) -> None:
    """Darken ``image`` in place by the sprite's blurred, shifted silhouette."""
    blur = max(1, round(0.05 * len(sprite)))
    alpha = Image.fromarray(np.pad((sprite[..., 3] * 255).astype(np.uint8), 2 * blur))
    soft = np.asarray(alpha.filter(ImageFilter.BoxBlur(blur)), dtype=np.float32)[..., None] / 255
    angle, offset = np.deg2rad(light.direction), 0.08 * len(sprite)
    left += round(-offset * np.cos(angle)) - 2 * blur
    top += round(offset * np.sin(angle)) - 2 * blur
    height, width, _ = image.shape
    rows, columns, part = _clip_to_image(soft, left, top, width, height)
    image[rows, columns] *= 1 - light.shadow * part


def _bounding_box(mask: Bool[np.ndarray, "height width"]) -> list[int]:
    """The smallest x0, y0, x1, y1 around a mask; x1 and y1 are exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _illumination(width: int, height: int, light: Light) -> Float[np.ndarray, "height width"]:
    """The brightness factor of each pixel: 1 in the centre, higher towards the lamp."""
    angle = np.deg2rad(light.direction)
    x, y = np.linspace(-0.5, 0.5, width), np.linspace(0.5, -0.5, height)
    gradient = x[None] * np.cos(angle) + y[:, None] * np.sin(angle)
    return (1 + light.falloff * gradient).astype(np.float32)
