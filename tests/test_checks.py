"""Errors in a learner's function become readable messages."""

import pytest
import torch

from course_lib import by_mode
from course_lib.checks import call, prefer, without_torch


def double(x):
    return 2 * x


def index_error(x):
    return x[7]


def missing_return(x):
    x + 1


def not_implemented(x):
    raise NotImplementedError


def test_result_is_returned():
    assert call(double, 4, returns=int) == 8


@pytest.mark.parametrize(
    ("function", "argument", "message"),
    [
        (
            index_error,
            [1],
            r"index_error stopped in the line `return x\[7\]` with IndexError.*Look there",
        ),
        (missing_return, 1, "returned None"),
        (double, 1.5, "returned a float; it must return an int"),
        (double, None, "TypeError"),
    ],
)
def test_failure_is_explained(function, argument, message):
    with pytest.raises(AssertionError, match=message):
        call(function, argument, returns=int, hint="Look there.")


def test_not_implemented_error_is_passed_on():
    with pytest.raises(NotImplementedError):
        call(not_implemented, 1)


def test_torchs_own_function_is_refused_only_inside_the_block():
    def pool(x):
        return torch.nn.MaxPool2d(2)(x)

    x = torch.rand(1, 4, 4)
    with (
        without_torch("max_pool2d"),
        pytest.raises(AssertionError, match="writing torch's max_pool2d yourself. Look there"),
    ):
        call(pool, x, hint="Look there")
    assert call(pool, x).shape == (1, 2, 2)
    original = torch.conv2d
    with pytest.raises(ZeroDivisionError), without_torch("conv2d"):
        assert torch.conv2d is not original
        1 / 0  # noqa: B018
    assert torch.conv2d is original
    with pytest.raises(AttributeError, match="no_such"), without_torch("no_such"):
        pass


def test_learners_function_is_used_if_it_agrees(capsys):
    x = torch.ones(3)
    assert prefer(double, lambda x: x + x, x) is double
    assert "Using your double" in capsys.readouterr().out
    for wrong in (index_error, missing_return, not_implemented, lambda x: x, lambda x: x[:1]):
        assert prefer(wrong, torch.add, x, x) is torch.add
        assert "the library's is used" in capsys.readouterr().out


def test_learners_function_is_used_if_it_works(capsys):
    def double(x):
        return 2 * x + 0.5

    assert prefer(double, lambda x: 2 * x)(3) == 6.5
    assert capsys.readouterr().out == ""


def test_library_function_is_used_with_one_note(capsys):
    def double(x):
        raise NotImplementedError()

    function = prefer(double, lambda x: 2 * x)
    assert [function(1), function(2)] == [2, 4]
    note = "double is not written yet: the library's is used.\n"
    assert capsys.readouterr().out == note


def test_error_is_named(capsys):
    def double(x):
        return x.double

    assert prefer(double, lambda x: 2 * x)(3) == 6
    assert "double stopped with AttributeError" in capsys.readouterr().out


@pytest.mark.parametrize(("mode", "value"), [("quick", 1), ("full", 2), ("grading", 3)])
def test_by_mode(monkeypatch, mode, value):
    monkeypatch.setenv("COURSE_MODE", mode)
    assert by_mode(quick=1, full=2, grading=3) == value
