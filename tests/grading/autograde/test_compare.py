"""Code exercises are scored by comparing outputs with the reference's, case by case."""

import math
import sys

import numpy as np
import pytest
import torch
from course_grading.autograde.compare import (
    cases_of_best_constant,
    score_cases,
    share,
    values_equal,
)

REFERENCE = "def double(x):\n    return 2 * x"


def some_cases(rng):
    for _ in range(4):
        yield float(rng.normal())


def earned(function, **changes):
    arguments = {
        "reference": REFERENCE,
        "cases": some_cases,
        "points": 2,
        "tolerance": 1e-9,
        "names": {"double": function},
    }
    return score_cases("double", **{**arguments, **changes})


def array_cases(rng):
    yield np.arange(3.0)


def test_correct_function_earns_all_points_and_missing_function_none():
    assert earned(lambda x: x + x) == 2
    assert earned(lambda x: 3 * x) == 0
    assert earned(None) == 0 and earned(lambda: 1) == 0
    assert earned(None, names={}) == 0


def test_partly_correct_function_earns_partial_credit():
    calls = []
    assert earned(lambda x: 2 * x if calls.append(x) or len(calls) <= 1 else 0) == 0.5


def test_exception_fails_only_its_case():
    calls = []

    def fails_once(x):
        calls.append(x)
        if len(calls) == 2:
            raise RuntimeError
        return 2 * x

    assert earned(fails_once) == 1.5


def test_function_that_modifies_its_arguments_does_not_affect_the_reference():
    def overwrites(x):
        x *= 0
        return x

    assert earned(overwrites, cases=array_cases) == 0


def test_function_that_modifies_its_arguments_earns_nothing():
    def doubles_in_place(x):
        x *= 2
        return x

    assert earned(doubles_in_place, cases=array_cases) == 0
    assert earned(lambda x: 2 * x, cases=array_cases) == 2


def test_former_function_name_counts():
    names = {"twice": lambda x: x + x}
    assert earned(None, names=names) == 0
    assert earned(None, names=names, formerly="twice") == 2
    assert earned(None, names=names, formerly="twice(number)") == 2


def test_agrees_may_accept_several_outputs():
    assert earned(lambda x: -2 * x, agrees=lambda out, ref, x: abs(out) == abs(ref)) == 2


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_tolerance_is_absolute_and_relative(size):
    """Near 0 the absolute tolerance decides, for large numbers the relative tolerance."""
    near, far = (0.009, 0.02) if size == 1.0 else (0.009 * size, 0.02 * size)
    base = 0.0 if size == 1.0 else size
    for kind in (float, lambda number: np.array([number, number])):
        assert values_equal(kind(base + near), kind(base), 0.01)
        assert not values_equal(kind(base + far), kind(base), 0.01)


def test_nans_are_equal_and_string_arrays_are_compared():
    missing = np.array([1.0, np.nan])
    assert values_equal(missing, missing.copy(), 0.0)
    words = np.array(["a", "b"])
    assert values_equal(words, words.copy(), 0.1) and not values_equal(words[::-1], words, 0.1)
    assert not values_equal(np.array([1.0, 2.0]), words, 0.1)
    assert not values_equal(words, np.array([1.0, 2.0]), 0.1)


def test_without_a_tolerance_numbers_must_be_equal():
    arguments = {"reference": REFERENCE, "cases": some_cases, "points": 2}
    assert score_cases("double", **arguments, names={"double": lambda x: 2 * x}) == 2
    assert score_cases("double", **arguments, names={"double": lambda x: 2 * x + 0.5}) == 0


def test_case_is_an_argument_tuple_or_a_single_argument():
    def two_arguments(rng):
        yield 1.0, 2.0

    add = "def double(x, y=5.0):\n    return x + y"
    assert earned(lambda x, y: x + y, reference=add, cases=two_arguments) == 2
    assert earned(lambda x: x + 5.0, reference=add) == 2


def test_reference_that_modifies_nested_arguments_does_not_affect_the_learner():
    def nested_cases(rng):
        yield ([1.0],)

    reference = "def double(x):\n    x[0] *= 2\n    return x"
    assert earned(lambda x: [2 * x[0]], reference=reference, cases=nested_cases) == 2


def test_failing_reference_earns_nothing_and_is_reported(capsys):
    assert earned(lambda x: 2 * x, reference="def double(x):\n    return np.double(x)") == 0
    assert capsys.readouterr().out == (
        "The reference failed (NameError(\"name 'np' is not defined\")): did you redefine a "
        "name that it needs, such as np?\n"
    )


def test_only_the_number_of_passed_cases_is_printed(capsys):
    def talks(x):
        print("out")
        print("err", file=sys.stderr)
        return 2 * x if x > 0 else 0

    assert earned(talks) == 1
    printed = capsys.readouterr()
    assert printed.out == "2 of 4 hidden cases passed.\n" and printed.err == ""


def test_cases_are_deterministic():
    first, second = [], []
    earned(first.append)
    earned(second.append)
    assert first == second and len(set(first)) == 4


@pytest.mark.parametrize(
    ("output", "expected", "equal"),
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
def test_values_equal(output, expected, equal):
    assert values_equal(output, expected, 1e-9) is equal


# ---- constants ----


@pytest.mark.parametrize(
    ("right", "count", "constant", "expected"),
    [(8, 8, 4, 1.0), (6, 8, 4, 0.5), (4, 8, 4, 0.0), (2, 8, 4, 0.0), (4, 8, 0, 0.5)],
)
def test_cases_that_a_constant_passes_earn_nothing(right, count, constant, expected):
    assert share(right, count, constant) == expected


@pytest.mark.parametrize(
    ("results", "expected"),
    [([0, 0, 0, 1], 3), ([0, 1, 2, 3], 0), ([1, 1, 1], 0), ([7], 0), ([0, 0.05, 1, 2], 2)],
)
def test_cases_of_the_best_constant(results, expected):
    cases = [((number,), result) for number, result in enumerate(results)]
    assert cases_of_best_constant(cases, tolerance=0.1) == expected


def test_results_that_cannot_be_compared_are_not_counted_as_constant():
    cases = [((), np.zeros(2)), ((), np.zeros(3)), ((), None)]
    assert cases_of_best_constant(cases, tolerance=0.0, agree=lambda o, e: o.sum() == 1 / 0) == 0
