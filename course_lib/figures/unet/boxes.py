"""A U-Net as plain boxes without text, as a figure for a question."""

from PIL import Image, ImageDraw

from course_lib.figures.style import FAINT, INK, ORANGE, PAPER, SKY

# Corners of the boxes, in pixels: three levels down, the bottleneck, and three levels up.
ENCODER = ((20, 20, 40, 100), (70, 70, 95, 120), (125, 110, 155, 140))
BOTTLENECK = (185, 145, 225, 160)
DECODER = ((255, 110, 285, 140), (315, 70, 340, 120), (370, 20, 390, 100))


def u_of_boxes(marked: int) -> Image.Image:
    """Three levels and the bottleneck, 410 x 180 pixels; a box of the decoder is orange.

    Args:
        marked: the index of the orange box in ``DECODER``, from the deepest.
    """
    canvas = Image.new("RGB", (410, 180), PAPER)
    draw = ImageDraw.Draw(canvas)
    boxes = [*ENCODER, BOTTLENECK, *DECODER]
    centres = [((x0 + x1) // 2, (y0 + y1) // 2) for x0, y0, x1, y1 in boxes]
    draw.line(centres, fill=FAINT, width=3)
    for index, box in enumerate(boxes):
        fill = ORANGE if index == len(ENCODER) + 1 + marked else SKY
        draw.rectangle(box, fill=fill, outline=INK, width=2)
    return canvas
