"""Captioned pictures are functions of their seed, say what they show, and keep what is held out
apart.
"""

import pytest
import torch

from course_lib.data import captioned, sprites
from course_lib.data.captioned import COLOURS, CaptionedPictures


def test_a_picture_is_its_seed():
    one, again, other = (
        captioned.captioned(3, 32),
        captioned.captioned(3, 32),
        captioned.captioned(4, 32),
    )
    assert torch.equal(one.image, again.image) and one.caption == again.caption
    assert not torch.equal(one.image, other.image)
    assert one.image.shape == (3, 32, 32) and one.image.min() >= 0 and one.image.max() <= 1


def test_the_sentence_names_object_and_ground():
    assert captioned.sentence("owl", "orange") == "an owl on an orange background"
    assert captioned.sentence("glasses", "red") == "glasses on a red background"
    picture = captioned.captioned(0, 32)
    assert picture.caption == captioned.sentence(picture.name, picture.colour)


@pytest.mark.parametrize("seed", range(20))
def test_the_corners_have_the_grounds_colour(seed):
    picture = captioned.captioned(seed, 64)
    corner = picture.image[:, 0, 0]
    nearest = min(
        COLOURS, key=lambda colour: (corner - torch.tensor(COLOURS[colour])).square().sum().item()
    )
    assert nearest == picture.colour


def test_no_combination_is_in_two_splits():
    def seen(split):
        return {
            (picture.name, picture.colour)
            for picture in CaptionedPictures(range(300), size=16, split=split)
        }

    trained, new = seen("seen"), seen("new-combinations")
    assert not trained & new
    assert all(captioned.held_out(*pair) for pair in new) and not any(
        captioned.held_out(*pair) for pair in trained
    )
    everything = [(name, colour) for name in sprites.names() for colour in COLOURS]
    share = sum(captioned.held_out(*pair) for pair in everything) / len(everything)
    assert 0.07 < share < 0.13


def test_a_split_has_its_styles(monkeypatch):
    drawn = []
    right = captioned.compose
    monkeypatch.setattr(
        captioned,
        "compose",
        lambda ground, placed, light: drawn.append(placed[0].style) or right(ground, placed, light),
    )
    for split, styles in (
        ("held-out-style", "held-out"),
        ("seen", "train"),
        ("new-combinations", "train"),
    ):
        drawn.clear()
        for seed in range(30):
            captioned.captioned(seed, 16, split=split)
        assert set(drawn) == set(sprites.styles(styles))


def test_only_the_objects_that_were_asked_for():
    pictures = CaptionedPictures(range(40), size=16, objects=["owl", "car"])
    assert {picture.name for picture in pictures} == {"owl", "car"} and len(pictures) == 40


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="choose one of seen"):
        captioned.captioned(0, split="old")
    with pytest.raises(ValueError, match="size 16 or more"):
        captioned.captioned(0, 8)
    with pytest.raises(ValueError, match="no object 'nothing'"):
        captioned.captioned(0, objects=["nothing"])
