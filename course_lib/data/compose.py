"""Putting drawn objects before a picture, and working out what can be seen of each.

What is where is known exactly, because it was put there: classes, boxes, masks, and the sentence
that says it.
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

UNKNOWN = len(sprites.CLASSES)  # the label of an object that is none of the classes


@dataclass(frozen=True)
class Placement:
    """Where an object stands. ``x``, ``y`` (its middle) and ``size`` are shares of the picture's
    side.

    ``angle`` is in degrees, counter-clockwise; ``brightness`` multiplies the object's colours.
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
    """A lamp: where it stands (degrees), how unevenly it lights the scene (0 to 1), how dark
    shadows are (0 to 1).
    """

    direction: float = 60.0
    fall: float = 0.0
    shadow: float = 0.4


@dataclass(frozen=True)
class Scene:
    """A picture and the whole truth about it.

    ``image`` is in [0, 1]. ``labels`` index ``sprites.CLASSES``, or are ``UNKNOWN``. ``boxes`` are
    x0, y0, x1, y1 in pixels, the smallest that hold the visible part. ``masks`` say which pixels
    are an object's: those it covers by half or more, unless an object in front does too. The last
    object stands in front.
    """

    image: Float[Tensor, "3 height width"]
    labels: Int64[Tensor, " objects"]
    boxes: Float[Tensor, "objects 4"]
    masks: Bool[Tensor, "objects height width"]
    caption: str
    placements: tuple[Placement, ...]

    @property
    def instances(self) -> Int64[Tensor, "height width"]:
        """0 on the background and k on the k-th object, counted from 1."""
        numbers = torch.arange(1, len(self.masks) + 1)[:, None, None]
        return (self.masks * numbers).sum(0)

    @property
    def semantic(self) -> Int64[Tensor, "height width"]:
        """0 on the background and 1 + label on an object: what stands in a pixel, not which one."""
        return torch.cat([torch.zeros(1, dtype=torch.int64), self.labels + 1])[self.instances]


def compose(
    background: Float[np.ndarray, "height width 3"],
    placements: Sequence[Placement],
    light: Light | None = None,
) -> Scene:
    """Put objects before a background, the first behind the others, and work out what can be seen
    of each.

    Objects of which nothing can be seen are left out.
    """
    light, image = light or Light(), np.array(background, dtype=np.float32)
    height, width, _ = image.shape
    for placement in placements:
        stamp, left, top = _stamp(placement, width, height)
        _cast_shadow(image, stamp, left, top, light)
        rows, columns, part = _inside(stamp, left, top, width, height)
        alpha = part[..., 3:]
        colour = np.minimum(part[..., :3] * placement.brightness, alpha)
        image[rows, columns] = image[rows, columns] * (1 - alpha) + colour
    if light.fall:
        image *= _uneven(width, height, light)[..., None]
    owner, _ = _owners(placements, width, height)
    masks = owner[None] == np.arange(1, len(placements) + 1)[:, None, None]
    seen = [number for number, mask in enumerate(masks) if mask.any()]
    names = [placements[number].name for number in seen]
    labels = [sprites.CLASSES.index(name) if name in sprites.CLASSES else UNKNOWN for name in names]
    return Scene(
        image=torch.from_numpy(np.clip(image, 0, 1).transpose(2, 0, 1).copy()),
        labels=torch.tensor(labels, dtype=torch.int64),
        boxes=torch.tensor([_box(masks[number]) for number in seen], dtype=torch.float32).reshape(
            -1, 4
        ),
        masks=torch.from_numpy(masks[seen]),
        caption=captions.listed(names),
        placements=tuple(placements[number] for number in seen),
    )


def visible_shares(placements: Sequence[Placement], size: int) -> Float[np.ndarray, " objects"]:
    """How much of each object can be seen behind those in front of it, in [0, 1]."""
    owner, whole = _owners(placements, size, size)
    visible = np.bincount(owner.ravel(), minlength=len(whole) + 1)[1:]
    return visible / np.maximum(whole, 1)


def _owners(
    placements: Sequence[Placement], width: int, height: int
) -> tuple[np.ndarray, list[int]]:
    """The number of the object that each pixel belongs to, 0 for none, and how many pixels each
    would have alone.
    """
    owner, whole = np.zeros((height, width), dtype=np.int64), []
    for number, placement in enumerate(placements, start=1):
        rows, columns, part = _inside(*_stamp(placement, width, height), width, height)
        covered = part[..., 3] >= 0.5
        owner[rows, columns][covered] = number
        whole.append(int(covered.sum()))
    return owner, whole


@lru_cache(256)
def _stamp(placement: Placement, width: int, height: int) -> tuple[np.ndarray, int, int]:
    """The object as it will stand in the picture, and the pixel of its upper left corner.

    RGBA in [0, 1], the colours already multiplied by alpha: only so does interpolating leave no
    dark rim.
    """
    side = max(2.0, placement.size * width)
    tile = _tile(placement.name, placement.style, 1 if side > 80 else 2 if side > 40 else 4)
    turn = np.deg2rad(placement.angle)
    cos, sin = np.cos(turn), np.sin(turn)
    # half the side of the square that holds it turned
    reach = int(np.ceil(side / 2 * (abs(cos) + abs(sin)))) + 1
    left, top = round(placement.x * width) - reach, round(placement.y * height) - reach
    # From a pixel of the stamp, seen from its middle, back to the tile: turned back, mirrored,
    # scaled.
    scale, middle = tile.width / side, tile.width / 2
    mirror = -1 if placement.flip else 1
    across, down = scale * mirror * np.array([cos, -sin]), scale * np.array([sin, cos])
    steps = [*across, middle - across.sum() * reach, *down, middle - down.sum() * reach]
    turned = tile.transform(
        (2 * reach, 2 * reach), Image.Transform.AFFINE, steps, Image.Resampling.BILINEAR
    )
    return np.asarray(turned, dtype=np.float32) / 255, left, top


@cache
def _tile(name: str, style: str, smaller: int) -> Image.Image:
    """A sprite made smaller by a whole number, its colours multiplied by alpha."""
    return sprites.picture(name, style).convert("RGBa").reduce(smaller)


def _inside(
    stamp: np.ndarray, left: int, top: int, width: int, height: int
) -> tuple[slice, slice, np.ndarray]:
    """The part of the stamp that lies inside the picture, and where: rows, columns, part."""
    tall, wide = stamp.shape[:2]
    rows = slice(min(max(top, 0), height), max(min(top + tall, height), 0))
    columns = slice(min(max(left, 0), width), max(min(left + wide, width), 0))
    part = stamp[max(-top, 0) : max(-top, 0) + max(rows.stop - rows.start, 0)]
    return (
        rows,
        columns,
        part[:, max(-left, 0) : max(-left, 0) + max(columns.stop - columns.start, 0)],
    )


def _cast_shadow(image: np.ndarray, stamp: np.ndarray, left: int, top: int, light: Light) -> None:
    """Darken ``image`` where the object keeps the lamp's light away: its outline, blurred and
    shifted.
    """
    blur = max(1, round(0.05 * len(stamp)))
    alpha = Image.fromarray(np.pad((stamp[..., 3] * 255).astype(np.uint8), 2 * blur))
    soft = np.asarray(alpha.filter(ImageFilter.BoxBlur(blur)), dtype=np.float32)[..., None] / 255
    angle, reach = np.deg2rad(light.direction), 0.08 * len(stamp)
    left += round(-reach * np.cos(angle)) - 2 * blur
    top += round(reach * np.sin(angle)) - 2 * blur
    height, width, _ = image.shape
    rows, columns, part = _inside(soft, left, top, width, height)
    image[rows, columns] *= 1 - light.shadow * part


def _box(mask: Bool[np.ndarray, "height width"]) -> list[int]:
    """The smallest x0, y0, x1, y1 around a mask; x1 and y1 are the first pixels beyond it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _uneven(width: int, height: int, light: Light) -> Float[np.ndarray, "height width"]:
    """How bright the lamp lights each pixel: 1 in the middle, more towards it, less away from
    it.
    """
    angle = np.deg2rad(light.direction)
    x, y = np.linspace(-0.5, 0.5, width), np.linspace(0.5, -0.5, height)
    return (1 + light.fall * (x[None] * np.cos(angle) + y[:, None] * np.sin(angle))).astype(
        np.float32
    )
