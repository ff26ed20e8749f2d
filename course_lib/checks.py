"""Call a learner's function safely: in a visible check (:func:`call`), where an error becomes one
sentence instead of a traceback, and in later cells (:func:`prefer`), where the library's function
replaces one that doesn't work.

output = call(conv2d, image, kernel, returns=torch.Tensor)
"""

import contextlib
import traceback
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NoReturn

import torch
from torch.nn import functional


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
        names = " or ".join(_with_article(kind) for kind in wanted)
        message = f"{name} returned {_with_article(type(result))}; it must return {names}. {hint}"
        raise AssertionError(message.strip())
    return result


def _with_article(kind: type) -> str:
    name = kind.__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


@contextlib.contextmanager
def without_torch(*names: str) -> Iterator[None]:
    """Inside the block, these functions of torch stop with a message: the learner writes them.

    with without_torch("conv2d", "unfold"):
        output = call(conv2d, image, kernel)

    Args:
        names: of functions in ``torch.nn.functional``, which torch's layers call too. A function of
            the same name in ``torch`` itself stops as well.

    Raises:
        AttributeError: if ``torch.nn.functional`` has no such function.
    """

    def refusal(name: str) -> Callable[..., NoReturn]:
        def refuse(*arguments: Any, **keywords: Any) -> NoReturn:
            raise RuntimeError(f"this exercise is about writing torch's {name} yourself")

        return refuse

    originals = [(functional, name, getattr(functional, name)) for name in names]
    originals += [(torch, name, getattr(torch, name)) for name in names if hasattr(torch, name)]
    for module, name, _ in originals:
        setattr(module, name, refusal(name))
    try:
        yield
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


def prefer(
    yours: Callable[..., Any], library: Callable[..., Any], *example: Any, tolerance: float = 1e-4
) -> Callable[..., Any]:
    """The learner's function, or the library's where the learner's doesn't work.

    So a mistake in an exercise does not break later cells of the lesson. With an example, the two
    functions are compared on it at once. Without one, the library's replaces the learner's in every
    call that raises an error, and the first time a note is printed.

    Args:
        yours: what the learner wrote.
        library: a function that does the same.
        example: arguments for both.
        tolerance: of the comparison: absolute and relative, as in ``torch.allclose``.

    Returns:
        A function with the same arguments.
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
        problem = "" if agrees else "gives a different result from the library's"
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
