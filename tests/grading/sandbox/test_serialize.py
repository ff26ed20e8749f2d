"""Serialisation of results: data survives a round trip unchanged; anything else is refused."""

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


def test_subclass_becomes_its_builtin_base_type():
    result = round_trip([EqualsEverything(1.0)])
    assert type(result[0]) is float and result != [2.0]


def test_unsupported_value_equals_nothing():
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


def test_first_line_of_each_expected_case_counts_and_other_lines_are_skipped():
    raw = (
        b'{}\n[]\n{"check": null}\n{"case": 0, "output": 1}\n{"case": 0, "output": 2}\n'
        b'\xff\n{"case": 7, "output": 3}\n{"case": 1, "error": "X"}\n{"case": 2, "outp'
    )
    lines = find_lines(raw, {0, 1, 2})
    assert lines.header == b'{"check": null}\n'
    assert lines.cases == {0: b'{"case": 0, "output": 1}\n', 1: b'{"case": 1, "error": "X"}\n'}
    assert find_lines(b'{"stopped": true, "error": "X"}\n', {0}).header


@pytest.mark.parametrize("line", [b"[" * 100_000, b"1\n", b"\xff\n", b"", b'{"case": 0', b"[]"])
def test_damaged_line_is_empty(line):
    assert parse_line(line) == {}


def test_line_with_too_many_values_is_not_parsed(monkeypatch):
    monkeypatch.setattr(serialize_module, "MAX_VALUES", 10)
    assert parse_line(b'{"case": [[],[],[]]}') == {"case": [[], [], []]}
    assert parse_line(b'{"case": [' + b"[]," * 9 + b"[]]}") == {}
    assert parse_line(b'{"case": [' + b"1," * 9 + b"1]}") == {}


def test_many_lines_take_little_memory():
    raw = b"{}\n" * 1_000_000 + b'{"case": 0, "output": 1}\n'
    tracemalloc.start()
    lines = find_lines(raw, {0})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(lines.cases) == [0] and peak < 100_000


def test_colliding_hash_keys_are_refused():
    """Keys with equal hashes, whose insertion takes quadratic time, are refused."""
    content = ["dict", *([k * (2**61 - 1), 0] for k in range(1, 50_001))]
    with pytest.raises(SerializationError, match="same hash"):
        deserialize(content)
    assert len(deserialize(["dict", *([k, 0] for k in range(50_000))])) == 50_000
    assert deserialize(["dict", [-1, 0], [-2, 0]]) == {-1: 0, -2: 0}  # they share a hash


def nested(depth: int, wrap) -> object:
    value: object = 1
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "wrap", [lambda value: [value], lambda value: {"key": value}, lambda value: (value,)]
)
def test_values_are_nested_at_most_20_deep(wrap):
    assert serialize_module.MAX_DEPTH == 20
    deepest = nested(20, wrap)
    assert round_trip(deepest) == deepest
    too_deep = json.dumps(serialize(nested(21, wrap)))
    assert '["other", "nested too deeply"]' in too_deep


def test_dict_keys_count_as_a_level_of_nesting():
    """A nested key, which can only be a tuple, may have 19 levels."""
    deepest = {nested(19, lambda value: (value,)): 1}
    assert round_trip(deepest) == deepest
    assert '["other", "nested too deeply"]' in json.dumps(
        serialize({nested(20, lambda value: (value,)): 1})
    )


@pytest.mark.parametrize("kind", ["list", "tuple"])
def test_forged_nesting_is_refused_below_20_levels(kind):
    def forge(depth: int, leaf: object) -> object:
        for _ in range(depth):
            leaf = [kind, leaf]
        return leaf

    deserialize(forge(20, [kind]))
    with pytest.raises(SerializationError, match="does not have the form"):
        deserialize(forge(21, [kind]))
    for pair in (["k", [kind]], [[kind] if kind == "tuple" else ["tuple"], 1]):
        deserialize(forge(19, ["dict", pair]))
        with pytest.raises(SerializationError, match="does not have the form"):
            deserialize(forge(20, ["dict", pair]))


def test_other_values_keep_the_name_of_their_type():
    assert serialize(open) == ["other", "builtin_function_or_method"]
    assert round_trip({1, 2}).type_name == "set"


def test_sparse_tensors_become_dense():
    dense = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    assert torch.equal(round_trip(dense.to_sparse()), dense)
    assert torch.equal(round_trip(dense), dense)


ONE = "AAAAAAAA8D8="  # 1.0 in float64, base64-encoded


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["dict", 1], "an item of a dict is not a pair of key and value"),
        (["dict", ["k"]], "an item of a dict is not a pair of key and value"),
        (["dict", [["list"], 1]], "a key of a dict can't be hashed"),
        (["array", "<f8", [1], ONE + "!"], "an array can't be read"),
        (["array", "<f8", [1], 5], "an array can't be read"),
        (["array", "<M8", [1], ONE], "an array's dtype is neither numeric nor text"),
        (["array", 5, [1], ONE], "an array's dtype is neither numeric nor text"),
        (["array", "<U0", [0], ""], "an array's dtype is neither numeric nor text"),
        (["array", "<f8", [2], ONE], "an array's shape does not fit the size of its data"),
        (["array", "<f8", [1] * 33, ONE], "an array's shape does not fit the size of its data"),
        (["array", "<f8", [True], ONE], "an array's shape does not fit the size of its data"),
    ],
)
def test_error_message_gives_the_reason(content, message):
    with pytest.raises(SerializationError) as error:
        deserialize(content)
    assert str(error.value) == message


def test_array_may_have_32_axes():
    assert deserialize(["array", "<f8", [1] * 32, ONE]).shape == (1,) * 32


def test_line_with_the_maximum_number_of_values_is_parsed(monkeypatch):
    monkeypatch.setattr(serialize_module, "MAX_VALUES", 4)
    assert parse_line(b'{"case":1,"output":[1,2]}\n') == {"case": 1, "output": [1, 2]}
    assert parse_line(b'{"case":1,"output":[1,2,3]}\n') == {}
