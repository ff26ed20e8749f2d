"""Lesson 7's widgets answer to their controls, and leave a still picture with alt text."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.diffusion import judge
from course_lib.diffusion.attention_maps import look
from course_lib.sd.tokenizer import Tokenizer
from course_lib.widgets.stable_diffusion import (
    Cutter,
    GuidanceSlider,
    WordMaps,
    cutter,
    guidance_slider,
    word_maps,
)
from tests.support.small_sd import OPTIONS, small

PROMPT = "a fox on a red"


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def seen_by():
    torch.manual_seed(0)
    return judge.Judge().eval()


@pytest.fixture(scope="module")
def looked(model):
    return look(model, PROMPT, **OPTIONS, guidance=2.0)


def picture_of(widget) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(widget.picture.value))).astype(int)


def test_the_cutter_shows_the_tokens_of_each_tokenizer():
    whole, short = Tokenizer(), Tokenizer(5000, 5)
    widget = Cutter({"whole": whole, "short": short}, "a fox")
    for tokenizer in (whole, short):
        assert all(
            f">{number}</small>" in widget.boxes.value for number in tokenizer.tokenize("a fox")
        )
    widget.text.value = "a b c d e"
    assert "whole: 5 tokens in 75 places<" in widget.boxes.value
    assert "short: 5 tokens in 3 places; the last 2 are cut off" in widget.boxes.value
    assert widget.boxes.value.count("dashed") == 2
    widget.text.value = ""
    assert "whole: 0 tokens" in widget.boxes.value


def test_what_is_typed_is_text_and_no_markup():
    widget = Cutter({"whole": Tokenizer()}, "<script>alert(1)</script>")
    assert "<script" not in widget.boxes.value


def test_every_control_of_the_maps_changes_the_picture(looked):
    widget = WordMaps(looked)
    assert widget.word.value == "fox"
    for control, value in ((widget.word, "ends"), (widget.step, 0)):
        before = picture_of(widget)
        control.value = value
        assert (picture_of(widget) != before).any()
    share = looked.maps[0, 6:].sum(0).mean()
    assert f"{float(share):.1%} went to “ends”" in widget.message.value


def test_a_prompt_without_words_has_maps_too(model):
    widget = WordMaps(look(model, "", **OPTIONS, guidance=1.0))
    assert [name for name, _ in widget.word.options] == ["start", "ends"]


@pytest.mark.parametrize(
    "control, value", [("object", "car"), ("colour", "red"), ("guidance", 0.0), ("seed", 7)]
)
def test_every_control_of_the_guidance_changes_the_picture(model, seen_by, control, value):
    widget = GuidanceSlider(model, seen_by, steps=2)
    before = picture_of(widget)
    getattr(widget, control).value = value
    assert (picture_of(widget) != before).any()
    assert "The judge sees: " in widget.message.value


def test_a_picture_is_drawn_once(model, seen_by, monkeypatch):
    widget = GuidanceSlider(model, seen_by, steps=2)
    first = widget.picture.value
    widget.seed.value = 1
    monkeypatch.setattr(type(model), "generate", None)
    widget.seed.value = 0
    assert widget.picture.value == first


def test_every_control_has_a_name(model, seen_by, looked):
    slider, maps = GuidanceSlider(model, seen_by, steps=2), WordMaps(looked)
    for controls in (
        (slider.object, slider.colour, slider.guidance, slider.seed),
        (maps.word, maps.step),
    ):
        names = [
            getattr(one, "tooltip", None) or getattr(one, "description_tooltip", None)
            for one in controls
        ]
        assert all(names) and len(set(names)) == len(controls)
        assert all(one.description for one in controls)


def test_the_widgets_leave_a_still_picture_with_alt_text(model, seen_by, looked, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append(what))
    cutter({"whole": Tokenizer()})
    word_maps(looked)
    guidance_slider(model, seen_by, steps=2)
    assert '<img alt="The sentence “a red fox' in displayed[1].data
    assert '<img alt="A picture, and beside it a map' in displayed[3].data
    assert '<img alt="A picture that the model drew' in displayed[5].data
    monkeypatch.setenv("COURSE_MODE", "grading")
    word_maps(looked)
    assert len(displayed) == 6
