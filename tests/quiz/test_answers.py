"""Answers to number, ordering and hotspot questions: parsing and scoring."""

import itertools
import re
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from course_lib.quiz import number_text
from course_lib.quiz.answers import AnswerFormat, Key, order_share

NUMBER = AnswerFormat("number", unit="MB")
ORDER = AnswerFormat("order", "ABCD")
POINT = AnswerFormat("point", size=(640, 480))

# Numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, 196608) for text in ("196,608", "196608", "196 608", "196_608", "196'608")],
        *[(text, 1500) for text in ("1.5e3", "1.5 x 10^3", "1.5×10^3", "1.5*10**3", "1\u202f500")],
        *[(text, 12) for text in ("12 MB", "12MB", " 12 mb. ", "= 12", "~12", "12.0", "１２")],
        *[(text, Fraction(3, 4)) for text in ("3/4", "0.75", ".75", "75e-2")],
        *[(text, -3) for text in ("-3", "\u22123", "- 3")],
        *[(text, None) for text in ("", "  ", "=")],
        ("1,500.25", Fraction(150025, 100)),
        ("5.", 5),
    ],
)
def test_numbers_are_read_in_many_notations(text, value) -> None:
    assert number_text.parse_number(text, "MB") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,5", "write 0.5 if the comma is a decimal point"),
        ("0,500", "write a decimal point, 0.500"),
        ("1,50", "write 1.50 if the comma is a decimal point"),
        ("1.500.000", "more than one decimal point"),
        ("1.500,5", "more than one decimal point"),
        ("10²", "raised digit"),
        ("1½", "fraction sign"),
        ("1/0", "not a fraction"),
        ("1e999", "exponent 999"),
        ("12 GB", "counted in MB"),
        ("5k", "counted in MB"),
        ("many", "not a number"),
        ("12 34", "groups of three"),
        ("12,345,67", "groups of three"),
        ("9" * 61, "61 characters"),
        (12, "not text"),
        (None, 'answer = "1,500"'),
    ],
)
def test_ambiguous_and_invalid_numbers_are_refused_with_what_to_type(text, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        NUMBER.parse(text)
    if isinstance(text, str):
        assert not NUMBER.is_readable(text)  # it needs manual grading


def test_unit_is_refused_if_the_question_has_none() -> None:
    with pytest.raises(ValueError, match="write the number alone"):
        AnswerFormat("number").parse("12 MB")
    assert AnswerFormat("number", unit="%").parse("12 %") == "12"
    assert AnswerFormat("number", unit="pixels").parse("1 pixel") == "1"


@example(Fraction(-14_999_999_999_999, 15_000))  # the nearest short decimal is an integer
@given(st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6))
def test_recorded_number_round_trips(value: Fraction) -> None:
    text = number_text.to_text(value)
    read = number_text.parse_number(text)
    assert read is not None and number_text.to_text(read) == text
    assert abs(read - value) <= abs(value) * Fraction(1, 10**11)


@given(st.text(max_size=40))
def test_any_text_is_parsed_idempotently_or_refused(text: str) -> None:
    for format in (NUMBER, ORDER, POINT):
        try:
            recorded = format.parse(text)
        except ValueError as error:
            assert str(error)
        else:
            assert format.parse(recorded) == recorded


@pytest.mark.parametrize(
    ("tolerance", "right", "earned", "not_earned"),
    [
        ("1 %", "400", ("396", "404", "400.0"), ("395", "405")),
        ("0.5", "400", ("399.5", "400.5"), ("399.4",)),
        ("", "400", ("400",), ("400.1",)),
        ("", "0.4", ("0.402", "0.398", "2/5"), ("0.403",)),
        ("0", "1/3", ("1/3", "0.333333333333"), ("0.33",)),
        ("1 %", "-400", ("-396",), ("400",)),
    ],
)
def test_number_earns_full_points_only_within_the_tolerance(
    tolerance, right, earned, not_earned
) -> None:
    key = Key(AnswerFormat("number"), right, "", 2, tolerance)
    assert [key.grade(text) for text in earned] == [2] * len(earned)
    assert [key.grade(text) for text in (*not_earned, "", "x", None)] == [0] * (len(not_earned) + 3)


def test_misconception_is_recognised_by_its_value() -> None:
    key = Key.make("400", "0.04; 100", 2, "number in MB", "1 %")
    assert [key.match(NUMBER.parse(text)) for text in ("404", "0.0404", "99.5 MB", "7")] == [
        *(0, 1, 2),
        None,
    ]
    assert key.grade("100") == 0


# Orders


@pytest.mark.parametrize("text", ["CABD", "c, a, b, d", "C > A > B > D", "C→A→B→D", "c-a-b-d"])
def test_orders_are_read(text: str) -> None:
    assert ORDER.parse(text) == "CABD"


@pytest.mark.parametrize(
    ("text", "message", "readable"),
    [
        ("CAB", "D is missing: write all 4 letters", True),
        ("CABDA", "A occurs more than once", True),
        ("CABX", "'X' is not one of the letters", False),
        ("1234", "'1' is not one of the letters", False),
        (None, "not text", False),
    ],
)
def test_incomplete_orders_are_refused(text, message: str, readable: bool) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ORDER.parse(text)
    if text is not None:
        assert ORDER.is_readable(text) == readable


@pytest.mark.parametrize("count", range(3, 8))
def test_order_score_is_kendalls_tau_clamped_at_0(count: int) -> None:
    right = "ABCDEFG"[:count]
    orders = ["".join(order) for order in itertools.permutations(right)]
    taus = [
        sum(
            1 if order.index(a) < order.index(b) else -1
            for a, b in itertools.combinations(right, 2)
        )
        / (count * (count - 1) / 2)
        for order in orders
    ]
    assert sum(taus) == pytest.approx(0)  # a random order has half of its pairs correct
    assert [order_share(order, right) for order in orders] == pytest.approx(
        [max(0, tau) for tau in taus]
    )
    key = Key(AnswerFormat("order", right), right, "", 3)
    assert key.grade(right) == 3 and key.grade(right[::-1]) == 0


# Points


@pytest.mark.parametrize(
    ("text", "recorded"),
    [
        ("120, 45", "120, 45"),
        ("(120; 45)", "120, 45"),
        ("x = 120, y = 45", "120, 45"),
        ("120 45", "120, 45"),
        ("0,0", "0, 0"),
        ("639, 479", "639, 479"),
        ("", ""),
    ],
)
def test_points_are_read(text: str, recorded: str) -> None:
    assert POINT.parse(text) == recorded


@pytest.mark.parametrize("text", ["120", "a, b", "640, 1", "1, 480", "-1, 5", "1, 2, 3", "1,5, 3"])
def test_invalid_point_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a point in the figure|outside the figure"):
        POINT.parse(text)
    assert not POINT.is_readable(text)


def test_point_in_any_correct_box_earns_full_points() -> None:
    key = Key.make("0, 0, 10, 10; 20, 20, 30, 30", "40, 40, 50, 50", 1, "point in 60x60")
    assert [key.grade(text) for text in ("5, 5", "20, 30", "45, 45", "15, 15", "")] == [
        1,
        1,
        0,
        0,
        0,
    ]
    assert [key.match(text) for text in ("5, 5", "25, 25", "45, 45", "15, 15")] == [0, 1, 2, None]


@pytest.mark.parametrize(
    "text",
    ["any of ABCD", "one of ABC", "order of ABCDE", "number", "number in MB", "point in 640x480"],
)
def test_answer_format_round_trips(text: str) -> None:
    assert AnswerFormat.from_text(text).to_text() == text
    assert AnswerFormat.from_text(text).parse("") == ""
