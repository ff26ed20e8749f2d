"""Lesson 7's widgets respond to their controls, and show a still picture with alt text."""

import pytest
import torch

from course_lib.diffusion.attention_maps import record_attention
from course_lib.diffusion.judge import Judge
from course_lib.sd.tokenizer import Tokenizer
from course_lib.widgets.stable_diffusion import (
    GuidanceSlider,
    TokenizerDemo,
    WordMaps,
    guidance_slider,
    tokenizer_demo,
    word_maps,
)
from tests.support.small_sd import OPTIONS, small_pipeline
from tests.support.widgets import assert_distinct_names, read_picture

PROMPT = "a fox on a red"


@pytest.fixture(scope="module")
def model():
    return small_pipeline()


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    return Judge().eval()


@pytest.fixture(scope="module")
def record(model):
    return record_attention(model, PROMPT, **OPTIONS, guidance=2.0)


def test_tokenizer_demo_shows_the_tokens_of_each_tokenizer():
    full, short = Tokenizer(), Tokenizer(5000, 5)
    widget = TokenizerDemo({"full": full, "short": short}, "a fox")
    for tokenizer in (full, short):
        for token_id in tokenizer.tokenize("a fox"):
            assert f">{token_id}</small>" in widget.boxes.value
    widget.text.value = "a b c d e"
    assert "full: 5 tokens of at most 75<" in widget.boxes.value
    assert "short: 5 tokens of at most 3; the last 2 are truncated" in widget.boxes.value
    assert widget.boxes.value.count("dashed") == 2
    widget.text.value = ""
    assert "full: 0 tokens" in widget.boxes.value


def test_prompt_is_escaped_in_html():
    widget = TokenizerDemo({"full": Tokenizer()}, "<script>alert(1)</script>")
    assert "<script" not in widget.boxes.value


def test_word_of_the_maps_is_escaped_in_html(model):
    widget = WordMaps(record_attention(model, "<b>fox</b>", **OPTIONS, guidance=1.0))
    for _, word in widget.word.options:
        widget.word.value = word
        assert "<" not in widget.message.value and "“" in widget.message.value


def test_every_control_of_the_maps_changes_the_picture(record):
    widget = WordMaps(record)
    assert widget.word.value == "fox"
    for control, value in ((widget.word, "end tokens"), (widget.step, 0)):
        before = read_picture(widget)
        control.value = value
        assert (read_picture(widget) != before).any()
    share = record.maps[0, 6:].sum(0).mean()
    assert f"“end tokens” gets {float(share):.1%} of the attention weight" in widget.message.value


def test_empty_prompt_has_maps_of_start_and_end(model):
    widget = WordMaps(record_attention(model, "", **OPTIONS, guidance=1.0))
    assert [name for name, _ in widget.word.options] == ["start token", "end tokens"]


@pytest.mark.parametrize(
    ("control", "value"), [("object", "car"), ("colour", "red"), ("guidance", 0.0), ("seed", 7)]
)
def test_every_control_of_the_guidance_changes_the_picture(model, judge, control, value):
    widget = GuidanceSlider(model, judge, steps=2)
    before = read_picture(widget)
    getattr(widget, control).value = value
    assert (read_picture(widget) != before).any()
    assert "The judge sees: " in widget.message.value


def test_picture_is_generated_only_once(model, judge, monkeypatch):
    widget = GuidanceSlider(model, judge, steps=2)
    first = widget.picture.value
    widget.seed.value = 1
    monkeypatch.setattr(type(model), "generate", None)
    widget.seed.value = 0
    assert widget.picture.value == first


def test_every_control_has_a_name(model, judge, record):
    slider, maps = GuidanceSlider(model, judge, steps=2), WordMaps(record)
    assert_distinct_names(slider.object, slider.colour, slider.guidance, slider.seed)
    assert_distinct_names(maps.word, maps.step)


def test_still_pictures_with_alt_text_are_shown(model, judge, record, displayed, monkeypatch):
    tokenizer_demo({"full": Tokenizer()})
    word_maps(record)
    guidance_slider(model, judge, steps=2)
    assert '<img alt="The prompt “a red fox' in displayed[1].data
    assert '<img alt="An image, and next to it the attention map' in displayed[3].data
    assert '<img alt="An image generated for' in displayed[5].data
    monkeypatch.setenv("COURSE_MODE", "grading")
    word_maps(record)
    assert len(displayed) == 6
