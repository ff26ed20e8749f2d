"""The sentences: articles, plurals and lists, for the names that the course has and for any list of
them.
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.data import captions, sprites


@pytest.mark.parametrize(
    ("name", "said"),
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
def test_the_article_follows_the_sound(name, said):
    assert captions.with_article(name) == captions.counted(1, name) == said


@pytest.mark.parametrize(
    ("count", "name", "said"),
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
def test_plurals(count, name, said):
    assert captions.counted(count, name) == said


def test_no_two_objects_of_the_course_are_said_alike():
    for count in (1, 2):
        said = [captions.counted(count, name) for name in sprites.names()]
        assert len(set(said)) == len(said)
        assert all(name == name.lower() and name == " ".join(name.split()) for name in said)


def test_lists_are_sentences():
    assert captions.listed([]) == "nothing"
    assert captions.listed(["owl"]) == "an owl"
    assert captions.listed(["owl", "car", "owl"]) == "two owls and a car"
    assert captions.listed(["owl", "car", "apple"]) == "an owl, a car and an apple"


@given(st.lists(st.sampled_from(sprites.names()), min_size=1, max_size=9))
def test_a_list_names_every_object_once_and_counts_it(names):
    *most, last = captions.listed(names).split(" and ")
    parts = [part for text in most for part in text.split(", ")] + [last]
    assert parts == [captions.counted(count, name) for name, count in Counter(names).items()]
