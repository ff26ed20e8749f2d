"""How a code exercise is scored: outputs compared with the reference's, case by case."""

import math

import numpy as np
import pytest
import torch
from course_grading.autograde.compare import equal, score_cases

REFERENCE = "def double(x):\n    return 2 * x"


def some_cases(rng):
    for _ in range(4):
        yield float(rng.normal())


def points(theirs, **changed):
    given = {
        "reference": REFERENCE,
        "cases": some_cases,
        "points": 2,
        "tolerance": 1e-9,
        "names": {"double": theirs},
    }
    return score_cases("double", **{**given, **changed})


def test_agreement_earns_all_and_nothing_earns_nothing():
    assert points(lambda x: x + x) == 2
    assert points(lambda x: 3 * x) == 0
    assert points(None) == 0 and points(lambda: 1) == 0
    assert points(None, names={}) == 0


def test_part_of_the_cases_earns_its_part():
    seen = []
    assert points(lambda x: 2 * x if seen.append(x) or len(seen) <= 1 else 0) == 0.5


def test_what_a_function_raises_costs_its_case_only():
    def breaks_once(x, seen=[]):  # noqa: B006
        seen.append(x)
        if len(seen) == 2:
            raise RuntimeError
        return 2 * x

    assert points(breaks_once) == 1.5


def test_a_function_that_changes_its_arguments_does_not_change_the_reference():
    def array_cases(rng):
        yield np.arange(3.0)

    def spoils(x):
        x *= 0
        return x

    assert points(spoils, cases=array_cases) == 0


def test_a_function_that_changes_its_arguments_earns_nothing():
    def array_cases(rng):
        yield np.arange(3.0)

    def doubles_in_place(x):
        x *= 2
        return x

    assert points(doubles_in_place, cases=array_cases) == 0
    assert points(lambda x: 2 * x, cases=array_cases) == 2


def test_agrees_may_accept_many_answers():
    assert points(lambda x: -2 * x, agrees=lambda out, ref, x: abs(out) == abs(ref)) == 2


def test_the_cases_are_the_same_each_time():
    first, second = [], []
    points(first.append), points(second.append)
    assert first == second and len(set(first)) == 4


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [
        (1, 1.0, True),
        (1.0 + 1e-12, 1.0, True),
        (1.1, 1.0, False),
        (True, 1, False),
        (1, True, False),
        (True, True, True),
        ("a", "a", True),
        (None, None, True),
        (0, None, False),
        (math.nan, 1.0, False),
        (np.float32(2), 2, True),
        (np.array(2), 2, True),
        (torch.tensor(2.0), 2, True),
        (torch.ones(2, 3), np.ones((2, 3)), True),
        (torch.ones(2, 3, requires_grad=True), np.ones((2, 3)), True),
        (np.ones((3, 2)), np.ones((2, 3)), False),
        (np.ones(3), np.ones((1, 3)), False),
        ([1, 2], np.array([1, 2]), False),
        ((1, 2), [1, 2], True),
        ((1, 2, 3), (1, 2), False),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"b": 1}, False),
    ],
)
def test_equal(output, expected, same):
    assert equal(output, expected, 1e-9) is same
