"""Calling a learner's function in a visible check: what goes wrong becomes a sentence, not a trace.

    output = call(conv2d, image, kernel, returns=torch.Tensor)
"""

import traceback
from collections.abc import Callable
from typing import Any


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
