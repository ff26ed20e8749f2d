"""What students read about an exercise: messages that help and give nothing away.

A message never shows a hidden input, the reference's result, or text that a student's code can
choose: an exception's own name could carry a hidden input out.
"""

import ast
import builtins
from typing import Any

from course_grading.autograde.answer_keys import ExerciseKey
from course_grading.sandbox.guest.main import MISSING
from course_grading.sandbox.guest.serialize import UnsupportedValue

STATUS_MESSAGES = {
    "done": "your function ended the Python process",
    "time": "it took too long",
    "memory": "it took too much memory",
    "output": "it returned too much",
}


def explain_not_run(exercise: ExerciseKey, line: dict, status: str, cells: list[str]) -> str:
    """Why no hidden case was run.

    Args:
        exercise: the exercise.
        line: the first line that the job wrote; empty if it wrote none.
        status: how the job ended.
        cells: the cells that it ran, the exercise's last.
    """
    number = line.get("line")
    if type(number) is not int:
        number = 0
    if line.get("check"):
        failed_assert = line["check"] == "AssertionError"
        message = _assert_message(exercise.visible_check, number) if failed_assert else ""
        return f"A visible check fails: {message or error_name(line['check'])}"
    if "stopped" not in line:
        reason = STATUS_MESSAGES.get(status, STATUS_MESSAGES["done"])
        return f"Not run: before the first hidden case, {reason}."
    if line.get("error") == MISSING:
        return f"Not run: your cell does not define {exercise.function}."
    error = error_name(line.get("error"))
    if line["stopped"] is not True:
        return f"Not run: a cell above it, which it needs, ends in {error}."
    place = f" in its line {number}" if 0 < number <= cells[-1].count("\n") + 1 else ""
    return f"Not run: your cell ends in {error}{place}."


def _assert_message(check: str, line: int) -> str:
    """The message of the assert on this line, if it is a literal."""
    for node in ast.walk(ast.parse(check)):
        if isinstance(node, ast.Assert) and node.lineno <= line <= (node.end_lineno or 0):
            if isinstance(node.msg, ast.Constant):
                return str(node.msg.value)
            return f"the one in line {line} of its cell."
    return ""


def error_name(name: Any) -> str:
    """An exception's name if it is a built-in one; any other is text that a student's code can
    choose.
    """
    known = getattr(builtins, name, None) if isinstance(name, str) else None
    is_builtin = isinstance(known, type) and issubclass(known, BaseException)
    return name if is_builtin else "an error of its own"


def describe_difference(output: Any, expected: Any) -> str:
    """How an output differs, as far as that gives nothing away."""
    if output is None:
        return "your function returned None: is a return missing?"
    if isinstance(output, UnsupportedValue):
        return "the result is of a type that can't be compared"
    if isinstance(expected, tuple) and not isinstance(output, (tuple, list)):
        return "the result is a single value, but a tuple is expected"
    have_shapes = hasattr(output, "shape") and hasattr(expected, "shape")
    if have_shapes and tuple(output.shape) != tuple(expected.shape):
        return "the result has the wrong shape"
    return "the result is not the right one"
