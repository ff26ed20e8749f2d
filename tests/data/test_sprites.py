"""Sprites: every object exists in all styles, and one style is held out by its hash."""

import hashlib
from itertools import combinations

import pytest
import torch

from course_lib.data import sprites

STYLES = [*sprites.styles(), *sprites.styles("held-out")]


def test_classes_styles_and_names():
    assert len(sprites.CLASSES) == len(set(sprites.CLASSES)) >= 12
    assert len(sprites.styles()) >= 3 and len(STYLES) == len(set(STYLES)) == 4
    names = sprites.names()
    assert len(names) == len(set(names)) == 122
    assert set(sprites.CLASSES) < set(names)


def test_held_out_style_has_the_smallest_hash():
    assert sprites.styles("held-out") == [
        min(STYLES, key=lambda style: hashlib.sha256(style.encode()).hexdigest())
    ]


def test_groups_have_equally_many_classes_and_additional_objects():
    groups = {sprites.group(name) for name in sprites.names()}
    assert sorted(name for group in groups for name in sprites.names(group)) == sorted(
        sprites.names()
    )
    for group in groups:
        classes = [name for name in sprites.CLASSES if sprites.group(name) == group]
        assert len(classes) == len(sprites.CLASSES) / len(groups)
        assert len(sprites.names(group)) > len(classes)


@pytest.mark.parametrize("style", STYLES)
def test_every_sprite_has_content_and_a_transparent_border(style):
    for name in sprites.names():
        pixels = sprites.sprite(name, style)
        colours, alpha = pixels[:3], pixels[3]
        assert pixels.dtype == torch.float32 and pixels.shape == (4, 128, 128)
        assert pixels.min() >= 0 and pixels.max() <= 1
        assert (alpha > 0.9).float().mean() > 0.02, f"{name} in {style} is nearly empty"
        assert (alpha == 0).float().mean() > 0.02, f"{name} in {style} has nothing around it"
        border = torch.cat([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        assert border.max() == 0, f"{name} in {style} touches the edge of its tile"
        assert colours[:, alpha > 0.9].amax() > 0.15, f"{name} in {style} is all black"


def test_styles_differ():
    for name in sprites.CLASSES:
        drawings = [sprites.sprite(name, style) for style in STYLES]
        for first, second in combinations(drawings, 2):
            assert (first - second).abs().mean() > 0.01


def test_sprites_are_returned_as_copies():
    sprites.sprite("owl", "noto").zero_()
    assert sprites.sprite("owl", "noto").max() > 0


def test_unknown_names_raise():
    with pytest.raises(ValueError, match="choose one of dog"):
        sprites.sprite("unicycle", "noto")
    with pytest.raises(ValueError, match="choose one of dog"):
        sprites.group("unicycle")
    with pytest.raises(ValueError, match=f"choose one of {STYLES[0]}"):
        sprites.sprite("owl", "openmoji")
    with pytest.raises(ValueError, match="choose one of animal"):
        sprites.names("plant")
    with pytest.raises(ValueError, match="choose 'train' or 'held-out'"):
        sprites.styles("test")
