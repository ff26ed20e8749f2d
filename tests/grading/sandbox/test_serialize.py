"""Results leave the sandbox unchanged if they are data; anything else is refused."""

import json
import math

import numpy as np
import pytest
import torch
from course_grading.autograde.compare import values_equal
from course_grading.sandbox.guest import serialize as serialize_module
from course_grading.sandbox.guest.serialize import (
    SerializationError,
    UnsupportedValue,
    deserialize,
    parse_lines,
    serialize,
)


def round_trip(value):
    return deserialize(json.loads(json.dumps(serialize(value))))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2.5,
        math.inf,
        "é",
        1j,
        [],
        (),
        {},
        [1, (2, [None])],
        {"a": (1,), 2: [3]},
        np.arange(6.0).reshape(2, 3),
        np.zeros((0, 3), dtype=np.int8),
        np.array(["a", "bc"]),
        np.float32(0.5),
        torch.arange(4),
        torch.ones(2, 3, requires_grad=True),
        torch.tensor(2.0),
        torch.tensor([True]),
    ],
)
def test_data_is_unchanged_by_a_round_trip(value):
    result = round_trip(value)
    assert type(result) is type(value)
    assert values_equal(result, value, 0.0) or result == value


def test_half_precision_and_views_become_plain_numbers():
    assert round_trip(torch.ones(2, dtype=torch.bfloat16)).tolist() == [1, 1]
    assert round_trip(torch.arange(6).view(2, 3).T).tolist() == [[0, 3], [1, 4], [2, 5]]


class EqualsEverything(float):
    def __eq__(self, value):
        return True

    __hash__ = None


def test_a_subclass_becomes_the_plain_type():
    result = round_trip([EqualsEverything(1.0)])
    assert type(result[0]) is float and result != [2.0]


def test_a_value_that_is_not_data_equals_nothing():
    result = round_trip(object())
    assert isinstance(result, UnsupportedValue)
    assert result != result and not values_equal(result, result, 0.0)
    deep = []
    deep.append(deep)
    assert "other" in json.dumps(serialize(deep))


@pytest.mark.parametrize(
    "content",
    [
        [],
        ["list", []],
        ["never"],
        ["array"],
        ["dict", 1],
        ["dict", [["list"], 1]],
        {"a": 1},
        ["complex", "1", 2],
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
def test_content_that_serialize_did_not_write_is_refused(content):
    with pytest.raises(SerializationError):
        deserialize(content)


def test_parsing_stops_at_the_first_damaged_line():
    assert parse_lines(b'{"case": 0}\n{"case": 1}\n') == [{"case": 0}, {"case": 1}]
    assert parse_lines(b'{"case": 0}\n{"ca') == [{"case": 0}]
    for damaged in (b"[" * 100_000, b"1\n", b"\xff\n", b""):
        assert parse_lines(damaged) == []


def test_a_line_with_too_many_containers_is_not_parsed(monkeypatch):
    monkeypatch.setattr(serialize_module, "MAX_CONTAINERS", 10)
    raw = b'{"case": [[],[],[]]}\n{"case": [' + b"[]," * 9 + b"[]]}\n"
    assert parse_lines(raw) == [{"case": [[], [], []]}]
