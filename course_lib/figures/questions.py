"""The figures of questions of kind ``point``, which ask for a place in a figure."""

from PIL import Image, ImageDraw


def bright_square(side: int = 60, width: int = 200, height: int = 140) -> Image.Image:
    """A bright square in the middle of a dark image; sizes in pixels."""
    image = Image.new("RGB", (width, height), "#303030")
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side - 1, top + side - 1)
    ImageDraw.Draw(image).rectangle(box, fill="#E0E0E0")
    return image
