"""Prompts of the trained form, and what is reported about others."""

import pytest

from course_lib.data.captioned import COLOURS, OBJECTS, make_caption
from course_lib.diffusion import prompts


def test_every_caption_has_the_form():
    for name in OBJECTS:
        for colour in COLOURS:
            caption = make_caption(name, colour)
            assert prompts.parse(caption) == (name, colour)
            assert prompts.warnings(caption) == []


def test_capitals_and_spaces_do_not_matter():
    assert prompts.parse("An  OWL on a Green background.") == ("owl", "green")


@pytest.mark.parametrize(
    ("prompt", "unknown", "nearest"),
    [
        ("a fox and a banana on a blue background", "and", "a fox on a blue background"),
        ("a red car on a green background", "", "a car on a green background"),
        (
            "a small apple in the corner on a white background",
            "small, in, the, corner",
            "an apple on a white background",
        ),
        ("no fox on a yellow background", "no", "a fox on a yellow background"),
        ("a photo of a lion", "photo, of", "a lion on a white background"),
        ("a slice of pizza on a red plate", "slice, of, plate", "a pizza on a red background"),
        ("a grey robot on blue", "grey", "a robot on a blue background"),
        ("two cats on a red background", "two, cats", "a cat on a red background"),
        ("an elefant on a pink background", "elefant", "an elephant on a pink background"),
        ("a fox on a purple backdrop", "backdrop", "a fox on a purple background"),
    ],
)
def test_other_sentences_are_named_with_their_unknown_words_and_the_nearest(
    prompt, unknown, nearest
):
    assert prompts.parse(prompt) is None
    form, *others = prompts.warnings(prompt)
    assert prompts.FORM in form
    if unknown:
        assert others.pop(0) == f"Words that it never saw: {unknown}."
    assert others == [f"The nearest sentence of the form: {nearest!r}."]


def test_a_prompt_without_any_known_word_lists_them():
    assert "Objects: dog, cat" in prompts.warnings("zebra")[-1]
    assert "Objects: dog, cat" in prompts.warnings("")[-1]


@pytest.mark.parametrize(
    ("prompt", "end"),
    [
        ("a dog on a blue background", "dog, blue"),
        ("a cat on a blue background", "not what you asked for"),
        ("a small dog in a blue room", "which the prompt names"),
        ("a small apple in the corner on a white background", "not what you asked for"),
    ],
)
def test_verdict(prompt, end):
    assert prompts.verdict(prompt, "dog", "blue").endswith(end)
