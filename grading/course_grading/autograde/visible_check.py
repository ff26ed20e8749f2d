"""The visible check of an exercise, repeated outside the sandbox.

In the sandbox the check runs in the student's process, so its verdict can be forged. Here it runs
again with the results that the student's function returned for the check's calls, as plain data.
The calls are recorded while the check runs with the reference. They are shuffled with the hidden
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
    """A call of the student's function ended without a result."""


@dataclass(frozen=True)
class RecordedCheck:
    """A visible check that can be repeated: its code, the function and the names that it needs, and
    the pickled arguments of its calls.
    """

    source: str
    function: str
    names: dict[str, Any]
    calls: tuple[bytes, ...]

    def find_failure(self, results: Sequence[Any]) -> Exception | None:
        """The exception of the check if its calls return these results; None if it passes.

        A result that is an exception is raised by its call.
        """
        remaining = iter(results)

        def replay(*arguments, **keywords):
            result = next(remaining, CallFailedError())
            if isinstance(result, Exception):
                raise result
            return copy.deepcopy(result)

        return _failure(self.source, {**self.names, self.function: replay})


@functools.lru_cache(maxsize=256)
def record(exercise: ExerciseKey) -> RecordedCheck | None:
    """Run the visible check with the reference and record its calls.

    Returns:
        None if it can't be repeated: it makes no calls or too many, its arguments can't be pickled,
        or it depends on more than the function's results.
    """
    try:
        names = check_names(exercise)
    except Exception:  # the lesson's code runs only in the sandbox
        return None
    calls: list[bytes] = []
    results: list[Any] = []
    reference: Callable[..., Any] = names[exercise.function]

    def recorder(*arguments, **keywords):
        calls.append(pickle_arguments(arguments, keywords))
        result = reference(*arguments, **keywords)
        results.append(deserialize(json.loads(json.dumps(serialize(result)))))
        return result

    source = exercise.visible_check
    if _failure(source, {**names, exercise.function: recorder}) or not 0 < len(calls) <= _MAX_CALLS:
        return None
    check = RecordedCheck(source, exercise.function, names, tuple(calls))
    return None if check.find_failure(results) else check


def _failure(source: str, names: dict[str, Any]) -> Exception | None:
    try:
        exec(compile(source, CHECK_FILE, "exec"), names)
    except Exception as error:
        return error
    return None
