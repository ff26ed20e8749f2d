"""Image files are read as an image viewer shows them; unreadable files raise ValueError."""

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.data.image_files import read_image, to_tensor
from course_lib.vision import pretrained

SIDE = 32
RAMP = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
NOISE = np.random.default_rng(0).integers(0, 255, (600, 600, 3), dtype=np.uint8)


def save(pixels, path):
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    "name, pixels",
    [
        ("deep.png", (RAMP * 65535).round().astype(np.uint16)),
        ("deep.tif", (RAMP * 65535).round().astype(np.uint16)),
        ("deep-big-endian.tif", (RAMP * 65535).round().astype(">u2")),
        ("whole-numbers.tif", (RAMP * 65535).round().astype(np.int32)),
        ("float.tif", RAMP),
        ("float-255.tif", RAMP * 255),
        ("float-65535.tif", RAMP * 65535),
        ("float-1000000.tif", RAMP * 1e6),
    ],
)
def test_high_bit_depth_grey_images_are_scaled_to_their_range(tmp_path, name, pixels):
    image = to_tensor(read_image(save(pixels, tmp_path / name)))
    expected = torch.from_numpy(RAMP).expand(3, -1, -1)
    assert (image - expected).abs().max() < 0.6 / 255


def test_dark_16_bit_image_stays_dark(tmp_path):
    path = save(np.full((SIDE, SIDE), 200, np.uint16), tmp_path / "dark.png")
    assert to_tensor(read_image(path)).max() < 2 / 255


def test_negative_values_become_black(tmp_path):
    image = to_tensor(read_image(save(RAMP - 0.5, tmp_path / "negative.tif")))
    assert image.min() == 0 and (image.max() - 0.5).abs() < 0.6 / 255


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(tmp_path, mode):
    glass = np.zeros((SIDE, SIDE, 4), np.uint8)
    glass[8:24, 8:24] = 200, 200, 200, 255
    path = tmp_path / "glass.png"
    Image.fromarray(glass).convert(mode).save(path, **({"transparency": 0} if mode == "P" else {}))
    image = to_tensor(read_image(path))
    assert image[:, 0, 0].tolist() == [1, 1, 1]
    assert (image[:, 12, 12] * 255 - 200).abs().max() <= 2  # a palette may round


def test_cmyk_and_1_bit_images_are_read(tmp_path):
    Image.fromarray(NOISE).convert("CMYK").save(tmp_path / "press.jpg")
    Image.new("1", (9, 5), 1).save(tmp_path / "bits.png")
    assert read_image(tmp_path / "press.jpg").mode == "RGB"
    assert to_tensor(read_image(tmp_path / "bits.png")).min() == 1


def damage(path, chunk):
    """Write a PNG and overwrite the name of its n-th IDAT chunk."""
    save(NOISE, path)
    contents, position = bytearray(path.read_bytes()), -1
    for _ in range(chunk):
        position = contents.index(b"IDAT", position + 1)
    contents[position : position + 4] = b"\x00\x01\x02\x03"
    path.write_bytes(contents)


def write_huge(path):
    Image.new("1", (20_000, 10_000)).save(path)


def write_nan(path):
    save(np.full((SIDE, SIDE), np.nan, np.float32), path)


UNREADABLE = {
    "first.png": (lambda path: damage(path, 1), "can't be read as an image"),
    "later.png": (lambda path: damage(path, 2), "can't be read as an image"),
    "cut.png": (
        lambda path: path.write_bytes(save(NOISE, path).read_bytes()[:5000]),
        "can't be read as an image. Save it as JPEG or PNG",
    ),
    "phone.heic": (
        lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 64),
        "can't be read as an image",
    ),
    "huge.png": (write_huge, "huge.png has more than 178 million pixels: make it smaller"),
    "empty.tif": (write_nan, "has infinite or NaN pixels"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_files_raise_one_sentence(tmp_path, name):
    write, message = UNREADABLE[name]
    write(tmp_path / name)
    for read in (read_image, pretrained.load_photo):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / name)


def test_missing_files_folders_and_lack_of_memory_raise_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="gone.png does not exist: give an image file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ValueError, match="is a folder, not an image"):
        read_image(tmp_path)
    path = save(NOISE, tmp_path / "a.png")

    def run_out_of_memory(*arguments):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", run_out_of_memory)
    with pytest.raises(ValueError, match="not enough memory to read a.png"):
        read_image(path)
