"""The visible check of an exercise, repeated on the trusted side.

In the sandbox the check runs in the student's process, so that its verdict is the student's word.
Here it runs again with the values that came out: what the student's function returned for the
check's calls, as plain data. The calls are recorded from the reference, and are cases like the
hidden ones: the function can't tell them apart by their place.
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
    """A visible check that can be repeated: its code, the names that it needs, and the pickled
    arguments of its calls.
    """

    source: str
    function: str
    names: dict[str, Any]
    calls: tuple[bytes, ...]

    def find_failure(self, results: Sequence[Any]) -> Exception | None:
        """Why the check fails if its calls have these results; None if it passes.

        A result that is an exception is raised in the place of its call.
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
    """Run the visible check with the reference and note its calls.

    Returns:
        None if it can't be repeated from values: it makes no calls, its arguments are functions, or
        it looks at something else than results.
    """
    try:
        names = check_names(exercise)
    except Exception:  # the lesson's own code needs the sandbox
        return None
    calls: list[bytes] = []
    results: list[Any] = []
    reference: Callable[..., Any] = names[exercise.function]

    def note(*arguments, **keywords):
        calls.append(pickle_arguments(arguments, keywords))
        result = reference(*arguments, **keywords)
        results.append(deserialize(json.loads(json.dumps(serialize(result)))))
        return result

    source = exercise.visible_check
    if _failure(source, {**names, exercise.function: note}) or not 0 < len(calls) <= _MAX_CALLS:
        return None
    check = RecordedCheck(source, exercise.function, names, tuple(calls))
    return None if check.find_failure(results) else check


def _failure(source: str, names: dict[str, Any]) -> Exception | None:
    try:
        exec(compile(source, CHECK_FILE, "exec"), names)
    except Exception as error:
        return error
    return None
