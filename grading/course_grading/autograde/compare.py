"""Score a code exercise: compare the outputs of the learner's function and of the reference."""

import contextlib
import copy
import math
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

_NUMERIC_KINDS = "biufc"  # NumPy's dtype kinds of booleans and numbers
SolvedCase = tuple[tuple, Any]  # a case's arguments, and the result of the reference


def score_cases(
    function: str,
    *,
    reference: str,
    cases: Callable[[np.random.Generator], Iterator[tuple]],
    points: float,
    names: Mapping[str, Any],
    tolerance: float = 0.0,
    agrees: Callable[..., bool] | None = None,
    formerly: str = "",
) -> float:
    """Score a learner's function by the fraction of cases in which its output agrees.

    Only nbgrader's own ``autograde``, with nbgrader's configuration, runs this. ``course grade``
    only reads its arguments from the notebook.

    Args:
        function: the name of the function, looked up in ``names``.
        reference: the source of the reference solution, which defines the function of the same
            name.
        cases: yields one tuple of arguments per case (a single argument need not be a tuple).
        points: the maximum score.
        names: the notebook's globals: the learner's functions, and what the lesson imported.
        tolerance: absolute and relative tolerance of numbers.
        agrees: ``agrees(output, reference, *arguments)`` compares instead of ``tolerance``, where
            many answers are right.
        formerly: the function's signature in an earlier release, ``name`` or ``name(a, b)``.

    Returns:
        The score, from 0 to ``points``, see :func:`share`. A case fails if the function is missing,
        raises, or changes an array among its arguments.
    """
    namespace = dict(names)
    exec(compile(reference, f"<reference of {function}>", "exec"), namespace)
    reference_function = namespace[function]
    learner_function: Any = names.get(function) or names.get(formerly.partition("(")[0])
    rng = np.random.default_rng(zlib.crc32(function.encode()))
    agreed = 0
    solved: list[SolvedCase] = []
    for arguments in cases(rng):
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        try:
            expected = reference_function(*copy.deepcopy(arguments))
        except Exception as error:
            print(
                f"The reference failed ({error!r}): did you redefine a name that it needs, "
                "such as np?"
            )
            return 0.0
        after = copy.deepcopy(arguments)
        solved.append((arguments, expected))
        try:
            # nbgrader scores a cell with output on stderr as 0
            with (
                open(os.devnull, "w") as sink,
                contextlib.redirect_stdout(sink),
                contextlib.redirect_stderr(sink),
            ):
                output = learner_function(*after)
            agreed += output_agrees(
                output, expected, arguments, after, tolerance=tolerance, agree=agrees
            )
        # any error fails this case only
        except (Exception, SystemExit):
            continue
    print(f"{agreed} of {len(solved)} hidden cases passed.")
    constant = cases_of_best_constant(solved, tolerance=tolerance, agree=agrees)
    return points * share(agreed, len(solved), constant)


def share(right: int, count: int, constant: int) -> float:
    """The fraction of an exercise's points for ``right`` of ``count`` cases.

    It is corrected for guessing, as in questions: always returning the same result, which is right
    in ``constant`` cases, earns nothing.
    """
    return max(0.0, (right - constant) / (count - constant))


def cases_of_best_constant(
    cases: Sequence[SolvedCase], *, tolerance: float, agree: Callable | None = None
) -> int:
    """The most cases in which one constant result is right; 0 if that is only one case, because
    guessing it gains little, or all cases, because then the constant is the answer.
    """
    most = 0
    for _, constant in cases:
        right = 0
        for arguments, expected in cases:
            with contextlib.suppress(Exception):  # results that can't be compared do not agree
                right += _result_agrees(constant, expected, arguments, tolerance, agree)
        most = max(most, right)
    return most if 1 < most < len(cases) else 0


def output_agrees(
    output: Any,
    expected: Any,
    arguments: tuple,
    after: Sequence,
    *,
    tolerance: float,
    agree: Callable | None = None,
) -> bool:
    """Whether an output is right, and no array among the arguments was modified.

    Args:
        output: what the learner's function returned.
        expected: what the reference returned.
        arguments: the arguments before the call.
        after: the arguments after the call.
        tolerance: see :func:`score_cases`.
        agree: see ``agrees`` of :func:`score_cases`.
    """
    return (
        _result_agrees(output, expected, arguments, tolerance, agree)
        and len(after) == len(arguments)
        and all(map(_unchanged, after, arguments))
    )


def _result_agrees(
    output: Any, expected: Any, arguments: tuple, tolerance: float, agree: Callable | None
) -> bool:
    if agree:
        return bool(agree(output, expected, *arguments))
    return values_equal(output, expected, tolerance)


def values_equal(output: Any, expected: Any, tolerance: float) -> bool:
    """Whether two results are equal: numbers within ``tolerance``, arrays also in their shape,
    containers item by item.
    """
    output, expected = _to_plain(output), _to_plain(expected)
    if isinstance(expected, (list, tuple)):
        if not isinstance(output, (list, tuple)) or len(output) != len(expected):
            return False
        return all(values_equal(o, e, tolerance) for o, e in zip(output, expected, strict=True))
    if isinstance(expected, dict):
        if not isinstance(output, dict) or output.keys() != expected.keys():
            return False
        return all(values_equal(output[key], expected[key], tolerance) for key in expected)
    if isinstance(expected, np.ndarray):
        if not isinstance(output, np.ndarray) or output.shape != expected.shape:
            return False
        if expected.dtype.kind not in _NUMERIC_KINDS or output.dtype.kind not in _NUMERIC_KINDS:
            return bool(np.array_equal(output, expected))
        return bool(np.allclose(output, expected, rtol=tolerance, atol=tolerance, equal_nan=True))
    if isinstance(expected, bool) or expected is None or isinstance(expected, str):
        return type(output) is type(expected) and output == expected
    if not isinstance(output, (int, float)) or isinstance(output, bool):
        return False
    return bool(math.isclose(output, expected, rel_tol=tolerance, abs_tol=tolerance))


def _unchanged(after: Any, before: Any) -> bool:
    before = _to_plain(before)
    return not isinstance(before, np.ndarray) or values_equal(after, before, 0.0)


def _to_plain(value: Any) -> Any:
    """Convert tensors to arrays, and NumPy scalars and 0-d arrays to Python numbers."""
    torch = sys.modules.get("torch")  # without torch imported there can be no tensor
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    return value
