"""What crosses the border of the sandbox, as data: literals, tuples, lists, dicts, arrays and
tensors.

Arguments go in as pickles, which only the trusted side makes. What comes out is made by a process
that runs a student's code, so it is JSON, rebuilt here value by value: nothing that is read can
run.
"""

import base64
import json
import math
import sys
from typing import Any

import numpy as np

DEEPEST = 20  # lists within lists; deeper ones are not looked at
# lists and dicts in one output: empty ones take thirty times the memory that they take to write
MOST = 1_000_000
_KINDS = "biufcSU"  # booleans, numbers and text: what an array may hold


class NotData(ValueError):
    """What came out of the sandbox is not what :func:`describe` writes."""


def describe(value: Any, depth: int = 0) -> Any:
    """A value as JSON can hold it. What is no data is described by the name of its type."""
    if depth > DEEPEST:
        return ["other", "nested too deeply"]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, np.generic):
        return _described(np.asarray(value), "number")
    for plain in (int, float, str):
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if isinstance(value, (list, tuple)):
        return [
            "tuple" if isinstance(value, tuple) else "list",
            *(describe(part, depth + 1) for part in value),
        ]
    if isinstance(value, dict):
        return [
            "dict",
            *([describe(k, depth + 1), describe(v, depth + 1)] for k, v in value.items()),
        ]
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().to_dense() if value.is_sparse else value.detach().cpu()
        value = (
            value.float() if value.dtype == torch.bfloat16 else value.resolve_conj().resolve_neg()
        )
        return _described(value.numpy(), "tensor")
    if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
        return _described(value, "array")
    return ["other", type(value).__name__]


def _described(array: np.ndarray, what: str) -> list:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return [what, array.dtype.str, list(array.shape), data]


def lines(raw: bytes) -> list[dict]:
    """The lines that a process in the sandbox wrote; one that is no JSON object, or far too large,
    ends them.
    """
    found = []
    for row in raw.split(b"\n"):
        if row.count(b"[") + row.count(b"{") > MOST:
            break
        try:
            line = json.loads(row)
        except (ValueError, RecursionError):
            break
        if not isinstance(line, dict):
            break
        found.append(line)
    return found


class Other:
    """Stands for an output that is no data. It equals nothing."""

    def __init__(self, type_name: str):
        self.type_name = type_name

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def rebuild(told: Any, depth: int = 0) -> Any:
    """The value that :func:`describe` described, of plain types only.

    Raises:
        NotData: if this is no such description: somebody else wrote it.
    """
    if told is None or type(told) in (bool, int, float, str):
        return told
    if not isinstance(told, list) or not told or depth > DEEPEST:
        raise NotData("an output is not as describe writes it")
    what, *parts = told
    if what in ("list", "tuple"):
        rebuilt = [rebuild(part, depth + 1) for part in parts]
        return rebuilt if what == "list" else tuple(rebuilt)
    if what == "dict":
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in parts):
            raise NotData("a dict is pairs of keys and values")
        keys = [rebuild(key, depth + 1) for key, _ in parts]
        try:
            return dict(zip(keys, (rebuild(value, depth + 1) for _, value in parts), strict=True))
        except TypeError as error:
            raise NotData("a key of a dict can't be one") from error
    if what == "complex" and len(parts) == 2 and all(isinstance(part, float) for part in parts):
        return complex(*parts)
    if what == "other" and len(parts) == 1 and isinstance(parts[0], str):
        return Other(parts[0][:60])
    if what in ("array", "number", "tensor") and len(parts) == 3:
        return _array(what, *parts)
    raise NotData(f"{what!r:.40} is no kind of value")


def _array(what: str, kind: Any, shape: Any, data: Any) -> Any:
    try:
        dtype = np.dtype(kind) if isinstance(kind, str) else None
        raw = base64.b64decode(data, validate=True)
    except (TypeError, ValueError, SyntaxError) as error:
        raise NotData("an array can't be read") from error
    sizes = (
        isinstance(shape, list)
        and len(shape) <= 32
        and all(type(n) is int and n >= 0 for n in shape)
    )
    if dtype is None or dtype.kind not in _KINDS or dtype.shape or not dtype.itemsize or not sizes:
        raise NotData("an array is not described as one")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise NotData("an array's shape and its data disagree")
    array = np.frombuffer(raw, dtype).reshape(shape).copy()
    if what == "number" and not shape:
        return array[()]
    torch = sys.modules.get("torch")
    if what == "tensor" and torch is not None and dtype.isnative:
        try:
            return torch.from_numpy(array)
        except TypeError:  # text, or numbers of a size that torch does not have
            return array
    return array
