"""Quick checks of the annotations of course_lib while the tests run.

With pytest's option ``--jaxtyping-packages`` every function is decorated with jaxtyping's
``jaxtyped``. For good messages that binds the arguments of each call and checks them twice, also
where there are no arrays whose shapes could be compared. Here beartype checks each argument and
result once, as strictly, and jaxtyping's own decorator writes the message about wrong arguments.
"""

import functools
import types
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype


class _WrongArgument(TypeError):
    """An argument of a function with arrays that is not as annotated."""


_jaxtyped = jaxtyping.jaxtyped
_context = _jaxtyped("context")
# As in pyproject.toml; what is wrong is a TypeError, as from jaxtyping.
_check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))
_check_arrays = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True, violation_param_type=_WrongArgument, violation_type=TypeError
    )
)


def install() -> None:
    """Check what is imported from now on in this way; without the option it changes nothing."""
    jaxtyping.jaxtyped = jaxtyped


def jaxtyped(decorated: Any = None, *, typechecker: Callable | None = None) -> Any:
    """In place of jaxtyping's decorator, for functions and dataclasses."""
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
            # The sizes of the axes that the annotations name are those of this call.
            with _context:
                return checked(*args, **kwargs)
        except _WrongArgument:
            return _jaxtyped(decorated, typechecker=typechecker)(*args, **kwargs)

    return in_own_context


def _is_array(hint: Any) -> bool:
    """Whether an annotation is a jaxtyping one, or has one inside."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    inner = hint if isinstance(hint, list) else typing.get_args(hint)
    return any(map(_is_array, inner))
