"""The figures of questions of kind ``point``, which ask for a place in a figure."""

from PIL import Image, ImageDraw, ImageFont

_TICK = "#C0C0C0"


def bright_square(side: int = 60, width: int = 200, height: int = 140) -> Image.Image:
    """A bright square in the middle of a dark image; sizes in pixels.

    Ticks along the upper and the left border show the coordinates, a number at every 50 pixels.
    """
    image = Image.new("RGB", (width, height), "#303030")
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side - 1, top + side - 1)
    draw = ImageDraw.Draw(image)
    draw.rectangle(box, fill="#E0E0E0")
    # A bitmap font, with the same pixels on every machine; before Pillow 10.1 the default was one.
    font = getattr(ImageFont, "load_default_imagefont", ImageFont.load_default)()
    for place in range(10, max(width, height), 10):
        length = 3 if place % 50 else 6
        draw.line((place, 0, place, length), fill=_TICK)
        draw.line((0, place, length, place), fill=_TICK)
        if place % 50 == 0:
            draw.text((place - 3 * len(str(place)), 8), str(place), fill=_TICK, font=font)
            draw.text((9, place - 6), str(place), fill=_TICK, font=font)
    return image
