"""Described pictures: deterministic per seed, and as their description says."""

import numpy as np
import pytest
import torch

from course_lib.data import described, sprites
from course_lib.data.captioned import COLOURS
from course_lib.data.descriptions import KINDS, Description, Item, parse
from course_lib.data.descriptions import OPPOSITE as opposite


def bounding_box(image):
    """x0, y0, x1, y1 of what differs from the background, as fractions."""
    rows, columns = np.nonzero((image - image[:, :1, :1]).abs().amax(0).numpy() > 0.1)
    side = image.shape[-1]
    return columns.min() / side, rows.min() / side, columns.max() / side, rows.max() / side


def test_picture_is_a_function_of_its_seed():
    picture = described.described_picture(3, 32)
    repeated = described.described_picture(3, 32)
    assert torch.equal(picture.image, repeated.image)
    assert picture.description == repeated.description == described.sample_description(3)
    assert not torch.equal(picture.image, described.described_picture(4, 32).image)
    assert picture.image.shape == (3, 32, 32)
    assert picture.image.min() >= 0 and picture.image.max() <= 1
    pictures = described.DescribedPictures(range(3, 5))
    first = described.described_picture(3)
    assert torch.equal(pictures[0].image, first.image) and len(pictures) == 2
    assert pictures.text(0) == repr(first.description)


@pytest.mark.parametrize("colour", COLOURS)
def test_corners_have_the_background_colour(colour):
    image = described.draw(Description((Item("fox", size="small"),), colour), 1, 64)
    corner = image[:, 0, 0]
    assert (corner - torch.tensor(COLOURS[colour])).abs().max() < 0.04


@pytest.mark.parametrize("place", [None, *opposite])
def test_objects_are_at_their_place_and_of_their_size(place):
    sides = {}
    for size in ("small", None, "large"):
        drawn = [
            bounding_box(described.draw(Description((Item("panda", None, size, place),), "red"), n))
            for n in range(6)
        ]
        x0, y0, x1, y1 = np.array(drawn).T
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        expected_x = {"left": 0.25, "right": 0.75}.get(place, 0.5)
        expected_y = {"top": 0.25, "bottom": 0.75}.get(place, 0.5)
        assert np.abs(x - expected_x).max() < 0.12 and np.abs(y - expected_y).max() < 0.12
        sides[size] = np.maximum(x1 - x0, y1 - y0)
    assert sides["small"].max() < sides[None].min() <= sides[None].max() < sides["large"].min()


@pytest.mark.parametrize(
    ("items", "side"),
    [
        ([Item("fox")], 0.8),
        ([Item("fox", size="small", place="left")], 0.285),
        ([Item("fox", size="large", place="top"), Item("owl", place="bottom")], 0.4425),
    ],
)
def test_mean_side_is_that_of_the_placements(items, side, monkeypatch):
    description, sides = Description(tuple(items), "red"), []
    original = described.compose
    monkeypatch.setattr(
        described,
        "compose",
        lambda background, placements, light: (
            sides.extend(placement.size for placement in placements)
            or original(background, placements, light)
        ),
    )
    for seed in range(60):
        described.draw(description, seed, size=16)
    assert described.mean_side(description) == pytest.approx(side)
    assert np.mean(sides) == pytest.approx(side, abs=0.03)


def test_two_objects_are_apart_and_what_is_left_open_varies():
    pair = Description((Item("panda"), Item("apple")), "blue")
    images = [described.draw(pair, seed) for seed in range(8)]
    assert len({round(float(bounding_box(image)[0]), 1) for image in images}) > 1
    placed = Description((Item("panda", place="left"), Item("apple", place="right")), "blue")
    image = described.draw(placed)
    middle = (image - image[:, :1, :1])[:, :, 62:66].abs().amax()
    assert middle < 0.1


def test_styles_are_the_drawings_of_their_word():
    images = {
        style: described.draw(Description((Item("robot", style, "large"),), "white"))
        for style in ("shiny", "detailed", "flat")
    }
    assert not torch.equal(images["shiny"], images["flat"])
    replaced = described.described_picture(5, drawings=sprites.styles("held-out")[0])
    assert replaced.description == described.described_picture(5).description
    assert not torch.equal(replaced.image, described.described_picture(5).image)


def test_sentences_describe_the_picture():
    for seed in range(20):
        items = {item.name: item for item in described.sample_description(seed).objects}
        for said in map(parse, described.sample_sentences(seed, 4)):
            assert said.colour == described.sample_description(seed).colour
            for item in said.objects:
                truth = items[item.name]
                assert item.style in (None, truth.style) and item.size == truth.size
                assert item.place == truth.place or len(items) == 2 and item.place is None
    assert described.sample_sentences(3, 4) == described.sample_sentences(3, 4)


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError, match="seed is -1"):
        described.described_picture(-1)
    with pytest.raises(ValueError, match="size is 8"):
        described.described_picture(0, 8)
    with pytest.raises(ValueError, match=f"choose one of {', '.join(KINDS)}"):
        described.described_picture(0, kind="x")
