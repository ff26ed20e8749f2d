"""Quick checks of the annotations of course_lib while the tests run.

With pytest's option ``--jaxtyping-packages`` every function is decorated with jaxtyping's
``jaxtyped``. That compares the shapes of arrays with each other, for which it binds the arguments
of each call and checks them twice. A function without arrays has no shapes: beartype alone checks
it as strictly, in a fraction of the time.
"""

import functools
import types
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

_jaxtyped = jaxtyping.jaxtyped
# As in pyproject.toml; a wrong type is a TypeError, as from jaxtyping.
_check_types = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))


def install() -> None:
    """Check what is imported from now on in this way; without the option it changes nothing."""
    jaxtyping.jaxtyped = jaxtyped


def jaxtyped(decorated: Any = None, *, typechecker: Callable | None = None) -> Any:
    """jaxtyping's decorator, except for functions without arrays."""
    if decorated is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if isinstance(decorated, types.FunctionType) and not _has_arrays(decorated):
        return _check_types(decorated)
    return _jaxtyped(decorated, typechecker=typechecker)


def _has_arrays(function: types.FunctionType) -> bool:
    """Whether an annotation is a jaxtyping one, or has one inside; also where it can't be read."""
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # such as the name of a class that is just being defined
        return True
    return any(map(_is_array, hints.values()))


def _is_array(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    inner = [*hint, *typing.get_args(hint)] if isinstance(hint, list) else typing.get_args(hint)
    return any(map(_is_array, inner))
