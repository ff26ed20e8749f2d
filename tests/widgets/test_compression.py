"""Lesson 4's widgets respond to their controls, and show a still picture with alt text."""

import pytest
import torch

from course_lib.compression import jpeg
from course_lib.compression.autoencoder import CONFIG
from course_lib.compression.codecs import encode, pillow
from course_lib.compression.shortcut_autoencoder import ShortcutAutoencoder
from course_lib.data import photos
from course_lib.data.captioned import captioned_picture
from course_lib.widgets.compression import JpegBlocks, LatentWalk, jpeg_blocks, latent_walk
from tests.support.widgets import assert_distinct_names, read_picture


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ShortcutAutoencoder(CONFIG).eval()


@pytest.fixture(scope="module")
def pictures():
    return [captioned_picture(seed, 32) for seed in range(3)]


@pytest.fixture
def blocks():
    return JpegBlocks(photos.names("held-out"))


@pytest.mark.parametrize(
    ("control", "value"), [("quality", 3), ("row", 0), ("column", 39), ("photo", "dandelion")]
)
@pytest.mark.extended
def test_every_control_of_the_blocks_changes_the_picture(blocks, control, value):
    before = read_picture(blocks)
    getattr(blocks, control).value = value
    assert (read_picture(blocks) != before).any()


def test_message_counts_coefficients_and_bytes(blocks):
    blocks.photo.value, blocks.quality.value = "sunset", 10
    blocks.row.value, blocks.column.value = 20, 30
    image = photos.photo("sunset", 320)
    coefficients = jpeg.compress(image, 10).coefficients[0][20, 30]
    assert f"This block: {int((coefficients != 0).sum())} of 64" in blocks.message.value
    assert f"{pillow(image, 'JPEG', 10, subsampling=0).bytes:,} bytes" in blocks.message.value


def test_last_block_is_inside_the_photo(blocks):
    blocks.row.value = blocks.column.value = 100
    assert blocks.row.value == blocks.column.value == 39


def test_latent_follows_the_sliders(model, pictures):
    walk = LatentWalk(model, pictures)
    first, second = (encode(model, pictures[index].image) for index in (0, 1))
    torch.testing.assert_close(walk.latent(), (first + second) / 2)
    walk.weight.value = 1.0
    torch.testing.assert_close(walk.latent(), second)
    before = walk.latent()
    walk.channels[2].value = 1.5
    change = (walk.latent() - before).flatten(1)
    assert (change[[0, 1, 3]] == 0).all() and (change[2] > 0).all() and change[2].std() < 1e-5


def test_every_control_of_the_interpolation_changes_the_picture(model, pictures):
    walk = LatentWalk(model, pictures)
    for control, value in (
        (walk.first, 2),
        (walk.second, 0),
        (walk.weight, 0.2),
        *((slider, 2.0) for slider in walk.channels),
    ):
        before = read_picture(walk)
        control.value = value
        assert (read_picture(walk) != before).any()


def test_interpolation_needs_two_pictures(model, pictures):
    with pytest.raises(ValueError, match="at least two"):
        LatentWalk(model, pictures[:1])


def test_every_control_has_a_name(model, pictures, blocks):
    walk = LatentWalk(model, pictures)
    assert_distinct_names(blocks.photo, blocks.quality, blocks.row, blocks.column)
    assert_distinct_names(walk.first, walk.second, walk.weight, *walk.channels)


def test_still_pictures_with_alt_text_are_shown(model, pictures, displayed, monkeypatch):
    jpeg_blocks()
    latent_walk(model, pictures)
    assert '<img alt="A photo decoded from JPEG' in displayed[1].data
    assert '<img alt="Four images: ' in displayed[3].data
    monkeypatch.setenv("COURSE_MODE", "grading")
    jpeg_blocks()
    assert len(displayed) == 4
