"""Scoring of every subset of options, and parsing of any text that a learner may type."""

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


# Points


@given(
    st.text("ABCDEFGH", min_size=2, max_size=8).map(lambda text: "".join(sorted(set(text)))),
    st.data(),
)
def test_score_of_every_subset(letters: str, data: st.DataObject) -> None:
    if len(letters) < 2:
        letters = "AB"
    right = data.draw(
        st.sampled_from([part for part in subsets(letters) if 0 < len(part) < len(letters)])
    )
    wrong = "".join(sorted(set(letters) - set(right)))
    for selected in subsets(letters):
        right_fraction = len(set(selected) & set(right)) / len(right)
        wrong_fraction = len(set(selected) & set(wrong)) / len(wrong)
        score = scoring.score(selected, right, wrong, 3)
        assert score == pytest.approx(max(0.0, 3 * (right_fraction - wrong_fraction)))
        assert 0 <= score <= 3
    assert scoring.score(right, right, wrong, 3) == 3
    assert scoring.score("", right, wrong, 3) == scoring.score(letters, right, wrong, 3) == 0


def test_each_wrong_option_costs_an_equal_fraction() -> None:
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
def test_score_with_invalid_key_raises(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="option|points"):
        scoring.score(*arguments)


@pytest.mark.parametrize(
    ("answer", "points"),
    [("c b", 2), ("B", 1), ("", 0), ("BE", 0), (None, 0), (["B"], 0), ("АBC", 0), ("ABCD", 0)],
)
def test_grade_accepts_any_answer(answer: object, points: float) -> None:
    assert scoring.grade(answer, "BC", "AD", 2) == points


def test_two_letters_in_a_single_choice_get_0() -> None:
    assert scoring.grade("B", "B", "ACD", 1) == 1
    assert scoring.grade("BC", "B", "ACD", 1) == 0


# Answers


@pytest.mark.parametrize("answer", ["AC", "ca", "a, C", " A;C\n", "CAAC", "a;;,\tc"])
def test_parse_accepts_variants(answer: str) -> None:
    assert scoring.parse(answer, "ABCD") == "AC"


@given(st.text("ABCDabcd ,;", max_size=20))
def test_parse_is_sorted_unique_and_idempotent(answer: str) -> None:
    letters = scoring.parse(answer, "ABCD")
    assert list(letters) == sorted(set(letters))
    assert scoring.parse(letters, "ABCD") == letters


@pytest.mark.parametrize(
    ("answer", "multiple", "message"),
    [
        ("AE", True, "'E' is not one of the letters A, B, C, D"),
        ("A and C", True, "'n' is not one of"),
        ("АC", True, "CYRILLIC CAPITAL LETTER A"),
        ("\uff11", True, "'1' is not one of"),
        ("\x00", True, "is not one of the letters"),
        ("AC", False, "A, C are 2 letters"),
        (3, True, 'Write letters between quotes: answer = "A"'),
        (["A"], True, "not text"),
    ],
)
def test_parse_error_says_what_to_type(answer: object, multiple: bool, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        scoring.parse(answer, "ABCD", multiple)


@given(st.text(max_size=30))
def test_parse_returns_letters_or_raises_value_error(answer: str) -> None:
    try:
        assert set(scoring.parse(answer, "ABCD")) <= set("ABCD")
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
def test_extract_answer(source: str, literal: str) -> None:
    assert scoring.extract_answer(source) == literal


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
def test_extract_answer_rejects_other_sources_without_executing_them(source: str) -> None:
    with pytest.raises(ValueError, match="answer"):
        scoring.extract_answer(source)


@pytest.mark.parametrize("answer", ["ＡＣ", "Ａ，Ｃ", "A\u00a0C", "Ⓐ; c"])
def test_full_width_and_circled_letters_are_read(answer: str) -> None:
    assert scoring.parse(answer, "ABCD") == "AC"
    assert scoring.grade(answer, "AC", "BD", 3) == 3


@pytest.mark.parametrize(
    "answer", ["A/C", "A and C", "(A)(C)", "A. C.", "[A, C]", "1,3", "A、C", "A\u200bC"]
)
def test_answer_that_is_not_letters_is_unreadable(answer: str) -> None:
    assert not scoring.is_readable(answer, "ABCD")


def test_too_many_letters_are_readable() -> None:
    assert scoring.is_readable("AB", "ABCD") and scoring.is_readable("", "ABCD")


@pytest.mark.parametrize(
    "source",
    [
        'answer = "B"\nif True: answer = "A"',
        'answer = "B"\nfor answer in "A": pass',
        'answer = "B"\ndel answer',
        'answer = "B"\n(answer := "A")',
        'answer = "B"\nfrom x import y as answer',
        'answer = "B"\ndef f():\n    global answer\n    answer = "A"\nf()',
    ],
)
def test_answer_that_is_rebound_later_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="more than one place"):
        scoring.extract_answer(source)
    assert scoring.extract_answer(source + '\nanswer = "C"') == "C"


def test_name_is_normalised_as_in_python() -> None:
    assert scoring.extract_answer('ᵃnswer = "B"') == "B"


def _message(function, *arguments) -> str:
    with pytest.raises(ValueError) as error:
        function(*arguments)
    return str(error.value)


def test_messages_say_what_to_type() -> None:
    assert _message(scoring.parse, "\ue000") == (
        "'\\ue000' is a character without a name, not one of the letters A, B, C, D, E, F, G, H. "
        "Type it again."
    )
    assert _message(scoring.score, "A", "A", "", 1) == (
        "A question needs right and wrong options, each letter once: got right='A' and wrong=''."
    )
    assert _message(scoring.extract_answer, "x = 1") == (
        'the answer cell does not assign answer: it needs a line such as answer = "A"'
    )
    assert _message(scoring.extract_answer, "answer = 1") == (
        'answer is not a string literal: it needs a line such as answer = "A"'
    )


def test_limits_are_inclusive() -> None:
    assert scoring.score("A", "A", "B", 0) == 0 and scoring.score("A", "A", "B", 0.5) == 0.5
    longest = 'answer = "A"  #'.ljust(scoring._MAX_SOURCE, "x")
    assert scoring.extract_answer(longest) == "A"
    assert "10001 characters" in _message(scoring.extract_answer, longest + "x")


@pytest.mark.parametrize(
    "later",
    [
        "def answer(): pass",
        "class answer: pass",
        "import answer",
        "import re as answer",
        "def f():\n    global answer",
        "del answer",
    ],
)
def test_any_later_binding_of_answer_is_refused(later: str) -> None:
    assert _message(scoring.extract_answer, f'answer = "B"\n{later}') == (
        "the answer cell changes answer in more than one place: it needs a single line such as "
        'answer = "A"'
    )
    other = later.replace("answer", "other")
    assert scoring.extract_answer(f'answer = "B"\n{other}') == "B"


def test_letter_outside_the_question_is_unreadable() -> None:
    assert scoring.is_readable("D") and not scoring.is_readable("D", "ABC")
