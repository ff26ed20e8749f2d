"""Answers and points as pure functions: every subset of every key, and anything a learner may
type.
"""

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.quiz import scoring


def subsets(letters: str) -> list[str]:
    return [
        "".join(part) for size in range(len(letters) + 1) for part in combinations(letters, size)
    ]


# --- points
# -----------------------------------------------------------------------------------------


@given(
    st.text("ABCDEFGH", min_size=2, max_size=8).map(lambda text: "".join(sorted(set(text)))),
    st.data(),
)
def test_score_of_every_subset_follows_the_rule(letters: str, data: st.DataObject) -> None:
    if len(letters) < 2:
        letters = "AB"
    right = data.draw(
        st.sampled_from([part for part in subsets(letters) if 0 < len(part) < len(letters)])
    )
    wrong = "".join(sorted(set(letters) - set(right)))
    for ticked in subsets(letters):
        hits, misses = len(set(ticked) & set(right)), len(set(ticked) & set(wrong))
        points = scoring.score(ticked, right, wrong, 3)
        assert points == pytest.approx(max(0.0, 3 * (hits / len(right) - misses / len(wrong))))
        assert 0 <= points <= 3
    assert scoring.score(right, right, wrong, 3) == 3
    assert scoring.score("", right, wrong, 3) == scoring.score(letters, right, wrong, 3) == 0


def test_each_single_wrong_option_costs_its_share() -> None:
    assert scoring.score("BC", "BC", "AD", 2) == 2.0
    assert scoring.score("B", "BC", "AD", 2) == 1.0
    assert scoring.score("ABC", "BC", "AD", 2) == 1.0
    assert scoring.score("AB", "BC", "AD", 2) == 0.0
    assert scoring.score("AD", "BC", "AD", 2) == 0.0


@pytest.mark.parametrize(
    "arguments",
    [
        ("A", "", "AB", 1),
        ("A", "AB", "", 1),
        ("A", "AB", "BC", 1),
        ("E", "A", "B", 1),
        ("A", "A", "B", -1),
    ],
)
def test_score_refuses_a_broken_key(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="option|points"):
        scoring.score(*arguments)


@pytest.mark.parametrize(
    ("typed", "points"),
    [("c b", 2), ("B", 1), ("", 0), ("BE", 0), (None, 0), (["B"], 0), ("АBC", 0), ("ABCD", 0)],
)
def test_grade_takes_anything_a_learner_may_type(typed: object, points: float) -> None:
    assert scoring.grade(typed, "BC", "AD", 2) == points


def test_grade_gives_nothing_for_two_letters_in_a_single_choice() -> None:
    assert scoring.grade("B", "B", "ACD", 1) == 1
    assert scoring.grade("BC", "B", "ACD", 1) == 0


# --- answers
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["AC", "ca", "a, C", " A;C\n", "CAAC", "a;;,\tc"])
def test_parse_reads_what_is_meant(typed: str) -> None:
    assert scoring.parse(typed, "ABCD") == "AC"


@given(st.text("ABCDabcd ,;", max_size=20))
def test_parse_is_sorted_single_and_stable(typed: str) -> None:
    letters = scoring.parse(typed, "ABCD")
    assert list(letters) == sorted(set(letters))
    assert scoring.parse(letters, "ABCD") == letters


@pytest.mark.parametrize(
    ("typed", "multiple", "message"),
    [
        ("AE", True, "'E' is not one of the letters A, B, C, D"),
        ("A and C", True, "'n' is not one of"),
        ("АC", True, "CYRILLIC CAPITAL LETTER A"),
        ("\uff21", True, "FULLWIDTH LATIN CAPITAL LETTER A"),
        ("\x00", True, "is not one of the letters"),
        ("AC", False, "A, C are 2 letters"),
        (3, True, 'Write letters between quotes: answer = "A"'),
        (["A"], True, "not text"),
    ],
)
def test_parse_says_what_to_type_instead(typed: object, multiple: bool, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        scoring.parse(typed, "ABCD", multiple)


@given(st.text(max_size=30))
def test_parse_gives_letters_or_a_value_error(typed: str) -> None:
    try:
        assert set(scoring.parse(typed, "ABCD")) <= set("ABCD")
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("source", "literal"),
    [
        ('answer = "AC"  # @param {type:"string"}\nquiz.answer("q", answer)', "AC"),
        ("answer = ''", ""),
        ('# mine\nanswer = "A"\nanswer = "B"\n', "B"),
        ('answer: str = "A"', "A"),
        ('answer = other = "A"', "A"),
    ],
)
def test_literal_reads_the_source(source: str, literal: str) -> None:
    assert scoring.literal(source) == literal


@pytest.mark.parametrize(
    "source",
    [
        "",
        "answers = 'A'",
        "answer = A",
        "answer = 3",
        "answer = f'{open(1)}'",
        "answer = 'A'.lower()",
        "answer = 'A'\nanswer += 'B'",
        "answer: str",
        "answer = 'A",
        "%%bash\nanswer = 'A'",
        "answer = 'A'\0",
        "answer = " + "(" * 9_000,
        "answer = 'A'" + " " * 100_000,
    ],
)
def test_literal_refuses_the_rest_without_running_it(source: str) -> None:
    with pytest.raises(ValueError, match="answer"):
        scoring.literal(source)
