"""Answer keys, with reference solutions and hidden cases, and the course's secret.

Keys are read from the instructor notebooks that the build wrote, so that they match the release
even if a source in ``solutions/`` has changed since. None of this enters a sandbox.
"""

import ast
import functools
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import nbformat

from course_grading.assign.cells import BEGIN_HIDDEN
from course_grading.errors import AnswerKeyError
from course_grading.sandbox.guest.dependencies import NumberedStatement, required_statements
from course_lib import __version__
from course_lib.quiz.answers import Key

# The version of the grading rules: after an increase, every submission is graded again.
VERSION = 2


@dataclass(frozen=True)
class QuestionKey:
    """The key of a question; ``right`` and ``wrong`` as in :mod:`course_lib.quiz.answers`.

    ``choose`` is the answer's format as text. For choice questions it and ``tolerance`` are empty.
    """

    name: str
    right: str
    wrong: str
    points: float
    choose: str = ""
    tolerance: str = ""

    @property
    def key(self) -> Key:
        """The same, for scoring answers."""
        return Key.make(self.right, self.wrong, self.points, self.choose, self.tolerance)


@dataclass(frozen=True)
class ExerciseKey:
    """The key of an exercise: the function to call, its reference, and its hidden cases.

    ``hidden`` defines ``cases(rng)`` and the name in ``comparison``, "tolerance" or "agrees".
    ``cells`` are the code cells up to and including its check, in order. ``formerly`` is the
    function's signature in an earlier release, ``name`` or ``name(a, b)``; empty if the lesson
    gives none.
    """

    name: str
    function: str
    points: float
    reference: str
    hidden: str
    comparison: str
    cells: tuple[str, ...]
    formerly: str = ""

    @property
    def visible_check(self) -> str:
        """The part of its check cell that students see."""
        return self.cells[-1].rpartition("quiz.passed(")[0]

    @property
    def signature(self) -> tuple[str, ...]:
        """The name of the function, then its parameters."""
        functions = [
            node
            for node in ast.parse(self.reference).body
            if isinstance(node, ast.FunctionDef) and node.name == self.function
        ]
        arguments = functions[-1].args
        return (self.function, *(a.arg for a in [*arguments.posonlyargs, *arguments.args]))

    @property
    def former_signature(self) -> tuple[str, ...]:
        """The signature in an earlier release; empty if the lesson gives none."""
        name, *parameters = re.findall(r"\w+", self.formerly) or [""]
        if not name:
            return ()
        return (name, *(parameters or self.signature[1:]))


@dataclass(frozen=True)
class AnswerKey:
    """The answer key of one lesson; ``release`` is the notebook that was handed out (JSON)."""

    lesson: str
    release: str
    questions: tuple[QuestionKey, ...]
    exercises: tuple[ExerciseKey, ...]

    @functools.cached_property
    def digest(self) -> str:
        """A SHA-256 of the whole key and of the version of the grading rules."""
        content = json.dumps([VERSION, __version__, asdict(self)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @functools.cached_property
    def modules(self) -> tuple[str, ...]:
        """The modules that the lesson's exercises import, which a sandbox imports once."""
        return tuple(
            sorted({module for exercise in self.exercises for module in _imports(exercise)})
        )

    @functools.cached_property
    def renamed(self) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
        """The current and the former signature of each function whose name or parameters differ in
        an earlier release.
        """
        return tuple((e.signature, e.former_signature) for e in self.exercises if e.formerly)


@dataclass(frozen=True)
class ExerciseRunner:
    """The functions that grade an exercise, from the instructor's notebook."""

    reference: Callable[..., Any]
    cases: Callable[..., Any]
    tolerance: float
    agrees: Callable[..., bool] | None


def read(workspace: Path, lesson: str, student: str = "") -> AnswerKey:
    """The answer key of a released lesson, or of the student's variant, if there is one.

    Exercises are always the class's: only questions have variants.

    Raises:
        AnswerKeyError: if its instructor notebook or its release is missing or damaged.
    """
    if not has_own(workspace, lesson, student):
        return _read(workspace, "source", "release", lesson)
    own = _read(workspace, f"source-students/{student}", f"students/{student}", lesson)
    class_source = workspace / "source" / lesson / f"{lesson}.ipynb"
    mtime = class_source.stat().st_mtime_ns if class_source.is_file() else 0
    return replace(own, exercises=_class_exercises(workspace, lesson, mtime))


def has_own(workspace: Path, lesson: str, student: str) -> bool:
    """Whether a student has a variant of this lesson, instead of the class's."""
    source = workspace / "source-students" / student / lesson / f"{lesson}.ipynb"
    return bool(student) and source.is_file()


@functools.lru_cache(maxsize=64)
def _class_exercises(workspace: Path, lesson: str, mtime: int) -> tuple[ExerciseKey, ...]:
    """Cached; ``mtime`` of the instructor notebook invalidates the cache."""
    return _read(workspace, "source", "release", lesson).exercises


def _read(workspace: Path, source: str, release: str, lesson: str) -> AnswerKey:
    texts = {}
    for kind, folder in (("source", source), ("release", release)):
        path = workspace / folder / lesson / f"{lesson}.ipynb"
        try:
            texts[kind] = path.read_text(encoding="utf-8")
        except OSError as error:
            raise AnswerKeyError(
                f"{path} can't be read ({error.strerror}): run course build again"
            ) from error
    cells = [
        cell.source
        for cell in nbformat.reads(texts["source"], as_version=4).cells
        if cell.cell_type == "code"
    ]
    questions, exercises = [], []
    for number, source in enumerate(cells):
        visible, marker, hidden = source.partition(f"{BEGIN_HIDDEN}\n")
        if not marker:
            continue
        function, arguments = _last_call(ast.parse(hidden))
        if function == "quiz.score":
            questions.append(QuestionKey(**arguments))
        elif function == "score_cases":
            exercises.append(
                ExerciseKey(
                    name=_check_name(visible),
                    function=arguments["function"],
                    points=arguments["points"],
                    reference=arguments["reference"],
                    hidden=_without_scoring(hidden),
                    comparison="agrees" if "agrees" in arguments else "tolerance",
                    cells=(*cells[:number], visible),
                    formerly=arguments.get("formerly", ""),
                )
            )
    if not questions and not exercises:
        raise AnswerKeyError(
            f"the instructor's notebook of {lesson} has no hidden tests: run course build again"
        )
    return AnswerKey(lesson, texts["release"], tuple(questions), tuple(exercises))


def _last_call(tree: ast.Module) -> tuple[str, dict[str, Any]]:
    """The function that a check's last line calls, and its literal arguments."""
    call = tree.body[-1].value if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if not isinstance(call, ast.Call):
        return "", {}
    arguments = {word.arg: _literal(word.value) for word in call.keywords if word.arg}
    name = ast.unparse(call.func)
    if call.args:
        first_parameter = {"quiz.score": "name", "score_cases": "function"}.get(name, "")
        arguments.setdefault(first_parameter, _literal(call.args[0]))
    return name, arguments


def _literal(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _check_name(visible: str) -> str:
    """The exercise's name, from ``# Check: name (run this cell)``, which the build writes first."""
    return visible.split("# Check: ", 1)[1].split(" ", 1)[0]


def _without_scoring(hidden: str) -> str:
    """The source without the lines that score the cases in nbgrader's own ``autograde``."""
    statements = [
        node
        for node in ast.parse(hidden).body
        if "score_cases" not in ast.unparse(node).split("(")[0].split(" import ")[-1]
    ]
    return "\n".join(ast.unparse(node) for node in statements)


def _required(exercise: ExerciseKey) -> list[NumberedStatement]:
    target = ast.parse(f"{exercise.reference}\n{exercise.hidden}")
    return required_statements([ast.parse(source) for source in exercise.cells], target)


def check_names(exercise: ExerciseKey) -> dict[str, Any]:
    """The names that an exercise's visible check needs from its lesson; the function is the
    reference's.
    """
    target = ast.parse(f"{exercise.reference}\n{exercise.visible_check}")
    cells = [ast.parse(source) for source in exercise.cells[:-1]]
    names: dict[str, Any] = {"__name__": f"check of {exercise.name}"}
    for _, statement in required_statements(cells, target):
        exec(compile(ast.Module([statement], []), "<the lesson>", "exec"), names)
    exec(compile(exercise.reference, f"<reference of {exercise.name}>", "exec"), names)
    return names


def _imports(exercise: ExerciseKey) -> set[str]:
    modules = set()
    for _, statement in _required(exercise):
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
    return modules


@functools.lru_cache(maxsize=256)
def prepare(exercise: ExerciseKey) -> ExerciseRunner:
    """Run an exercise's reference and hidden cases, and the code of the lesson that they need, once
    in this process.
    """
    names: dict[str, Any] = {"__name__": f"key of {exercise.name}"}
    for _, statement in _required(exercise):
        exec(compile(ast.Module([statement], []), "<the lesson>", "exec"), names)
    exec(compile(exercise.reference, f"<reference of {exercise.name}>", "exec"), names)
    reference = names[exercise.function]
    exec(compile(exercise.hidden, f"<hidden cases of {exercise.name}>", "exec"), names)
    uses_tolerance = exercise.comparison == "tolerance"
    return ExerciseRunner(
        reference,
        names["cases"],
        tolerance=names.get("tolerance", 0.0) if uses_tolerance else 0.0,
        agrees=None if uses_tolerance else names["agrees"],
    )


def course_secret(workspace: Path) -> bytes:
    """The course's secret, created on first use in a file with mode 0600."""
    path = workspace / "secret"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text().strip())
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
    return bytes.fromhex(path.read_text().strip())


def seeds(secret: bytes, key: AnswerKey, student: str) -> dict[str, int]:
    """The seed of each exercise's hidden cases for one student: deterministic, but unpredictable
    without the secret.
    """
    return {
        exercise.name: int.from_bytes(
            hmac.digest(secret, f"{key.lesson}/{exercise.name}/{student}".encode(), "sha256")[:16]
        )
        for exercise in key.exercises
    }
