"""The visible check of an exercise, repeated outside the sandbox.

In the sandbox the check runs in the student's process, so its verdict can be forged. Here it runs
again: each call returns the deserialised result that the student's function gave in the sandbox.
The calls are recorded while the check runs against the reference. They are shuffled with the hidden
cases, so the function can't tell them apart by their position.
"""

import copy
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from course_grading.autograde.answer_keys import ExerciseKey, check_names
from course_grading.sandbox.guest.serialize import deserialize, serialize
from course_grading.sandbox.host import pickle_arguments

CHECK_FILE = "<the visible check>"
_MAX_CALLS = 100


class CallFailedError(Exception):
    """A call to the student's function returned no result."""


@dataclass(frozen=True)
class RecordedCheck:
    """A visible check that can be repeated: its code, the function under test, the namespace that
    it needs, and the pickled arguments of its calls.
    """

    source: str
    function: str
    namespace: dict[str, Any]
    calls: tuple[bytes, ...]

    def find_failure(self, results: Sequence[Any]) -> Exception | None:
        """The exception that the check raises when its calls return these results; None if it
        passes.

        If a result is an exception, its call raises it.
        """
        remaining = iter(results)

        def replay(*arguments, **keywords):
            result = next(remaining, CallFailedError())
            if isinstance(result, Exception):
                raise result
            return copy.deepcopy(result)

        return _run_check(self.source, {**self.namespace, self.function: replay})


@functools.lru_cache(maxsize=256)
def record_check(exercise: ExerciseKey) -> RecordedCheck | None:
    """Run the visible check against the reference solution and record the calls it makes.

    Returns:
        None if it can't be repeated: it makes no calls or too many, its arguments can't be pickled,
        or it depends on more than the function's results.
    """
    try:
        namespace = check_names(exercise)
    except Exception:  # the lesson's code needs the sandbox (its files, its limits)
        return None
    calls: list[bytes] = []
    results: list[Any] = []
    reference: Callable[..., Any] = namespace[exercise.function]

    def recorder(*arguments, **keywords):
        calls.append(pickle_arguments(arguments, keywords))
        result = reference(*arguments, **keywords)
        results.append(deserialize(json.loads(json.dumps(serialize(result)))))
        return result

    source = exercise.visible_check
    if (
        _run_check(source, {**namespace, exercise.function: recorder})
        or not 0 < len(calls) <= _MAX_CALLS
    ):
        return None
    check = RecordedCheck(source, exercise.function, namespace, tuple(calls))
    return None if check.find_failure(results) else check


def _run_check(source: str, namespace: dict[str, Any]) -> Exception | None:
    """The exception that the check raises, or None."""
    try:
        exec(compile(source, CHECK_FILE, "exec"), namespace)
    except Exception as error:
        return error
    return None
