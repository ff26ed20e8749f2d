"""The drawn objects: all of them in all styles, and one style that was kept apart by its hash."""

import hashlib

import pytest
import torch

from course_lib.data import sprites

STYLES = [*sprites.styles(), *sprites.styles("held-out")]


def test_there_are_enough_classes_and_styles():
    assert len(sprites.CLASSES) == len(set(sprites.CLASSES)) >= 12
    assert len(sprites.styles()) >= 3 and len(STYLES) == len(set(STYLES)) == 4
    names = sprites.names()
    assert len(names) == len(set(names)) == 122
    assert set(sprites.CLASSES) < set(names)


def test_the_held_out_style_is_the_one_with_the_smallest_hash():
    assert sprites.styles("held-out") == [
        min(STYLES, key=lambda style: hashlib.sha256(style.encode()).hexdigest())
    ]


def test_every_group_has_as_many_classes_as_the_others_and_objects_never_trained_on():
    groups = {sprites.group(name) for name in sprites.names()}
    assert sorted(name for group in groups for name in sprites.names(group)) == sorted(
        sprites.names()
    )
    for group in groups:
        classes = [name for name in sprites.CLASSES if sprites.group(name) == group]
        assert len(classes) == len(sprites.CLASSES) / len(groups)
        assert len(sprites.names(group)) > len(classes)


@pytest.mark.parametrize("style", STYLES)
def test_every_object_has_an_inside_and_an_outside(style):
    for name in sprites.names():
        colours, alpha = (pixels := sprites.sprite(name, style))[:3], pixels[3]
        assert pixels.dtype == torch.float32 and pixels.shape == (4, 128, 128)
        assert pixels.min() >= 0 and pixels.max() <= 1
        assert (alpha > 0.9).float().mean() > 0.02, f"{name} in {style} is nearly empty"
        assert (alpha == 0).float().mean() > 0.02, f"{name} in {style} has nothing around it"
        border = torch.cat([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        assert border.max() == 0, f"{name} in {style} touches the edge of its tile"
        assert colours[:, alpha > 0.9].amax() > 0.15, f"{name} in {style} is all black"


def test_styles_draw_differently():
    for name in sprites.CLASSES:
        drawn = [sprites.sprite(name, style) for style in STYLES]
        for number, one in enumerate(drawn):
            assert all((one - other).abs().mean() > 0.01 for other in drawn[:number])


def test_a_sprite_can_be_changed_without_harm():
    sprites.sprite("owl", "noto").zero_()
    assert sprites.sprite("owl", "noto").max() > 0


def test_bad_names_are_told():
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
