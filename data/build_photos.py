"""Build data/photos/ from the photographs that travel inside scikit-image's wheel.

Run ``python data/build_photos.py`` from the checkout. Only photographs whose docstring in
``skimage.data`` states CC0 or the public domain are taken; data/LICENSES.md repeats what they state.
"""

from pathlib import Path

import skimage.data
from PIL import Image

from course_lib import checksums

PHOTOS = Path(__file__).parent / "photos"
# name: how many pixels the shorter side keeps (None: all of them)
SHORTER_SIDE = {"astronaut": 384, "brick": 384, "camera": 384, "chelsea": None, "coffee": None}
STATED = ("CC0", "public domain", "Creative Commons CC0")


def build(name: str, shorter_side: int | None) -> None:
    """Write one photo as PNG, after checking that scikit-image states its licence."""
    source = getattr(skimage.data, name)
    if not any(licence in source.__doc__ for licence in STATED):
        raise ValueError(f"skimage.data.{name} states neither CC0 nor the public domain: leave it out.")
    photo = Image.fromarray(source())
    if shorter_side:
        scale = shorter_side / min(photo.size)
        photo = photo.resize([round(side * scale) for side in photo.size], Image.Resampling.LANCZOS)
    photo.save(PHOTOS / f"{name}.png", optimize=True)


if __name__ == "__main__":
    PHOTOS.mkdir(exist_ok=True)
    for name, shorter_side in SHORTER_SIDE.items():
        build(name, shorter_side)
    checksums.write()
    print(f"{sum(path.stat().st_size for path in PHOTOS.iterdir()) / 1e6:.2f} MB in {PHOTOS}")
