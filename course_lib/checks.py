"""Call a learner's function safely: in a visible check (:func:`call`), where an error becomes one
sentence instead of a traceback, and in later cells (:func:`prefer`, :func:`yours_or`), which fall
back to the library's function.

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
        AssertionError: if the function raises an error, returns None where a type is required, or
            returns another type; the message is one sentence.
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

    So a mistake in an exercise does not break later cells of the lesson. Prints which of the two
    is used.

    Args:
        yours: what the learner wrote.
        library: a function that does the same.
        example: arguments for both.
        tolerance: absolute and relative, as in ``torch.allclose``.
    """
    name = getattr(yours, "__name__", "your function")
    expected = torch.as_tensor(library(*example))
    try:
        output = torch.as_tensor(yours(*example))
        agrees = output.shape == expected.shape and torch.allclose(
            output.double(), expected.double(), atol=tolerance, rtol=tolerance
        )
        problem = "" if agrees else "gives a different result from the library's"
    except NotImplementedError:
        problem = "is not written yet"
    except Exception as error:  # any error in the learner's code
        problem = f"stopped with {type(error).__name__}"
    print(f"{name} {problem}: the library's is used." if problem else f"Using your {name}.")
    return library if problem else yours


def yours_or(function: Callable, library: Callable) -> Callable:
    """The learner's function; the library's replaces it in every call that raises an error.

    So the following cells always have results to show. The first replacement prints a note.

    Args:
        function: an exercise's function.
        library: the library's implementation of it.

    Returns:
        A function with the same arguments.
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
