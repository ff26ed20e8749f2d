"""Captioned pictures: deterministic per seed, correctly captioned, with disjoint splits."""

import pytest
import torch

from course_lib.data import captioned, sprites
from course_lib.data.captioned import COLOURS, CaptionedPictures


def test_picture_is_a_function_of_its_seed():
    picture = captioned.captioned_picture(3, 32)
    repeated = captioned.captioned_picture(3, 32)
    assert torch.equal(picture.image, repeated.image) and picture.caption == repeated.caption
    assert not torch.equal(picture.image, captioned.captioned_picture(4, 32).image)
    assert picture.image.shape == (3, 32, 32)
    assert picture.image.min() >= 0 and picture.image.max() <= 1


def test_caption_names_object_and_background():
    assert captioned.make_caption("owl", "orange") == "an owl on an orange background"
    assert captioned.make_caption("glasses", "red") == "glasses on a red background"
    picture = captioned.captioned_picture(0, 32)
    assert picture.caption == captioned.make_caption(picture.name, picture.colour)


@pytest.mark.parametrize("seed", range(20))
def test_corners_have_the_background_colour(seed):
    picture = captioned.captioned_picture(seed, 64)
    corner = picture.image[:, 0, 0]
    nearest = min(
        COLOURS, key=lambda colour: (corner - torch.tensor(COLOURS[colour])).square().sum().item()
    )
    assert nearest == picture.colour


def test_splits_share_no_combination():
    def combinations(split):
        return {
            (picture.name, picture.colour)
            for picture in CaptionedPictures(range(100), size=16, split=split)
        }

    trained, new = combinations("seen"), combinations("new-combinations")
    assert not trained & new
    assert all(captioned.is_held_out(*pair) for pair in new)
    assert not any(captioned.is_held_out(*pair) for pair in trained)
    pairs = [(name, colour) for name in sprites.names() for colour in COLOURS]
    held_out_fraction = sum(captioned.is_held_out(*pair) for pair in pairs) / len(pairs)
    assert 0.07 < held_out_fraction < 0.13


def test_split_uses_its_styles(monkeypatch):
    used_styles = set()
    compose = captioned.compose

    def recording_compose(background, placements, light):
        used_styles.add(placements[0].style)
        return compose(background, placements, light)

    monkeypatch.setattr(captioned, "compose", recording_compose)
    for split, styles in (
        ("held-out-style", "held-out"),
        ("seen", "train"),
        ("new-combinations", "train"),
    ):
        used_styles.clear()
        for seed in range(30):
            captioned.captioned_picture(seed, 16, split=split)
        assert used_styles == set(sprites.styles(styles))


def test_objects_can_be_restricted():
    pictures = CaptionedPictures(range(40), size=16, objects=["owl", "car"])
    assert {picture.name for picture in pictures} == {"owl", "car"} and len(pictures) == 40


def test_text_is_the_caption():
    for options in ({}, {"split": "new-combinations", "objects": ["owl", "car"]}):
        pictures = CaptionedPictures(range(7, 27), 16, **options)
        captions = [picture.caption for picture in pictures]
        assert [pictures.text(index) for index in range(len(pictures))] == captions


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="choose one of seen"):
        captioned.captioned_picture(0, split="old")
    with pytest.raises(ValueError, match="size 16 or more"):
        captioned.captioned_picture(0, 8)
    with pytest.raises(ValueError, match="no object 'nothing'"):
        captioned.captioned_picture(0, objects=["nothing"])
