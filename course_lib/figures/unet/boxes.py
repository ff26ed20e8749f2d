"""A U-Net as plain boxes without text, as a figure for a question."""

import math
from itertools import pairwise

from PIL import Image, ImageDraw

from course_lib.figures.style import INK, MUTED, ORANGE, PAPER, RED, SKY

# Corners of the boxes, in pixels: three levels down, the bottleneck, and three levels up.
ENCODER = ((20, 20, 40, 100), (70, 70, 95, 120), (125, 110, 155, 140))
BOTTLENECK = (185, 145, 225, 160)
DECODER = ((255, 110, 285, 140), (315, 70, 340, 120), (370, 20, 390, 100))


def u_of_boxes(marked: int) -> Image.Image:
    """Three levels and the bottleneck, 410 x 180 pixels; a box of the decoder is orange.

    Solid arrows are the way down and up, dashed ones the skip connections. The one to the orange
    box is crossed out.

    Args:
        marked: the index of the orange box in ``DECODER``, from the deepest.
    """
    canvas = Image.new("RGB", (410, 180), PAPER)
    draw = ImageDraw.Draw(canvas)
    boxes = [*ENCODER, BOTTLENECK, *DECODER]
    centres = [((x0 + x1) // 2, (y0 + y1) // 2) for x0, y0, x1, y1 in boxes]
    draw.line(centres, fill=MUTED, width=2)
    for index, (source, target) in enumerate(zip(reversed(ENCODER), DECODER, strict=True)):
        _draw_skip(draw, source[2], target[0], (source[1] + source[3]) // 2, cut=index == marked)
    for index, box in enumerate(boxes):
        fill = ORANGE if index == len(ENCODER) + 1 + marked else SKY
        draw.rectangle(box, fill=fill, outline=INK, width=2)
    for start, end in pairwise(centres):
        _draw_head(draw, start, end)
    return canvas


def _draw_head(draw: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw an arrowhead in the middle of a line."""
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    dx, dy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    corners = ((6, 0), (-5, 5), (-5, -5))  # along the line, across it
    points = [(round(x + a * dx - b * dy), round(y + a * dy + b * dx)) for a, b in corners]
    draw.polygon(points, fill=MUTED)


def _draw_skip(draw: ImageDraw.ImageDraw, left: int, right: int, y: int, *, cut: bool) -> None:
    """Draw a dashed arrow from left to right; a removed connection has a cross in its middle."""
    for x in range(left + 4, right - 10, 10):
        draw.line((x, y, min(x + 6, right - 10), y), fill=MUTED, width=2)
    draw.polygon([(right - 3, y), (right - 11, y - 5), (right - 11, y + 5)], fill=MUTED)
    if cut:
        middle = (left + right) // 2
        for rise in (-9, 9):
            draw.line((middle - 9, y - rise, middle + 9, y + rise), fill=RED, width=4)
