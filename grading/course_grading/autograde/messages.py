"""What students are told about an exercise: words that help, and give nothing away.

A message never shows a hidden input, nor what the reference gives for it, nor text that a student's
code can choose: an exception's own name could carry a hidden input out.
"""

import ast
import builtins
from typing import Any

from course_grading.autograde.answer_keys import ExerciseKey
from course_grading.sandbox.guest.main import MISSING
from course_grading.sandbox.guest.serialize import Other

ENDINGS = {
    "done": "your function ended the Python process",
    "time": "it took too long",
    "memory": "it took too much memory",
    "output": "it returned too much",
}


def why_not(exercise: ExerciseKey, line: dict, how: str, cells: list[str]) -> str:
    """Why no hidden case was tried: what the first line says, or how the job ended before it wrote
    one.
    """
    number = line.get("line") if type(line.get("line")) is int else 0
    if line.get("check"):
        said = _assertion(exercise.visible, number) if line["check"] == "AssertionError" else ""
        return f"A visible check fails: {said or error(line['check'])}"
    if "stopped" not in line:
        return f"Not run: before the first hidden case, {ENDINGS.get(how, ENDINGS['done'])}."
    if line.get("error") == MISSING:
        return f"Not run: your cell does not define {exercise.function}."
    if line["stopped"] is not True:
        return f"Not run: a cell above it, which it needs, ends in {error(line.get('error'))}."
    at = f" in its line {number}" if 0 < number <= cells[-1].count("\n") + 1 else ""
    return f"Not run: your cell ends in {error(line.get('error'))}{at}."


def _assertion(visible: str, line: int) -> str:
    """What the assert on this line says, if that needs no running."""
    for node in ast.walk(ast.parse(visible)):
        if isinstance(node, ast.Assert) and node.lineno <= line <= node.end_lineno:
            return (
                node.msg.value
                if isinstance(node.msg, ast.Constant)
                else f"the one in line {line} of its cell."
            )
    return ""


def error(name: Any) -> str:
    """An exception's name, if it is one of Python's own: any other is text that a student's code
    has chosen.
    """
    known = getattr(builtins, name, None) if isinstance(name, str) else None
    return (
        name
        if isinstance(known, type) and issubclass(known, BaseException)
        else "an error of its own"
    )


def difference(output: Any, expected: Any) -> str:
    """How an output differs, as far as that gives nothing away."""
    if output is None:
        return "your function returned None: is a return missing?"
    if isinstance(output, Other):
        return "the result is of a type that can't be compared"
    if isinstance(expected, tuple) and not isinstance(output, (tuple, list)):
        return "the result is one thing where several are asked for"
    shapes = getattr(output, "shape", None), getattr(expected, "shape", None)
    if all(shape is not None for shape in shapes) and tuple(shapes[0]) != tuple(shapes[1]):
        return "the result has the wrong shape"
    return "the result is not the right one"
