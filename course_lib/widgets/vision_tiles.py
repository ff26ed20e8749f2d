"""The image of lesson 3's scene editor: a scene and five predictions as tiles.

It is drawn with Pillow, which is fast enough to redraw while an object is dragged.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.ops import box_iou

from course_lib.data.compose import Scene
from course_lib.figures.style import INK, PAPER, font
from course_lib.figures.vision.annotations import (
    SEMANTIC_COLOURS,
    class_colour,
    class_name,
    innermost_pixel,
    matched_colours,
    text_colour,
)
from course_lib.figures.vision.predictions import format_metric
from course_lib.vision.predictions import Localization, Predictions, mask_iou
from course_lib.vision.tasks import LEVELS

TILE, GAP, HEADER, FOOTER = 256, 14, 24, 28  # screen pixels
COLUMNS = 3
_MIN_PIXELS = 25  # classes with fewer pixels are not labelled
_SEMANTIC_RGB = np.array([to_rgb(colour) for colour in SEMANTIC_COLOURS], dtype=np.float32)


def draw_tiles(
    scene: Scene,
    predictions: Predictions,
    metrics: Mapping[str, str | float],
    selected: int | None,
) -> Image.Image:
    """The scene with the selected object outlined, and the five predictions with metrics.

    Args:
        scene: its image is the models' input.
        predictions: of all five models.
        metrics: what ``predictions.evaluate`` returns.
        selected: index of the object in the scene; None for no outline.
    """
    canvas = Image.new("RGB", (COLUMNS * (TILE + GAP) - GAP, 2 * (HEADER + TILE + FOOTER)), PAPER)
    draw = ImageDraw.Draw(canvas)
    titles = ["Your scene", *(f"{task.level} · {task.question}" for task in LEVELS.values())]
    footers = [
        f"objects: {len(scene.labels)}",
        *(format_metric(level, metrics) for level in LEVELS),
    ]
    pixels = scene.image.numpy().transpose(1, 2, 0)
    faded = 0.3 * pixels + 0.7 * (0.45 + 0.5 * pixels.mean(-1, keepdims=True))
    photo = _to_tile(pixels)
    labels, scores, boxes = predictions.detections
    detections = [
        Localization(*detection)
        for detection in zip(labels.tolist(), scores.tolist(), boxes, strict=True)
    ]
    box_colours = matched_colours(scene, labels, box_iou(boxes, scene.boxes))
    instances = predictions.instances
    mask_colours = matched_colours(scene, instances.labels, mask_iou(instances.masks, scene.masks))
    localized = predictions.localization
    tiles = (
        _scene_tile(photo, scene, selected),
        _classifier_tile(photo, predictions),
        _box_tile(photo, [localized], [class_colour(localized.label)], scene),
        _box_tile(photo, detections, box_colours, scene),
        _segmenter_tile(faded, predictions),
        _instance_tile(faded, predictions, mask_colours),
    )
    for index, (tile, title, footer) in enumerate(zip(tiles, titles, footers, strict=True)):
        left, top = tile_corner(index)
        draw.text((left, top - 6), title, fill=INK, font=font(14, bold=True), anchor="ls")
        canvas.paste(tile, (left, top))
        draw.text((left + TILE / 2, top + TILE + 5), footer, fill=INK, font=font(13), anchor="ma")
    return canvas


def tile_corner(index: int) -> tuple[int, int]:
    """The upper left pixel (x, y) of a tile in the image."""
    row, column = divmod(index, COLUMNS)
    return column * (TILE + GAP), row * (HEADER + TILE + FOOTER) + HEADER


def scene_position(x: float | int, y: float | int) -> tuple[float, float] | None:
    """The scene position, in [0, 1), of a pixel (x, y) of the image; None between tiles."""
    for index in range(1 + len(LEVELS)):
        left, top = tile_corner(index)
        if left <= x < left + TILE and top <= y < top + TILE:
            return (x - left) / TILE, (y - top) / TILE
    return None


def _to_tile(pixels: Float[np.ndarray, "height width 3"]) -> Image.Image:
    image = Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))
    return image.resize((TILE, TILE), Image.Resampling.BICUBIC)


def _scene_tile(photo: Image.Image, scene: Scene, selected: int | None) -> Image.Image:
    tile = photo.copy()
    if selected is not None:
        draw, corners = ImageDraw.Draw(tile), _to_tile_pixels(scene.boxes[selected], scene)
        draw.rectangle(corners, outline=INK, width=3)
        draw.rectangle(corners, outline=PAPER, width=1)
    return tile


def _to_tile_pixels(box: Float[Tensor, "4"], scene: Scene) -> list[float]:
    """A box in the tile's pixels, with its corners in order even if a model swapped them."""
    x0, y0, x1, y1 = (box * TILE / scene.image.shape[-1]).tolist()
    return [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]


def _classifier_tile(photo: Image.Image, predictions: Predictions) -> Image.Image:
    tile = photo.copy()
    text = f"{class_name(predictions.label)} {predictions.probability:.0%}"
    _draw_tag(tile, TILE / 2, TILE - 24, text, class_colour(predictions.label), size=19)
    return tile


def _box_tile(
    photo: Image.Image, detections: Sequence[Localization], colours: Sequence[str], scene: Scene
) -> Image.Image:
    tile = photo.copy()
    draw = ImageDraw.Draw(tile)
    boxes = [
        (detection, colour, _to_tile_pixels(detection.box, scene))
        for detection, colour in zip(detections, colours, strict=True)
    ]
    boxes.reverse()  # the most confident on top
    for _, colour, (x0, y0, x1, y1) in boxes:
        draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=INK, width=5)
        draw.rectangle((x0, y0, x1, y1), outline=colour, width=3)
    for detection, colour, (x0, y0, x1, _) in boxes:
        text = f"{class_name(detection.label)} {detection.probability:.0%}"
        _draw_tag(tile, (x0 + x1) / 2, y0 - 10 if y0 > 20 else y0 + 10, text, colour)
    return tile


def _segmenter_tile(faded: np.ndarray, predictions: Predictions) -> Image.Image:
    semantic = predictions.semantic.numpy()
    overlay = 0.25 * faded + 0.75 * _SEMANTIC_RGB[semantic]
    tile = _to_tile(np.where((semantic > 0)[..., None], overlay, faded))
    for value in np.unique(semantic[semantic > 0]).tolist():
        mask = semantic == value
        if mask.sum() >= _MIN_PIXELS:
            _draw_tag(tile, *_tag_position(mask), class_name(value - 1), SEMANTIC_COLOURS[value])
    return tile


def _instance_tile(
    faded: np.ndarray, predictions: Predictions, colours: Sequence[str]
) -> Image.Image:
    labels, scores, masks = (part.numpy() for part in predictions.instances)
    pixels = faded.copy()
    for mask, colour in zip(masks, colours, strict=True):
        pixels[mask] = 0.25 * faded[mask] + 0.75 * np.array(to_rgb(colour), dtype=np.float32)
    tile = _to_tile(pixels)
    for label, score, mask, colour in zip(
        labels.tolist(), scores.tolist(), masks, colours, strict=True
    ):
        _draw_tag(tile, *_tag_position(mask), f"{class_name(label)} {score:.0%}", colour)
    return tile


def _tag_position(mask: Bool[np.ndarray, "height width"]) -> tuple[float, float]:
    x, y = innermost_pixel(mask)
    return x * TILE / mask.shape[1], y * TILE / mask.shape[0]


def _draw_tag(
    tile: Image.Image, x: float | int, y: float | int, text: str, colour: str, size: int = 13
) -> None:
    """Draw text on a coloured background, centred at a position but kept inside the tile."""
    draw, tag_font = ImageDraw.Draw(tile), font(size, bold=size > 13)
    half_width, half_height = tag_font.getlength(text) / 2 + 3, size * 0.65 + 1
    x = min(max(x, half_width), TILE - half_width)
    y = min(max(y, half_height), TILE - half_height)
    draw.rectangle((x - half_width, y - half_height, x + half_width, y + half_height), fill=colour)
    draw.text((x, y), text, fill=text_colour(colour), font=tag_font, anchor="mm")
