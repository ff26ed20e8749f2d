"""Lesson 4's widgets answer to their controls, and leave a still picture with alt text."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.compression import jpeg
from course_lib.compression.autoencoder import CONFIG
from course_lib.compression.codecs import encoded, pillow
from course_lib.data import photos
from course_lib.data.captioned import captioned
from course_lib.sd.vae import AutoencoderKL
from course_lib.widgets.compression import JpegBlocks, LatentWalk, jpeg_blocks, latent_walk


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AutoencoderKL(CONFIG).eval()


@pytest.fixture(scope="module")
def pictures():
    return [captioned(seed, 32) for seed in range(3)]


@pytest.fixture
def blocks():
    return JpegBlocks(photos.names("held-out"))


def picture_of(widget) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(widget.picture.value))).astype(int)


@pytest.mark.parametrize(
    "control, value", [("quality", 3), ("row", 0), ("column", 39), ("photo", "dandelion")]
)
def test_every_control_of_the_blocks_changes_the_picture(blocks, control, value):
    before = picture_of(blocks)
    getattr(blocks, control).value = value
    assert (picture_of(blocks) != before).any()


def test_the_message_counts_what_jpeg_keeps(blocks):
    blocks.photo.value, blocks.quality.value = "sunset", 10
    blocks.row.value, blocks.column.value = 20, 30
    image = photos.photo("sunset", 320)
    number = jpeg.compress(image, 10).numbers[0][20, 30]
    assert f"This block: {int((number != 0).sum())} of 64" in blocks.message.value
    assert f"{pillow(image, 'JPEG', 10, subsampling=0).bytes:,} bytes" in blocks.message.value


def test_the_last_block_is_inside(blocks):
    blocks.row.value = blocks.column.value = 100
    assert blocks.row.value == blocks.column.value == 39


def test_the_walk_is_where_its_sliders_stand(model, pictures):
    walk = LatentWalk(model, pictures)
    ends = [encoded(model, pictures[index].image) for index in (0, 1)]
    torch.testing.assert_close(walk.latent(), (ends[0] + ends[1]) / 2)
    walk.share.value = 1.0
    torch.testing.assert_close(walk.latent(), ends[1])
    before = walk.latent()
    walk.moves[2].value = 1.5
    moved = (walk.latent() - before).flatten(1)
    assert (moved[[0, 1, 3]] == 0).all() and (moved[2] > 0).all() and moved[2].std() < 1e-5


def test_every_control_of_the_walk_changes_the_picture(model, pictures):
    walk = LatentWalk(model, pictures)
    for control, value in (
        (walk.first, 2),
        (walk.second, 0),
        (walk.share, 0.2),
        *((one, 2.0) for one in walk.moves),
    ):
        before = picture_of(walk)
        control.value = value
        assert (picture_of(walk) != before).any()


def test_a_walk_needs_two_pictures(model, pictures):
    with pytest.raises(ValueError, match="at least two"):
        LatentWalk(model, pictures[:1])


def test_every_control_has_a_name(model, pictures, blocks):
    walk = LatentWalk(model, pictures)
    for controls in (
        (blocks.photo, blocks.quality, blocks.row, blocks.column),
        (walk.first, walk.second, walk.share, *walk.moves),
    ):
        names = [
            getattr(one, "tooltip", None) or getattr(one, "description_tooltip", None)
            for one in controls
        ]
        assert all(names) and len(set(names)) == len(controls)
        assert all(one.description for one in controls)


def test_the_widgets_leave_a_still_picture_with_alt_text(model, pictures, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append(what))
    jpeg_blocks()
    latent_walk(model, pictures)
    assert '<img alt="A photo as JPEG gives it back' in displayed[1].data
    assert '<img alt="Four pictures: ' in displayed[3].data
    monkeypatch.setenv("COURSE_MODE", "grading")
    jpeg_blocks()
    assert len(displayed) == 4
