"""Remarks of ``course generate`` on prompts and on what the judge found."""

import pytest

from course_lib.data import descriptions
from course_lib.data.captioned import make_caption
from course_lib.data.descriptions import COLOURS, OBJECTS
from course_lib.diffusion.prompts import describe_difference, warnings_about
from tests.support.sentences import SENTENCES


def test_sentences_of_the_training_give_no_warning():
    for name in OBJECTS:
        for colour in COLOURS:
            assert warnings_about(f"  {make_caption(name, colour).upper()} ") == []
    assert (
        warnings_about("a small flat owl on the left and a fox on the right, red background") == []
    )


@pytest.mark.parametrize(("sentence", "nearest"), SENTENCES.items())
def test_other_sentences_are_reported_with_the_nearest_one(sentence, nearest):
    first = warnings_about(sentence)[0]
    assert f"Nearest: “{nearest}”." in first and "was not trained on such sentences" in first


def test_missing_object_or_background_and_negation_give_advice():
    (first, objects) = warnings_about("a grey dragon on a blue background")
    assert first.startswith("Unknown: “grey”, “dragon”. Nearest: ")
    assert objects == f"The objects that it knows: {', '.join(OBJECTS)}."
    (_, colours) = warnings_about("a fox")
    assert colours == f"The background colours that it knows: {', '.join(COLOURS)}."
    assert len(warnings_about("a sleeping fox on a red background")) == 1
    (_, advice) = warnings_about("a lion without a crown on a red background")
    assert advice == "What the picture must not show belongs in --negative."


@pytest.mark.parametrize(
    ("prompt", "found", "expected"),
    [
        ("a fox on a blue background", "a shiny fox on a blue background", ""),
        (
            "a fox on a blue background",
            "a flat dog on a blue background",
            "the judge sees a flat dog on a blue background: not what you asked.",
        ),
        (
            "a fox on a blue background",
            "a flat fox on a red background",
            "the judge sees a flat fox on a red background: not what you asked.",
        ),
        (
            "a fox and a banana on a blue background",
            "a flat banana on the left and a shiny fox on the right on a blue background",
            "",
        ),
        (
            "a fox and a banana on a blue background",
            "a flat fox on a blue background",
            "the judge sees a flat fox on a blue background: not what you asked.",
        ),
        (
            "a dragon",
            "a flat house on a red background",
            "the judge sees a flat house on a red background.",
        ),
    ],
)
def test_verdict_is_shown_if_it_differs(prompt, found, expected):
    assert describe_difference(prompt, descriptions.parse(found)) == expected
