"""What students read about an exercise: messages that help and give nothing away.

A message never shows a hidden input, the reference's result, or text that a student's code can
choose: an exception's own name could carry a hidden input out.
"""

import ast
import builtins
import re
import sys
from typing import Any

from course_grading.autograde.answer_keys import ExerciseKey
from course_grading.sandbox.guest.main import MISSING
from course_grading.sandbox.guest.serialize import UnsupportedValue

_MAX_NAME = 60  # characters
STATUS_MESSAGES = {
    "done": "your function ended the Python process",
    "time": "it took too long",
    "memory": "it took too much memory",
    "output": "it returned too much",
}
DEPENDS_ON_CALLS = (
    "Not counted: called twice with the same input, your function is right and then wrong, so its "
    "result depends on earlier calls. Your instructor will look at it."
)
NOT_REPEATED = (
    "The time or memory was over before every call could be repeated: your instructor will look at "
    "it."
)
DAMAGED_CODE = (
    "Not run: the cell holds marks of a merge or of a chat (<<<<<<<, =======, >>>>>>> or ```) "
    "around its code. Your instructor will look at it."
)


def explain_not_run(exercise: ExerciseKey, line: dict, status: str, cells: list[str]) -> str:
    """Why no hidden case was run.

    Args:
        exercise: the exercise.
        line: the first line that the job wrote; empty if it wrote none.
        status: how the job ended.
        cells: the cells that it ran, the exercise's last.
    """
    if line.get("check"):
        message = ""
        if line["check"] == "AssertionError":
            message = _assert_message(exercise.visible_check, _number(line.get("line")))
        return f"A visible check fails: {message or describe_error(line, 'check', cells[-1])}"
    if "stopped" not in line:
        reason = STATUS_MESSAGES.get(status, STATUS_MESSAGES["done"])
        return f"Not run: before the first hidden case, {reason}."
    if line.get("error") == MISSING:
        return f"Not run: your cell does not define {exercise.function}."
    error = describe_error(line, "error", cells[-1])
    if line["stopped"] is not True:
        return f"Not run: a cell above it, which it needs, ends in {error}."
    return f"Not run: your cell ends in {error}."


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def explain_failed_check(exercise: ExerciseKey, failure: Exception) -> str:
    """Why nothing is earned although the check passed in the student's process: it fails with the
    values that came out of it.
    """
    message = ""
    if isinstance(failure, AssertionError):
        trace = failure.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        message = _assert_message(exercise.visible_check, trace.tb_lineno if trace else 0)
    return f"A visible check fails: {message or 'your function does not return a result in it.'}"


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


def describe_error(line: dict, kind: str, source: str) -> str:
    """An exception's name with the line of the student's cell that it comes from and what it is
    about: the module or variable that was not found, or Python's version.

    Args:
        line: what the guest program wrote; ``line[kind]`` is the exception's name.
        kind: ``error`` or ``check``.
        source: the student's cell.
    """
    number = _number(line.get("cell_line") if kind == "check" else line.get("line"))
    from_above = line.get("stopped") is False
    place = (
        "" if from_above or not 0 < number <= source.count("\n") + 1 else f" in its line {number}"
    )
    detail = error_detail(line.get(kind), line.get("name"), source)
    return f"{error_name(line.get(kind))}{place}{f': {detail}' if detail else ''}"


def error_detail(error: Any, name: Any, source: str) -> str:
    """What an error is about, if that gives nothing away; else empty.

    ``name`` is what it could not find: shown if it is an identifier that stands in ``source``.
    """
    known = error_name(error)
    if known in ("SyntaxError", "IndentationError", "TabError"):
        return f"the grader has Python {'.'.join(map(str, sys.version_info[:2]))}"
    if not isinstance(name, str) or not _stands_in(name, source):
        return ""
    if known in ("NameError", "UnboundLocalError"):
        return f"name '{name}' is not defined"
    if known == "ModuleNotFoundError":
        return f"No module named '{name}': the grader has only what the course installs"
    if known == "ImportError":
        return f"the module '{name}' does not have what is imported from it"
    return ""


def _stands_in(name: str, source: str) -> bool:
    """Whether a name is made of identifiers that stand in the source: else it is text that a
    student's code can choose, and it could carry a hidden input out.
    """
    if len(name) > _MAX_NAME or not all(part.isidentifier() for part in name.split(".")):
        return False
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", source) is not None


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
