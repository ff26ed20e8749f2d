"""While the tests run, wrong types and shapes in calls of course_lib are errors."""

from dataclasses import dataclass

import pytest
import torch
from beartype import beartype
from jaxtyping import Float
from torch import Tensor

from tests.support.annotations import jaxtyped

Rows = Float[Tensor, "rows columns"]
check = jaxtyped(typechecker=beartype)


@check
def repeat(text: str, times: int = 2) -> str:
    return text * times if times >= 0 else None


@check
def stack(first: Rows, second: Float[Tensor, "more columns"] | None = None) -> Rows:
    return first if second is None else torch.cat([first, second])


@check
def forwarded(value: "NotImportedHere", count: int) -> "NotImportedHere":
    return value


@check
@dataclass
class Pair:
    number: int
    table: Rows


def test_functions_without_arrays_are_checked():
    assert repeat("ab") == "abab"
    for wrong in ((3,), ("a", "b"), ("a", -1)):  # the last one returns None
        with pytest.raises(TypeError):
            repeat(*wrong)


def test_shapes_are_compared_with_each_other():
    assert stack(torch.zeros(3, 2)).shape == (3, 2)
    with pytest.raises(TypeError, match="parameter 'second'"):
        stack(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(TypeError, match="return"):  # other rows than the argument
        stack(torch.zeros(3, 2), torch.zeros(1, 2))


def test_annotations_that_cannot_be_read_are_not_checked():
    assert forwarded(3, 4) == 3
    with pytest.raises(TypeError):
        forwarded(3, "4")


def test_fields_are_checked():
    assert Pair(1, torch.zeros(2, 2)).number == 1
    for wrong in (("1", torch.zeros(2, 2)), (1, torch.zeros(2))):
        with pytest.raises(TypeError):
            Pair(*wrong)
