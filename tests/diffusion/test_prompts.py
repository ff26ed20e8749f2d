"""Prompt checks: the sentence form, the words, the nearest caption and the judge's verdict."""

import pytest

from course_lib.data.captioned import COLOURS, OBJECTS, make_caption
from course_lib.diffusion import text_to_image
from course_lib.diffusion.judge import Verdict
from course_lib.diffusion.prompts import check_prompt, describe_difference, warnings_about
from tests.support.sentences import SENTENCES


@pytest.fixture(scope="module")
def tokenizer():
    return text_to_image.tokenizer()


def test_every_caption_is_known_and_gives_no_warning(tokenizer):
    for name in OBJECTS:
        for colour in COLOURS:
            caption = make_caption(name, colour)
            check = check_prompt(caption, tokenizer)
            assert check == (True, caption, (), (name,), (), colour)
            assert warnings_about(f"  {caption.upper()} ", tokenizer) == []


@pytest.mark.parametrize("sentence, nearest", SENTENCES.items())
def test_other_sentences_are_reported_with_the_nearest_caption(tokenizer, sentence, nearest):
    check = check_prompt(sentence, tokenizer)
    assert not check.is_trained and check.nearest == nearest
    assert f"Nearest: “{nearest}”." in warnings_about(sentence, tokenizer)[0]


def test_unknown_words_are_listed_once_in_lower_case(tokenizer):
    check = check_prompt("A Dragon, on a dragon's blue background!", tokenizer)
    assert check.unknown == ("dragon",)
    first, objects = warnings_about("a grey dragon on a blue background", tokenizer)
    assert "never trained on “grey”, “dragon”" in first
    assert objects == f"The objects that it knows: {', '.join(OBJECTS)}."
    (other_form,) = warnings_about("a fox and a banana on a blue background", tokenizer)
    assert "never trained on “and”" in other_form
    (other_order,) = warnings_about("on a blue background a fox", tokenizer)
    assert "sentences of another form" in other_order


def test_missing_background_and_negation_give_advice(tokenizer):
    assert "background colours that it knows: red" in warnings_about("a fox", tokenizer)[-1]
    warnings = warnings_about("no fox on a blue background", tokenizer)
    assert "What the picture must not show belongs in --negative." in warnings


@pytest.mark.parametrize(
    "prompt, verdict, expected",
    [
        ("a fox on a blue background", ("fox", "blue"), ""),
        (
            "a fox on a blue background",
            ("dog", "blue"),
            "the judge sees a dog on a blue background: not what you asked.",
        ),
        (
            "a fox on a blue background",
            ("fox", "red"),
            "the judge sees a fox on a red background: not what you asked.",
        ),
        ("a sleeping fox", ("fox", "red"), ""),
        (
            "a fox and a banana on a blue background",
            ("fox", "blue"),
            "the judge sees a fox on a blue background: not what you asked.",
        ),
        ("a dragon", ("house", "red"), "the judge sees a house on a red background."),
    ],
)
def test_verdict_is_shown_if_it_differs(tokenizer, prompt, verdict, expected):
    assert describe_difference(check_prompt(prompt, tokenizer), Verdict(*verdict)) == expected
