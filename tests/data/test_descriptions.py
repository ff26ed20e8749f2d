"""Descriptions: their sentences are read back, other sentences are refused with a reason."""

import numpy as np
import pytest

from course_lib.data import captioned, descriptions, sprites
from course_lib.data.descriptions import (
    COLOURS,
    FORMS,
    KINDS,
    OBJECTS,
    STYLES,
    Description,
    Item,
    UnknownSentence,
    describe,
    leave_open,
    parse,
    sample,
)
from course_lib.diffusion import text_to_image
from tests.support.sentences import SENTENCES


def samples(count=60, **options):
    rng = np.random.default_rng(0)
    return [sample(rng, **options) for _ in range(count)]


def test_every_word_is_one_token_and_every_object_is_drawn_in_all_styles():
    tokenizer = text_to_image.tokenizer()
    assert len(set(OBJECTS)) == len(OBJECTS) >= 48
    assert all(len(tokenizer.tokenize(word)) == 1 for word in descriptions.known_words())
    assert set(OBJECTS) <= set(sprites.names()) and not set(OBJECTS) & set(COLOURS)
    assert sorted(STYLES.values()) == sorted(sprites.styles())


def test_describe():
    shiny = Item("owl", "shiny", "small", "left")
    assert describe(Description((shiny,), "orange")) == (
        "a small shiny owl on the left on an orange background"
    )
    pair = Description((Item("owl"), Item("banana", "flat")), "blue")
    assert [describe(pair, form) for form in range(len(FORMS))] == [
        "an owl and a flat banana on a blue background",
        "a blue background with an owl and a flat banana",
        "a picture of an owl and a flat banana on a blue background",
        "an owl and a flat banana, blue background",
    ]


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_sentences_are_read_back(form):
    rng = np.random.default_rng(1)
    for kind in KINDS:
        for description in samples(20, kind=kind):
            said = leave_open(description, kind, rng)
            assert parse(describe(said, form)) == said
            assert parse(f"  {describe(said, form).upper()}. ") == said


@pytest.mark.parametrize(("sentence", "nearest"), SENTENCES.items())
def test_other_sentences_are_refused_with_the_nearest_one(sentence, nearest):
    with pytest.raises(UnknownSentence) as refusal:
        parse(sentence)
    assert refusal.value.nearest == nearest and parse(nearest)
    assert str(refusal.value) == f"{refusal.value.reason} Nearest: “{nearest}”."
    assert all(word not in descriptions.known_words() for word in refusal.value.unknown)


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("A Dragon, on a grey dragon's background!", "Unknown: “dragon”, “grey”, “s”."),
        ("orange owl", "“orange owl”: only the colour of the background can be chosen."),
        (
            "a fox and an owl and a cat on a red background",
            "A picture has at most two objects, not 3.",
        ),
        ("a fox and a fox, red background", "The two objects of a picture are different."),
        ("a fox", "No sentence of the training has this form."),
        ("", "No sentence of the training has this form."),
    ],
)
def test_other_sentences_are_refused_with_a_reason(sentence, reason):
    with pytest.raises(UnknownSentence) as refusal:
        parse(sentence)
    assert refusal.value.reason == reason


def test_refused_sentence_is_described():
    with pytest.raises(UnknownSentence) as refusal:
        parse("two foxes and an owl without any red crown, no fox on green")
    assert refusal.value.unknown == ("two", "foxes", "without", "any", "no")
    assert refusal.value.objects == ("fox", "owl")
    assert refusal.value.excluded == ("crown", "fox")
    assert refusal.value.colour == "green"
    assert refusal.value.nearest == "an owl on a green background"


@pytest.mark.parametrize(
    ("items", "colour", "message"),
    [
        ([Item("dragon")], "red", "'dragon' is unknown: choose one of dog"),
        ([Item("fox", size="huge")], "red", "'huge' is unknown: choose one of small, large"),
        ([Item("fox")], "teal", "'teal' is unknown"),
        ([], "red", "one object, or two different"),
        ([Item("fox"), Item("fox")], "red", "one object, or two different"),
        ([Item("fox"), Item("owl"), Item("cat")], "red", "one object, or two different"),
        ([Item("fox", place="left"), Item("owl", place="top")], "red", "opposite places"),
        ([Item("fox"), Item("owl", place="top")], "red", "opposite places"),
    ],
)
def test_impossible_descriptions_are_refused(items, colour, message):
    with pytest.raises(ValueError, match=message):
        Description(tuple(items), colour)


def test_kinds_say_what_their_name_says():
    def said(kind):
        return [leave_open(description, kind) for description in samples(kind=kind)]

    alone = Item("fox")
    for description in said("one"):
        (item,) = description.objects
        assert item == Item(item.name)
    assert all(d.objects[0].style for d in said("style"))
    assert {d.objects[0].size for d in said("size")} == {"small", "large"}
    assert {d.objects[0].place for d in said("place")} == {"left", "right", "top", "bottom"}
    for description in said("two"):
        assert [item == Item(item.name) for item in description.objects] == [True, True]
    assert {len(d.objects) for d in said("mixed")} == {1, 2}
    assert leave_open(Description((alone,), "red")).objects == (alone,)
    with pytest.raises(ValueError, match="no kind 'x': choose one of one, "):
        samples(1, kind="x")


def test_mixed_sentences_leave_a_quarter_of_styles_and_half_of_the_pairs_places_open():
    rng = np.random.default_rng(0)
    pairs = [d for d in samples(1000) if len(d.objects) == 2]
    said = [leave_open(description, rng=rng) for description in pairs]
    styles = [item.style is None for d in said for item in d.objects]
    places = [[item.place is None for item in d.objects] for d in said]
    assert 0.2 < np.mean(styles) < 0.3
    assert 0.42 < np.mean(places) < 0.58 and all(first == second for first, second in places)
    assert all(leave_open(description) == description for description in pairs)


def test_held_out_combinations_are_in_no_training_description():
    def found(held_out):
        drawn = samples(300, held_out=held_out)
        return {text for description in drawn for text in descriptions.combinations(description)}

    assert all(descriptions.is_held_out(description) for description in samples(held_out=True))
    new = found(True) - found(False)
    assert any(" on a" not in text and " and " in text for text in new)
    for name in OBJECTS[:5]:
        for colour in COLOURS:
            description = Description((Item(name),), colour)
            assert descriptions.is_held_out(description) == captioned.is_held_out(name, colour)
