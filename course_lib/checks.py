"""Calling a learner's function: in a visible check (:func:`call`), where what goes wrong becomes a
sentence and not a trace, and in later cells (:func:`prefer`, :func:`yours_or`), which the library's
function lets go on.

output = call(conv2d, image, kernel, returns=torch.Tensor)
"""

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def call(
    function: Callable[..., Any],
    *arguments: Any,
    returns: type | tuple[type, ...] | None = None,
    hint: str = "",
    **keywords: Any,
) -> Any:
    """The result of ``function(*arguments, **keywords)``.

    Args:
        function: what the learner wrote.
        arguments: its arguments.
        returns: the type that the result must have; None for any.
        hint: a sentence about what usually goes wrong in this call.
        keywords: its keyword arguments.

    Raises:
        AssertionError: if the function stops with an error, returns nothing, or returns another
            type; the message says so in words and ends with the hint.
        NotImplementedError: if the function is not written yet.
    """
    name = getattr(function, "__name__", "your function")
    try:
        result = function(*arguments, **keywords)
    except NotImplementedError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        line = f" in the line `{place.line}`" if place.line else ""
        message = f"{name} stopped{line} with {type(error).__name__}: {error}."
        raise AssertionError(f"{message} {hint}".strip()) from None
    if result is None and returns is not None:
        raise AssertionError(f"{name} returned None. Is there a `return` on every path?")
    if returns is not None and not isinstance(result, returns):
        wanted = returns if isinstance(returns, tuple) else (returns,)
        names = " or ".join(kind.__name__ for kind in wanted)
        raise AssertionError(
            f"{name} returned a {type(result).__name__}; it must return a {names}. {hint}".strip()
        )
    return result


def prefer(
    yours: Callable[..., Any], library: Callable[..., Any], *example: Any, tolerance: float = 1e-4
) -> Callable[..., Any]:
    """The learner's function if it agrees with the library's on an example, else the library's.

    Prints which of the two it is, so that a later cell of a lesson never fails because of an
    exercise.

    Args:
        yours: what the learner wrote.
        library: a function that does the same.
        example: arguments for both.
        tolerance: how far numbers may differ.
    """
    name = getattr(yours, "__name__", "your function")
    expected = torch.as_tensor(library(*example))
    try:
        output = torch.as_tensor(yours(*example))
        agrees = output.shape == expected.shape and torch.allclose(
            output.double(), expected.double(), atol=tolerance, rtol=tolerance
        )
        problem = "" if agrees else "gives another result than the library's"
    except NotImplementedError:
        problem = "is not written yet"
    except Exception as error:  # any error in the learner's code
        problem = f"stopped with {type(error).__name__}"
    print(f"{name} {problem}: the library's is used." if problem else f"Using your {name}.")
    return library if problem else yours


def yours_or(function: Callable, library: Callable) -> Callable:
    """The learner's function, or the library's as long as the learner's raises an error.

    Whichever it is, the cells that follow have results to show. The first time the library has to
    help, it prints a note.

    Args:
        function: an exercise's function.
        library: does the same.

    Returns:
        A function with the arguments of both.
    """
    noted: list[str] = []

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except Exception as problem:  # not written yet, or not working
            if not noted:
                reason = "isn't written yet" if isinstance(problem, NotImplementedError) else None
                noted.append(reason or f"raised {problem!r}")
                print(f"Your {function.__name__} {noted[0]}: the library's is used here.")
            return library(*arguments, **options)

    return call
