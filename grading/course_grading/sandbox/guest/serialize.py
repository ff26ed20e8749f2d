"""Serialise the results that leave the sandbox: numbers, strings, containers, arrays and tensors.

Arguments enter as pickles, which only the host makes. Results come from a process that runs a
student's code, so they are JSON and rebuilt value by value: reading them runs no code.
"""

import base64
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_DEPTH = 20  # lists within lists
# Values in one output, including lists and dicts: an empty one takes thirty times the memory of its
# two characters.
MAX_VALUES = 1_000_000
# Keys of a dict with the same hash, each of which is compared with all the others: a hash-collision
# attack, easy with integers, since k (2**61 - 1) has the hash 0 for each k.
_MAX_COLLISIONS = 8
_ARRAY_KINDS = "biufcSU"  # booleans, numbers and text: what an array may hold
_ARRAY_TYPE = re.compile(rf"[<>|=]?[{_ARRAY_KINDS}][0-9]{{1,6}}")
# a line of the guest program, with the number of its case
_LINE = re.compile(rb'^\{"(?:case": ([0-9]{1,6})|(check)"|(stopped)")[:,][^\n]*\n', re.MULTILINE)


class SerializationError(ValueError):
    """Output of the sandbox does not have the form that :func:`serialize` writes."""


class UnsupportedValue:
    """Stands for an output of a type that is not serialised. It equals nothing."""

    def __init__(self, type_name: str):
        self.type_name = type_name

    def __eq__(self, value: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def serialize(value: Any, depth: int = 0) -> Any:
    """A value in a form that JSON can represent; of other types, only the type's name."""
    if depth > MAX_DEPTH:
        return ["other", "nested too deeply"]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, np.generic):
        return _serialize_array(np.asarray(value), "number")
    for plain_type in (int, float, str):
        if isinstance(value, plain_type):
            return plain_type(value)
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return [kind, *(serialize(part, depth + 1) for part in value)]
    if isinstance(value, dict):
        pairs = ([serialize(k, depth + 1), serialize(v, depth + 1)] for k, v in value.items())
        return ["dict", *pairs]
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().to_dense() if value.is_sparse else value.detach().cpu()
        if value.dtype == torch.bfloat16:
            value = value.float()
        else:
            value = value.resolve_conj().resolve_neg()
        return _serialize_array(value.numpy(), "tensor")
    if isinstance(value, np.ndarray) and value.dtype.kind in _ARRAY_KINDS:
        return _serialize_array(value, "array")
    return ["other", type(value).__name__]


def _serialize_array(array: np.ndarray, kind: str) -> list:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return [kind, array.dtype.str, list(array.shape), data]


@dataclass
class JobLines:
    """The unparsed lines of a job's output: ``header``, about the check or why no case was called,
    if there is one; and the first line of each case.
    """

    header: bytes = b""
    cases: dict[int, bytes] = field(default_factory=dict)


def find_lines(raw: bytes, numbers: Container[int]) -> JobLines:
    """Find the guest program's lines in ``raw``, of the cases with these numbers. Other lines,
    which a student's code may have written, are skipped.
    """
    lines = JobLines()
    for match in _LINE.finditer(raw):
        if match[1]:
            if (number := int(match[1])) in numbers:
                lines.cases.setdefault(number, match[0])
        else:
            lines.header = lines.header or match[0]
    return lines


def parse_line(line: bytes) -> dict:
    """Parse a line; empty if it is damaged or holds too many values."""
    if line.count(b",") + line.count(b"[") + line.count(b"{") > MAX_VALUES:
        return {}
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def deserialize(content: Any, depth: int = 0) -> Any:
    """Rebuild the value that :func:`serialize` turned into ``content``.

    Raises:
        SerializationError: if ``content`` does not have the form that :func:`serialize` writes.
    """
    if content is None or type(content) in (bool, int, float, str):
        return content
    if not isinstance(content, list) or not content or depth > MAX_DEPTH:
        raise SerializationError("an output does not have the form that serialize writes")
    kind, *parts = content
    if kind in ("list", "tuple"):
        values = [deserialize(part, depth + 1) for part in parts]
        return values if kind == "list" else tuple(values)
    if kind == "dict":
        return _deserialize_dict(parts, depth)
    if kind == "complex" and len(parts) == 2 and all(isinstance(part, float) for part in parts):
        return complex(*parts)
    if kind == "other" and len(parts) == 1 and isinstance(parts[0], str):
        return UnsupportedValue(parts[0][:60])
    if kind in ("array", "number", "tensor") and len(parts) == 3:
        return _deserialize_array(kind, *parts)
    raise SerializationError(f"{kind!r:.40} is not a kind of value")


def _deserialize_dict(pairs: list, depth: int) -> dict:
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise SerializationError("an item of a dict is not a pair of key and value")
    keys = [deserialize(key, depth + 1) for key, _ in pairs]
    try:
        if max(Counter(map(hash, keys)).values(), default=0) > _MAX_COLLISIONS:
            raise SerializationError("too many keys of a dict have the same hash")
        return dict(zip(keys, (deserialize(value, depth + 1) for _, value in pairs), strict=True))
    except TypeError as error:
        raise SerializationError("a key of a dict can't be hashed") from error


def _deserialize_array(kind: str, type_string: Any, shape: Any, data: Any) -> Any:
    try:
        is_known = isinstance(type_string, str) and _ARRAY_TYPE.fullmatch(type_string)
        dtype = np.dtype(type_string) if is_known else None
        raw = base64.b64decode(data, validate=True)
    except (TypeError, ValueError, SyntaxError) as error:
        raise SerializationError("an array can't be read") from error
    valid_shape = (
        isinstance(shape, list)
        and len(shape) <= 32
        and all(type(n) is int and n >= 0 for n in shape)
    )
    if dtype is None or dtype.kind not in _ARRAY_KINDS or dtype.shape or not dtype.itemsize:
        raise SerializationError("an array's dtype is neither numeric nor text")
    if not valid_shape or math.prod(shape) * dtype.itemsize != len(raw):
        raise SerializationError("an array's shape does not fit the size of its data")
    array = np.frombuffer(raw, dtype).reshape(shape).copy()
    if kind == "number" and not shape:
        return array[()]
    torch = sys.modules.get("torch")
    if kind == "tensor" and torch is not None and dtype.isnative:
        try:
            return torch.from_numpy(array)
        except TypeError:  # a dtype that torch does not have
            return array
    return array
