"""Score a code exercise by its outputs: the learner's function and the reference, on the same
arguments.
"""

import contextlib
import copy
import math
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np


def score_cases(
    function: str,
    *,
    reference: str,
    cases: Callable[[np.random.Generator], Iterator[tuple]],
    points: float,
    names: Mapping[str, Any],
    tolerance: float = 0.0,
    agrees: Callable[..., bool] | None = None,
) -> float:
    """The points that a learner's function earns: its share of the cases in which it agrees.

    Args:
        function: the name of the function, looked up in ``names``.
        reference: the source of the exercise's solution, which defines the function of the same
            name.
        cases: yields one tuple of arguments a case (a single argument need not be a tuple).
        points: what full agreement earns.
        names: the notebook's globals: the learner's functions, and what the lesson imported.
        tolerance: how far numbers may lie apart, absolutely and relatively.
        agrees: compares instead, ``agrees(output, reference, *arguments)``, where many answers are
            right.

    Returns:
        A number from 0 to ``points``. A function that is missing, raises or changes an array that
        it was given earns nothing for that case.
    """
    namespace = dict(names)
    exec(compile(reference, f"<reference of {function}>", "exec"), namespace)
    theirs, ours = names.get(function), namespace[function]
    rng = np.random.default_rng(zlib.crc32(function.encode()))
    total = agreed = 0
    for arguments in cases(rng):
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        try:
            expected = ours(*copy.deepcopy(arguments))
        except Exception as error:
            print(
                f"The reference could not run ({error!r}): did you give a name that it needs, as np, another meaning?"
            )
            return 0.0
        given = copy.deepcopy(arguments)
        total += 1
        try:
            # What a learner's function prints is not an answer, and on stderr it would cost the
            # cell in nbgrader.
            with (
                open(os.devnull, "w") as sink,
                contextlib.redirect_stdout(sink),
                contextlib.redirect_stderr(sink),
            ):
                output = theirs(*given)
            agreed += _agrees(output, expected, arguments, given, tolerance=tolerance, agree=agrees)
        except (
            Exception,
            SystemExit,
        ):  # whatever a learner's function does wrong, that case does not agree
            continue
    print(f"{agreed} of {total} hidden cases agree.")
    return points * (agreed / total)


def agrees(
    output: Any,
    expected: Any,
    arguments: tuple,
    after: Sequence,
    *,
    tolerance: float,
    agree: Callable | None = None,
) -> bool:
    """Whether an output is right, and the arrays among the arguments are ``after`` the call as they
    were before.
    """
    same = agree(output, expected, *arguments) if agree else equal(output, expected, tolerance)
    return bool(same) and len(after) == len(arguments) and all(map(_unchanged, after, arguments))


_agrees = agrees  # score_cases has an argument of this name


def equal(output: Any, expected: Any, tolerance: float) -> bool:
    """Whether two results are the same: numbers within ``tolerance``, arrays of one shape, tuples
    item by item.
    """
    output, expected = _plain(output), _plain(expected)
    if isinstance(expected, (list, tuple)):
        same_kind = isinstance(output, (list, tuple)) and len(output) == len(expected)
        return same_kind and all(
            equal(o, e, tolerance) for o, e in zip(output, expected, strict=True)
        )
    if isinstance(expected, dict):
        same_keys = isinstance(output, dict) and output.keys() == expected.keys()
        return same_keys and all(equal(output[key], expected[key], tolerance) for key in expected)
    if isinstance(expected, np.ndarray):
        if not isinstance(output, np.ndarray) or output.shape != expected.shape:
            return False
        if expected.dtype.kind not in "biufc" or output.dtype.kind not in "biufc":
            return bool(np.array_equal(output, expected))
        return bool(np.allclose(output, expected, rtol=tolerance, atol=tolerance, equal_nan=True))
    if isinstance(expected, bool) or expected is None or isinstance(expected, str):
        return type(output) is type(expected) and output == expected
    if not isinstance(output, (int, float)) or isinstance(output, bool):
        return False
    return bool(math.isclose(output, expected, rel_tol=tolerance, abs_tol=tolerance))


def _unchanged(given: Any, original: Any) -> bool:
    original = _plain(original)
    return not isinstance(original, np.ndarray) or equal(given, original, 0.0)


def _plain(value: Any) -> Any:
    """Tensors as arrays, and arrays or NumPy numbers of no dimension as Python's own."""
    torch = sys.modules.get("torch")  # a tensor can't be there unless somebody imported torch
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    return value
