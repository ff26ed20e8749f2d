"""How the scene editor of lesson 3 draws: the picture and five answers as tiles of one image, fast,
with Pillow.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.ops import box_iou

from course_lib.data.compose import Scene
from course_lib.figures.style import INK, MUTED, ORANGE, PAPER
from course_lib.figures.vision.annotations import KINDS, OBJECTS, ink_on, middle, name
from course_lib.figures.vision.answers import measure
from course_lib.vision.answers import Answers, Located, mask_iou
from course_lib.vision.tasks import LEVELS
from course_lib.widgets import font

TILE, GAP, HEAD, FOOT = 256, 14, 24, 28  # pixels of the screen
COLUMNS = 3
_LEAST = 25  # pixels of a kind that is worth a name
_KIND_SHADES = np.array([to_rgb(colour) for colour in KINDS], dtype=np.float32)


def draw(
    scene: Scene, answers: Answers, told: dict[str, str | float], chosen: int | None
) -> Image.Image:
    """The picture, with a frame around the chosen object (its number in the scene), and five
    answers with measures.
    """
    whole = Image.new("RGB", (COLUMNS * (TILE + GAP) - GAP, 2 * (HEAD + TILE + FOOT)), PAPER)
    pen = ImageDraw.Draw(whole)
    titles = ["Your scene", *(f"{level.number} · {level.question}" for level in LEVELS.values())]
    feet = [f"{len(scene.labels)} to be found", *(measure(level, told) for level in LEVELS)]
    image = scene.image.numpy().transpose(1, 2, 0)
    pale = 0.3 * image + 0.7 * (0.45 + 0.5 * image.mean(-1, keepdims=True))
    plain, (labels, scores, found) = _photo(image), answers.detections
    detected = [Located(*one) for one in zip(labels.tolist(), scores.tolist(), found, strict=True)]
    tiles = (
        _chosen(plain, scene, chosen),
        _classified(plain, answers),
        _boxes(plain, [answers.located], [ORANGE], scene),
        _boxes(plain, detected, _colours(box_iou(found, scene.boxes)), scene),
        _segmented(pale, answers),
        _instances(pale, answers, _colours(mask_iou(answers.instances.masks, scene.masks))),
    )
    for place, (tile, title, foot) in enumerate(zip(tiles, titles, feet, strict=True)):
        left, top = corner(place)
        pen.text((left, top - 6), title, fill=INK, font=font(15, bold=True), anchor="ls")
        whole.paste(tile, (left, top))
        pen.text((left + TILE / 2, top + TILE + 5), foot, fill=INK, font=font(13), anchor="ma")
    return whole


def corner(place: int) -> tuple[int, int]:
    """Where a tile's picture begins: x and y of its upper left pixel in the whole image."""
    row, column = divmod(place, COLUMNS)
    return column * (TILE + GAP), row * (HEAD + TILE + FOOT) + HEAD


def place_in_scene(x: float | int, y: float | int) -> tuple[float, float] | None:
    """The place in the scene, shares of its side, that lies under a pixel of the whole image; none
    between tiles.
    """
    for place in range(1 + len(LEVELS)):
        left, top = corner(place)
        if left <= x < left + TILE and top <= y < top + TILE:
            return (x - left) / TILE, (y - top) / TILE
    return None


def _photo(image: Float[np.ndarray, "height width 3"]) -> Image.Image:
    photo = Image.fromarray((image.clip(0, 1) * 255).round().astype(np.uint8))
    return photo.resize((TILE, TILE), Image.Resampling.BICUBIC)


def _chosen(plain: Image.Image, scene: Scene, chosen: int | None) -> Image.Image:
    tile = plain.copy()
    if chosen is not None:
        pen, corners = ImageDraw.Draw(tile), _on_tile(scene.boxes[chosen], scene)
        pen.rectangle(corners, outline=INK, width=3)
        pen.rectangle(corners, outline=PAPER, width=1)
    return tile


def _on_tile(corners: Float[Tensor, "4"], scene: Scene) -> list[float]:
    """A box in the tile's pixels, its corners in order even if a model turned them round."""
    x0, y0, x1, y1 = (corners * TILE / scene.image.shape[-1]).tolist()
    return [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]


def _classified(plain: Image.Image, answers: Answers) -> Image.Image:
    tile = plain.copy()
    _tag(
        tile,
        TILE / 2,
        TILE - 24,
        f"{name(answers.label)} {answers.probability:.0%}",
        ORANGE,
        size=19,
    )
    return tile


def _boxes(
    plain: Image.Image, found: Sequence[Located], colours: Sequence[str], scene: Scene
) -> Image.Image:
    tile = plain.copy()
    pen = ImageDraw.Draw(tile)
    drawn = [
        (one, colour, _on_tile(one.box, scene)) for one, colour in zip(found, colours, strict=True)
    ]
    for _, colour, (x0, y0, x1, y1) in reversed(drawn):  # the surest on top
        pen.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=INK, width=5)
        pen.rectangle((x0, y0, x1, y1), outline=colour, width=3)
    for one, colour, (x0, y0, x1, _) in reversed(drawn):
        word = f"{name(one.label)} {one.probability:.0%}"
        _tag(tile, (x0 + x1) / 2, y0 - 10 if y0 > 20 else y0 + 10, word, colour)
    return tile


def _segmented(pale: np.ndarray, answers: Answers) -> Image.Image:
    kinds = answers.kinds.numpy()
    inside = (kinds > 0)[..., None]
    tile = _photo(np.where(inside, 0.25 * pale + 0.75 * _KIND_SHADES[kinds], pale))
    for kind in np.unique(kinds[kinds > 0]).tolist():
        region = kinds == kind
        if region.sum() >= _LEAST:
            _tag(tile, *_middle(region), name(kind - 1), KINDS[kind])
    return tile


def _instances(pale: np.ndarray, answers: Answers, colours: Sequence[str]) -> Image.Image:
    labels, scores, masks = (part.numpy() for part in answers.instances)
    shades = pale.copy()
    for inside, colour in zip(masks, colours, strict=True):
        shades[inside] = 0.25 * pale[inside] + 0.75 * np.array(to_rgb(colour), dtype=np.float32)
    tile = _photo(shades)
    for label, score, inside, colour in zip(
        labels.tolist(), scores.tolist(), masks, colours, strict=True
    ):
        _tag(tile, *_middle(inside), f"{name(label)} {score:.0%}", colour)
    return tile


def _middle(inside: Bool[np.ndarray, "height width"]) -> tuple[float, float]:
    x, y = middle(inside)
    return x * TILE / inside.shape[1], y * TILE / inside.shape[0]


def _colours(overlaps: Float[Tensor, "found objects"]) -> list[str]:
    """Each answer in the colour of the object that it overlaps most, so that it keeps it while
    things move.
    """
    return [
        OBJECTS[int(row.argmax()) % len(OBJECTS)] if len(row) and float(row.max()) > 0 else MUTED
        for row in overlaps
    ]


def _tag(
    tile: Image.Image, x: float | int, y: float | int, word: str, colour: str, size: int = 13
) -> None:
    """A word on a plate of a colour, its middle at a place, but inside the tile."""
    pen, letters = ImageDraw.Draw(tile), font(size, bold=size > 13)
    half, high = letters.getlength(word) / 2 + 3, size * 0.65 + 1
    x = min(max(x, half), TILE - half)
    y = min(max(y, high), TILE - high)
    pen.rectangle((x - half, y - high, x + half, y + high), fill=colour)
    pen.text((x, y), word, fill=ink_on(colour), font=letters, anchor="mm")
