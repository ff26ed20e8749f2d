"""Captions: articles, plurals and enumerations."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.data import captions, sprites


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("owl", "an owl"),
        ("car", "a car"),
        ("umbrella", "an umbrella"),
        ("unicorn", "a unicorn"),
        ("Abyssinian", "an Abyssinian"),
        ("glasses", "glasses"),
        ("bread", "bread"),
    ],
)
def test_article_follows_the_sound(name, phrase):
    assert captions.with_article(name) == captions.with_count(1, name) == phrase


@pytest.mark.parametrize(
    ("count", "name", "phrase"),
    [
        (2, "owl", "two owls"),
        (3, "fox", "three foxes"),
        (2, "bus", "two buses"),
        (2, "peach", "two peaches"),
        (2, "butterfly", "two butterflies"),
        (2, "key", "two keys"),
        (2, "mouse", "two mice"),
        (4, "cactus", "four cacti"),
        (2, "snowman", "two snowmen"),
        (12, "maple leaf", "twelve maple leaves"),
        (2, "glasses", "two pairs of glasses"),
        (2, "bread", "two loaves of bread"),
        (13, "person", "13 people"),
        (0, "owl", "no owls"),
    ],
)
def test_plurals(count, name, phrase):
    assert captions.with_count(count, name) == phrase


def test_phrases_of_all_sprites_are_distinct():
    for count in (1, 2):
        phrases = [captions.with_count(count, name) for name in sprites.names()]
        assert len(set(phrases)) == len(phrases)
        assert all(name == name.lower() and name == " ".join(name.split()) for name in phrases)


def test_join_names():
    assert captions.join_names([]) == "nothing"
    assert captions.join_names(["owl"]) == "an owl"
    assert captions.join_names(["owl", "car", "owl"]) == "two owls and a car"
    assert captions.join_names(["owl", "car", "apple"]) == "an owl, a car and an apple"


@given(st.lists(st.sampled_from(sprites.names()), min_size=1, max_size=9))
def test_join_names_counts_every_object_once(names):
    *first_parts, last = captions.join_names(names).split(" and ")
    parts = [part for text in first_parts for part in text.split(", ")] + [last]
    assert parts == [captions.with_count(count, name) for name, count in Counter(names).items()]
