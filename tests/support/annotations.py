"""Quick checks of the annotations of course_lib while the tests run.

With pytest's option ``--jaxtyping-packages`` every function is decorated with jaxtyping's
``jaxtyped``. For its error messages it binds the arguments of each call and checks them twice, even
without array annotations. Here beartype checks each argument and result once, equally strictly, and
jaxtyping's decorator only runs again to write the message about a wrong argument.
"""

import functools
import types
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype


class _WrongArgument(TypeError):
    """An argument violates the annotation of a function with array annotations."""


_jaxtyped = jaxtyping.jaxtyped
_context = _jaxtyped("context")
# As in pyproject.toml; a violation is a TypeError, as with jaxtyping.
_check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))
_check_arrays = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True, violation_param_type=_WrongArgument, violation_type=TypeError
    )
)


def install() -> None:
    """Replace jaxtyping's decorator for later imports; without the option this has no effect."""
    jaxtyping.jaxtyped = jaxtyped


def jaxtyped(decorated: Any = None, *, typechecker: Callable | None = None) -> Any:
    """Replaces jaxtyping's decorator for functions and dataclasses."""
    if decorated is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if not isinstance(decorated, types.FunctionType):
        return _jaxtyped(decorated, typechecker=typechecker)
    try:
        hints = typing.get_type_hints(decorated)
    except Exception:  # such as a name that is imported for type checkers only; jaxtyping skips it
        return _jaxtyped(decorated, typechecker=typechecker)
    if not any(map(_is_array, hints.values())):
        return _check(decorated)
    checked = _check_arrays(decorated)

    @functools.wraps(decorated)
    def in_own_context(*args: Any, **kwargs: Any) -> Any:
        try:
            # Each call has its own sizes of named axes.
            with _context:
                return checked(*args, **kwargs)
        except _WrongArgument:
            return _jaxtyped(decorated, typechecker=typechecker)(*args, **kwargs)

    return in_own_context


def _is_array(hint: Any) -> bool:
    """Whether an annotation is or contains a jaxtyping annotation."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    inner = hint if isinstance(hint, list) else typing.get_args(hint)
    return any(map(_is_array, inner))
