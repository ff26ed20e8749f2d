"""Tries a solution of an exercise: the visible check's message and the score on hidden cases."""

import contextlib
import io
import re
from typing import Any

from course_grading.autograde.compare import score_cases

from tests.support.lessons import course_lesson


def exercise(lesson: str, name: str):
    """An exercise of a lesson of the course, by its name."""
    return next(item for item in course_lesson(lesson).exercises if item.name == name)


def changed(solution: str, *changes: tuple[str, str]) -> str:
    """The reference with some of its text replaced: a wrong solution.

    Raises:
        AssertionError: if a text does not occur in it, so that nothing would change.
    """
    for old, new in changes:
        assert old in solution, f"{old!r} is not in the solution"
        solution = solution.replace(old, new)
    return solution


def attempt(lesson: str, name: str, source: str, names: dict[str, Any]) -> tuple[str, float]:
    """The message of the visible check, "" if it passes, and the score from 0 to 1.

    Args:
        lesson, name: of the exercise.
        source: of the solution to try.
        names: what the lesson has imported and computed before the exercise.

    Raises:
        Exception: whatever the visible check raises instead of an AssertionError: a raw crash.
    """
    task = exercise(lesson, name)
    namespace = dict(names)
    exec(compile(source, "<attempt>", "exec"), namespace)
    message = ""
    try:
        exec(compile(task.visible, "<check>", "exec"), dict(namespace))
    except AssertionError as failure:
        message = str(failure) or "without a message"
    exec(compile(task.hidden, "<hidden>", "exec"), namespace)
    comparison = {task.comparison: namespace[task.comparison]}
    with contextlib.redirect_stdout(io.StringIO()):
        points = score_cases(
            task.function,
            reference=re.sub(r"^\s*### (BEGIN|END) SOLUTION\n", "", task.solution, flags=re.M),
            cases=namespace["cases"],
            points=1.0,
            names=namespace,
            **comparison,
        )
    return message, points
