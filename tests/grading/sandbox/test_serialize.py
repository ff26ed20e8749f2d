"""Results leave the sandbox unchanged if they are data; anything else is refused."""

import json
import math
import tracemalloc

import numpy as np
import pytest
import torch
from course_grading.autograde.compare import values_equal
from course_grading.sandbox.guest import serialize as serialize_module
from course_grading.sandbox.guest.serialize import (
    SerializationError,
    UnsupportedValue,
    deserialize,
    find_lines,
    parse_line,
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
        ["array", "f8," * 100_000, [1], "AAAAAAAAAAA="],
    ],
)
def test_content_that_serialize_did_not_write_is_refused(content):
    with pytest.raises(SerializationError):
        deserialize(content)


def test_the_first_line_of_each_expected_case_counts_and_all_else_is_skipped():
    raw = (
        b'{}\n[]\n{"check": null}\n{"case": 0, "output": 1}\n{"case": 0, "output": 2}\n'
        b'\xff\n{"case": 7, "output": 3}\n{"case": 1, "error": "X"}\n{"case": 2, "outp'
    )
    lines = find_lines(raw, {0, 1, 2})
    assert lines.header == b'{"check": null}\n'
    assert lines.cases == {0: b'{"case": 0, "output": 1}\n', 1: b'{"case": 1, "error": "X"}\n'}
    assert find_lines(b'{"stopped": true, "error": "X"}\n', {0}).header


@pytest.mark.parametrize("line", [b"[" * 100_000, b"1\n", b"\xff\n", b"", b'{"case": 0', b"[]"])
def test_a_damaged_line_is_empty(line):
    assert parse_line(line) == {}


def test_a_line_with_too_many_values_is_not_parsed(monkeypatch):
    monkeypatch.setattr(serialize_module, "MAX_VALUES", 10)
    assert parse_line(b'{"case": [[],[],[]]}') == {"case": [[], [], []]}
    assert parse_line(b'{"case": [' + b"[]," * 9 + b"[]]}") == {}
    assert parse_line(b'{"case": [' + b"1," * 9 + b"1]}") == {}


def test_millions_of_lines_take_no_memory():
    raw = b"{}\n" * 1_000_000 + b'{"case": 0, "output": 1}\n'
    tracemalloc.start()
    lines = find_lines(raw, {0})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(lines.cases) == [0] and peak < 100_000


def test_keys_that_were_chosen_to_collide_are_refused():
    """Each would be compared with all the others: 50,000 of them take minutes."""
    content = ["dict", *([k * (2**61 - 1), 0] for k in range(1, 50_001))]
    with pytest.raises(SerializationError, match="same hash"):
        deserialize(content)
    assert len(deserialize(["dict", *([k, 0] for k in range(50_000))])) == 50_000
    assert deserialize(["dict", [-1, 0], [-2, 0]]) == {-1: 0, -2: 0}  # they share a hash
