"""What only the instructor's side holds: the answers, the references and hidden cases, and the
course's secret.

It is read from the instructor notebooks that the build wrote, so that what is graded is what was
handed out, even if a source in ``solutions/`` has changed since. None of it enters a sandbox.
"""

import ast
import functools
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat

from course_grading.assign.cells import BEGIN_HIDDEN
from course_grading.sandbox.guest import dependencies
from course_lib import __version__

# of the rules by which a submission is marked: raise it, and everything is marked again
VERSION = 1


@dataclass(frozen=True)
class QuestionKey:
    """A question: the letters of its right and wrong options, and its points."""

    name: str
    right: str
    wrong: str
    points: float


@dataclass(frozen=True)
class ExerciseKey:
    """An exercise: what is called, and the source that defines reference and hidden cases.

    ``before`` are the code cells above its check, in order; ``hidden`` defines ``cases(rng)`` and
    ``compares``, which is ``tolerance`` or ``agrees``.
    """

    name: str
    function: str
    points: float
    reference: str
    hidden: str
    compares: str
    before: tuple[str, ...]

    @property
    def visible(self) -> str:
        """The asserts of its check cell that students see."""
        return self.before[-1].rpartition("quiz.passed(")[0]


@dataclass(frozen=True)
class Key:
    """Everything with which submissions of one lesson are marked; ``release`` is the notebook
    handed out (JSON).
    """

    lesson: str
    release: str
    questions: tuple[QuestionKey, ...]
    exercises: tuple[ExerciseKey, ...]

    @functools.cached_property
    def digest(self) -> str:
        """A SHA-256 of all of it, and of the rules of marking."""
        everything = json.dumps([VERSION, __version__, asdict(self)], sort_keys=True)
        return hashlib.sha256(everything.encode()).hexdigest()

    @functools.cached_property
    def modules(self) -> tuple[str, ...]:
        """What the lesson's exercises import, for a sandbox to import once."""
        return tuple(
            sorted({module for exercise in self.exercises for module in _imports(exercise)})
        )


class KeyMissing(Exception):
    """The instructor's notebook of a lesson is not there or can't be read; the message says what to
    do.
    """


@dataclass(frozen=True)
class Prepared:
    """An exercise ready to be marked: its functions, taken from the instructor's notebook."""

    reference: Callable[..., Any]
    cases: Callable[..., Any]
    tolerance: float
    agrees: Callable[..., bool] | None


def read(workspace: Path, lesson: str) -> Key:
    """The key of a lesson that was released.

    Raises:
        KeyMissing: if its instructor notebook or its release is missing or damaged.
    """
    texts = {}
    for kind in ("source", "release"):
        path = workspace / kind / lesson / f"{lesson}.ipynb"
        try:
            texts[kind] = path.read_text(encoding="utf-8")
        except OSError as error:
            raise KeyMissing(
                f"{path} can't be read ({error.strerror}): run course build again"
            ) from error
    code = [
        cell.source
        for cell in nbformat.reads(texts["source"], as_version=4).cells
        if cell.cell_type == "code"
    ]
    questions, exercises = [], []
    for number, source in enumerate(code):
        shown, mark, hidden = source.partition(f"{BEGIN_HIDDEN}\n")
        if not mark:
            continue
        call, given = _last_call(ast.parse(hidden))
        if call == "quiz.score":
            questions.append(QuestionKey(**given))
        elif call == "score_cases":
            compares = "agrees" if "agrees" in given else "tolerance"
            exercises.append(
                ExerciseKey(
                    name=_check_name(shown),
                    function=given["function"],
                    points=given["points"],
                    reference=given["reference"],
                    hidden=_without_scoring(hidden),
                    compares=compares,
                    before=(*code[:number], shown),
                )
            )
    if not questions and not exercises:
        raise KeyMissing(
            f"the instructor's notebook of {lesson} has no hidden tests: run course build again"
        )
    return Key(lesson, texts["release"], tuple(questions), tuple(exercises))


def _last_call(tree: ast.Module) -> tuple[str, dict[str, Any]]:
    """The function that a check's last line calls, and its literal arguments."""
    call = tree.body[-1].value if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if not isinstance(call, ast.Call):
        return "", {}
    given = {word.arg: _literal(word.value) for word in call.keywords if word.arg}
    name = ast.unparse(call.func)
    first = {"quiz.score": "name", "score_cases": "function"}.get(name, "")
    return name, {**({first: _literal(call.args[0])} if call.args else {}), **given}


def _literal(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _check_name(shown: str) -> str:
    """The exercise's name, from ``# Check: name (run this cell)``, which the build writes first."""
    return shown.split("# Check: ", 1)[1].split(" ", 1)[0]


def _without_scoring(hidden: str) -> str:
    """What defines the cases: without the lines that score them in nbgrader's own way."""
    body = [
        node
        for node in ast.parse(hidden).body
        if "score_cases" not in ast.unparse(node).split("(")[0].split(" import ")[-1]
    ]
    return "\n".join(ast.unparse(node) for node in body)


def _needs(exercise: ExerciseKey) -> list[dependencies.Place]:
    target = ast.parse(f"{exercise.reference}\n{exercise.hidden}")
    return dependencies.needed([ast.parse(source) for source in exercise.before], target)


def _imports(exercise: ExerciseKey) -> set[str]:
    found = set()
    for _, statement in _needs(exercise):
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return found


@functools.lru_cache(maxsize=256)
def prepare(exercise: ExerciseKey) -> Prepared:
    """Run the instructor's own code of an exercise, and what it needs of its lesson, once in this
    process.
    """
    names: dict[str, Any] = {"__name__": f"key of {exercise.name}"}
    for _, statement in _needs(exercise):
        exec(compile(ast.Module([statement], []), "<the lesson>", "exec"), names)
    exec(compile(exercise.reference, f"<reference of {exercise.name}>", "exec"), names)
    reference = names[exercise.function]
    exec(compile(exercise.hidden, f"<hidden cases of {exercise.name}>", "exec"), names)
    return Prepared(reference, names["cases"], names.get("tolerance", 0.0) if exercise.compares == "tolerance" else 0.0,
                    names["agrees"] if exercise.compares == "agrees" else None)  # fmt: skip


def secret(workspace: Path) -> bytes:
    """The course's secret, made at the first run. Only its owner may read it."""
    path = workspace / "secret"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text().strip())
    with os.fdopen(file, "w") as made:
        made.write(secrets.token_hex(32) + "\n")
    return bytes.fromhex(path.read_text().strip())


def seeds(course_secret: bytes, key: Key, student: str) -> dict[str, int]:
    """The seed of each exercise's hidden cases for one student: the same in every run, known to
    nobody else.
    """
    return {
        exercise.name: int.from_bytes(
            hmac.digest(
                course_secret, f"{key.lesson}/{exercise.name}/{student}".encode(), "sha256"
            )[:16]
        )
        for exercise in key.exercises
    }
