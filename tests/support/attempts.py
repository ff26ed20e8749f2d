"""Runs a solution of an exercise: the visible check's message and the score on the hidden cases."""

import contextlib
import io
import re
from typing import Any

from course_grading.autograde.compare import score_cases

from tests.support.lessons import course_lesson


def exercise(lesson: str, name: str):
    """The exercise with this name in a lesson of the course."""
    return next(item for item in course_lesson(lesson).exercises if item.name == name)


def mutate(solution: str, *changes: tuple[str, str]) -> str:
    """The reference solution with replacements, which make it wrong.

    Raises:
        AssertionError: if an old text does not occur in it.
    """
    for old, new in changes:
        assert old in solution, f"{old!r} is not in the solution"
        solution = solution.replace(old, new)
    return solution


def attempt(lesson: str, name: str, source: str, names: dict[str, Any]) -> tuple[str, float]:
    """The message of the visible check ("" if it passes), and the score from 0 to 1.

    Args:
        lesson: its name.
        name: the exercise's name.
        source: the solution's source.
        names: the namespace that the lesson's cells before the exercise define.

    Raises:
        Exception: any exception of the visible check that is not an AssertionError.
    """
    task = exercise(lesson, name)
    namespace = dict(names)
    exec(compile(source, "<attempt>", "exec"), namespace)
    message = ""
    try:
        exec(compile(task.visible_check, "<check>", "exec"), dict(namespace))
    except AssertionError as failure:
        message = str(failure) or "without a message"
    exec(compile(task.hidden_tests, "<hidden>", "exec"), namespace)
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
