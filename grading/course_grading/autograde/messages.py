"""Messages for students about an exercise.

A message never shows a hidden input, the reference's result, or text that a student's code can
choose: the name of a custom exception, for example, could encode a hidden input (covert channel).
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
    "Not counted: called again with the same input, your function returns a wrong result after a "
    "right one, so it depends on earlier calls. Your instructor will look at it."
)
NOT_REPEATED = (
    "The limit of time or memory was reached before every call could be repeated: your instructor "
    "will look at it."
)
DAMAGED_CODE = (
    "Not run: the cell contains Git conflict markers (<<<<<<<, =======, >>>>>>>) or Markdown code "
    "fences (```). Your instructor will look at it."
)


def explain_not_run(exercise: ExerciseKey, line: dict, status: str, cells: list[str]) -> str:
    """Why no hidden case was run.

    Args:
        exercise: the exercise.
        line: the first line of the job's output, parsed; empty if there is none.
        status: how the job ended.
        cells: the sources of the cells that it ran; the exercise's is the last.
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
        return f"Not run: a cell above, which yours needs, raises {error}."
    return f"Not run: your code raises {error}."


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def explain_failed_check(exercise: ExerciseKey, failure: Exception) -> str:
    """Why an exercise scores 0 although its visible check passed in the sandbox: repeated with the
    returned results, the check raised ``failure``.
    """
    message = ""
    if isinstance(failure, AssertionError):
        trace = failure.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        message = _assert_message(exercise.visible_check, trace.tb_lineno if trace else 0)
    return f"A visible check fails: {message or 'a call of your function returned no result.'}"


def _assert_message(check: str, line: int) -> str:
    """The message of the assert on this line if it is a literal, else where to find it."""
    for node in ast.walk(ast.parse(check)):
        if isinstance(node, ast.Assert) and node.lineno <= line <= (node.end_lineno or 0):
            if isinstance(node.msg, ast.Constant):
                return str(node.msg.value)
            return f"the assert in line {line} of the check's cell."
    return ""


def error_name(name: Any) -> str:
    """The name of a built-in exception; a fixed text for others, whose names a student's code can
    choose.
    """
    known = getattr(builtins, name, None) if isinstance(name, str) else None
    is_builtin = isinstance(known, type) and issubclass(known, BaseException)
    return name if is_builtin else "a custom exception"


def describe_error(line: dict, kind: str, source: str) -> str:
    """An exception's name, the line of the student's cell that raised it, and its detail, see
    :func:`error_detail`.

    Args:
        line: a line of the guest program's output, parsed; ``line[kind]`` is the exception's name.
        kind: ``error`` or ``check``.
        source: the student's cell.
    """
    number = _number(line.get("cell_line") if kind == "check" else line.get("line"))
    from_above = line.get("stopped") is False
    place = (
        ""
        if from_above or not 0 < number <= source.count("\n") + 1
        else f" in line {number} of your cell"
    )
    detail = error_detail(line.get(kind), line.get("name"), source)
    return f"{error_name(line.get(kind))}{place}{f': {detail}' if detail else ''}"


def error_detail(error: Any, name: Any, source: str) -> str:
    """What could not be found, or the Python version for a syntax error; empty if that could reveal
    a hidden input.

    ``name`` is the missing module or variable, shown only if it occurs in ``source``.
    """
    known = error_name(error)
    if known in ("SyntaxError", "IndentationError", "TabError"):
        return f"the grader has Python {'.'.join(map(str, sys.version_info[:2]))}"
    if not isinstance(name, str) or not _occurs_in(name, source):
        return ""
    if known in ("NameError", "UnboundLocalError"):
        return f"name '{name}' is not defined"
    if known == "ModuleNotFoundError":
        return f"No module named '{name}': the grader has only what the course installs"
    if known == "ImportError":
        return f"the module '{name}' does not define a name that is imported from it"
    return ""


def _occurs_in(name: str, source: str) -> bool:
    """Whether a name consists of identifiers and occurs in the source. Any other name may be
    computed by the student's code, and could encode a hidden input.
    """
    if len(name) > _MAX_NAME or not all(part.isidentifier() for part in name.split(".")):
        return False
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", source) is not None


def describe_difference(output: Any, expected: Any) -> str:
    """How an output differs, without revealing the expected result."""
    if output is None:
        return "your function returned None: is a return missing?"
    if isinstance(output, UnsupportedValue):
        return "the result has a type that can't be compared"
    if isinstance(expected, tuple) and not isinstance(output, (tuple, list)):
        return "the result is a single value, but a tuple is expected"
    have_shapes = hasattr(output, "shape") and hasattr(expected, "shape")
    if have_shapes and tuple(output.shape) != tuple(expected.shape):
        return "the result has the wrong shape"
    return "the result is wrong"
