"""Bundled photos: format, size and splits."""

import hashlib

import pytest
import torch

from course_lib.assets import paths
from course_lib.data import photos

MIB = 2**20
LARGE = [*photos.names("train"), *photos.names("held-out")]


@pytest.mark.parametrize("name", photos.names())
@pytest.mark.parametrize("grey", [False, True])
def test_photo_is_a_tensor_in_0_1(name, grey):
    image = photos.photo(name, grey=grey)
    assert image.dtype == torch.float32 and image.shape[0] == (1 if grey else 3)
    assert min(image.shape[1:]) >= 256
    assert image.min() >= 0 and image.max() <= 1 and image.std() > 0.05


def test_size_crops_the_central_square():
    photo, square = photos.photo("coffee"), photos.photo("coffee", 400)
    assert photo.shape == (3, 400, 600)
    torch.testing.assert_close(square, photo[:, :, 100:500])
    assert photos.photo("coffee", 64).shape == (3, 64, 64)


def test_photos_are_returned_as_copies():
    photos.photo("camera", 32).zero_()
    assert photos.photo("camera", 32).max() > 0


def test_unknown_photo_or_invalid_size_raises():
    with pytest.raises(ValueError, match="choose one of acanthus"):
        photos.photo("motorcycle")
    with pytest.raises(ValueError, match="positive number of pixels"):
        photos.photo("camera", 0)


def test_at_least_14_photos_have_512_pixels_a_side():
    assert len(LARGE) >= 14
    for name in LARGE:
        assert min(photos.picture(name).size) >= 512, name


def test_tensor_and_pillow_image_agree():
    name = LARGE[0]
    tensor, pillow_image = photos.photo(name), photos.picture(name)
    assert tensor.shape == (3, pillow_image.height, pillow_image.width)
    assert tuple((tensor[:, 7, 5] * 255).round().int()) == pillow_image.getpixel((5, 7))


def test_held_out_photos_have_the_smallest_hashes():
    by_hash = sorted(LARGE, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert set(photos.names("held-out")) == set(by_hash[:5])


def test_splits_share_no_photo():
    names = [name for split in ("small", "train", "held-out") for name in photos.names(split)]
    assert len(names) == len(set(names))
    held_out = [photos.photo(name, 32) for name in photos.names("held-out")]
    for name in [*photos.names("small"), *photos.names("train")]:
        photo = photos.photo(name, 32)
        assert all((photo - other).abs().mean() > 0.05 for other in held_out), name


def test_unknown_split_raises():
    with pytest.raises(ValueError, match="choose one of small, train, held-out"):
        photos.names("test")
    with pytest.raises(ValueError, match="choose one of acanthus"):
        photos.picture("motorcycle")


def test_bundled_data_is_small():
    files = [
        path
        for pack in ("photos", "sprites")
        for path in paths.data_path(pack).rglob("*")
        if path.is_file()
    ]
    assert {path.suffix for path in files} == {".png", ".webp", ".json"}
    sizes = [path.stat().st_size for path in files]
    assert sum(sizes) <= 18 * MIB and max(sizes) <= 15 * MIB
    small_photos = paths.data_path("photos").glob("*.png")
    assert sum(path.stat().st_size for path in small_photos) <= 2.5e6
