"""Calling a learner's function: in a visible check (:func:`call`), where what goes wrong becomes a
sentence and not a trace, and in later cells (:func:`prefer`), where the library's function replaces
one that doesn't work.

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
    """The learner's function, or the library's where the learner's doesn't work.

    A later cell of a lesson calls the result, so that it never fails because of an exercise. With
    an example, the two functions are compared on it now; without one, the library's takes over
    when the learner's first raises an error. A printed note says which of the two is used.

    Args:
        yours: what the learner wrote.
        library: a function that does the same.
        example: arguments for both.
        tolerance: how far numbers may differ on the example, absolutely and relatively.

    Returns:
        A function with the arguments of both.
    """
    name = getattr(yours, "__name__", "your function")
    if not example:
        return _with_fallback(yours, library, name)
    expected = torch.as_tensor(library(*example))
    try:
        output = torch.as_tensor(yours(*example))
        agrees = output.shape == expected.shape and torch.allclose(
            output.double(), expected.double(), atol=tolerance, rtol=tolerance
        )
        problem = "" if agrees else "gives another result than the library's"
    except Exception as error:  # any error in the learner's code
        problem = _describe(error)
    print(f"{name} {problem}: the library's is used." if problem else f"Using your {name}.")
    return library if problem else yours


yours_or = prefer  # the name in notebooks that were released before both became one function


def _describe(error: Exception) -> str:
    if isinstance(error, NotImplementedError):
        return "is not written yet"
    return f"stopped with {type(error).__name__}: {error}"


def _with_fallback(yours: Callable, library: Callable, name: str) -> Callable:
    noted = False

    @wraps(yours)
    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal noted
        try:
            return yours(*arguments, **options)
        except Exception as error:  # any error in the learner's code
            if not noted:
                print(f"{name} {_describe(error)}: the library's is used.")
            noted = True
            return library(*arguments, **options)

    return call
