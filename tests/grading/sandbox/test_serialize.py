"""What crosses the border of the sandbox comes out as it was, as data; anything else is refused."""

import json
import math

import numpy as np
import pytest
import torch
from course_grading.autograde.compare import equal
from course_grading.sandbox.guest import serialize
from course_grading.sandbox.guest.serialize import NotData, Other, describe, lines, rebuild


def across(value):
    return rebuild(json.loads(json.dumps(describe(value))))


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, 2.5, math.inf, "é", 1j, [], (), {}, [1, (2, [None])], {"a": (1,), 2: [3]}),
        *(
            np.arange(6.0).reshape(2, 3),
            np.zeros((0, 3), dtype=np.int8),
            np.array(["a", "bc"]),
            np.float32(0.5),
        ),
        *(
            torch.arange(4),
            torch.ones(2, 3, requires_grad=True),
            torch.tensor(2.0),
            torch.tensor([True]),
        ),
    ],
)
def test_data_comes_out_as_it_was(value):
    got = across(value)
    assert type(got) is type(value)
    assert equal(got, value, 0.0) or got == value


def test_half_precision_and_views_come_out_as_numbers():
    assert across(torch.ones(2, dtype=torch.bfloat16)).tolist() == [1, 1]
    assert across(torch.arange(6).view(2, 3).T).tolist() == [[0, 3], [1, 4], [2, 5]]


class Anything(float):
    def __eq__(self, other):
        return True

    __hash__ = None


def test_a_subclass_comes_out_as_the_plain_type():
    got = across([Anything(1.0)])
    assert type(got[0]) is float and got != [2.0]


def test_what_is_no_data_equals_nothing():
    got = across(object())
    assert isinstance(got, Other) and got != got and not equal(got, got, 0.0)
    deep = []
    deep.append(deep)
    assert "other" in json.dumps(describe(deep))


@pytest.mark.parametrize(
    "told",
    [
        *(
            [],
            ["list", []],
            ["never"],
            ["array"],
            ["dict", 1],
            ["dict", [["list"], 1]],
            {"a": 1},
            ["complex", "1", 2],
        ),
        ["array", "<f8", [10**12], ""],
        ["array", "|O", [1], "AAAAAAAAAAA="],
        ["array", "<f8", [-1], "AAAAAAAAAAA="],
        ["array", "<f8", [True], "AAAAAAAAAAA="],
        ["array", "nonsense", [1], "AAAAAAAAAAA="],
        ["array", "<f8", [1], "not base64"],
        ["array", "<f8", [1], None],
        ["array", "(2,)<f8", [1], "AAAAAAAAAAAAAAAAAAAAAA=="],
        ["array", "<U0", [5], ""],
    ],
)
def test_what_nobody_described_is_refused(told):
    with pytest.raises(NotData):
        rebuild(told)


def test_lines_end_at_the_first_that_is_none():
    assert lines(b'{"case": 0}\n{"case": 1}\n') == [{"case": 0}, {"case": 1}]
    assert lines(b'{"case": 0}\n{"ca') == [{"case": 0}]
    assert lines(b"[" * 100_000) == lines(b"1\n") == lines(b"\xff\n") == lines(b"") == []


def test_a_line_of_too_many_parts_is_not_read(monkeypatch):
    monkeypatch.setattr(serialize, "MOST", 10)
    assert lines(b'{"case": [[],[],[]]}\n{"case": [' + b"[]," * 9 + b"[]]}\n") == [
        {"case": [[], [], []]}
    ]
