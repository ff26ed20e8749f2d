"""Grading in self-study: the classroom grader, run on the learner's own notebook.

The answer key is built from the lesson's source, as by ``course build``, and cached in the user's
cache folder. ``progress.json`` stores the results of hidden checks with a digest of the code that
they depend on, so that only changed exercises run again.
"""

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib import __version__
from course_lib.learner import files, summary
from course_lib.learner.files import Notebook
from course_lib.learner.record import CheckedExercise, Record

if TYPE_CHECKING:
    from course_grading.autograde.answer_keys import AnswerKey
    from course_grading.autograde.grade import ItemResult

_SECRET = b"self-study"  # not secret: the hidden cases are the same for everybody in self-study
_INSTRUCTOR = re.compile(r"[:.] your instructor will look at it\.", re.IGNORECASE)


@dataclass(frozen=True)
class Graded:
    """The grader's result for a question or an exercise; ``message`` is empty if all is right."""

    kind: str
    name: str
    points: float
    earned: float
    message: str

    @property
    def is_right(self) -> bool:
        """Whether it has all its points."""
        return self.earned >= self.points - 1e-9


def isolation() -> str:
    """Why the learner's code can't be isolated on this machine; empty if it can."""
    from course_grading.sandbox import host

    return host.unavailable_reason() or ""


def grade(
    root: Path,
    lesson: str,
    notebooks: list[Notebook],
    recorded: Record,
    *,
    trusted: bool,
    report: Callable[[str], None] = lambda text: None,
) -> list[Graded]:
    """Grade a lesson, and store the results of its hidden checks in ``recorded``.

    Args:
        root: the clone.
        lesson: the lesson's name.
        notebooks: the learner's notebooks of the lesson, in order of priority.
        recorded: answers from the website, and earlier results; the caller saves it.
        trusted: run the learner's code without a sandbox, with the learner's rights.
        report: called with the name of an exercise before its hidden checks run.

    Raises:
        GradingError: if the lesson's source has a mistake, or the sandbox fails.
    """
    from course_grading.autograde.grade import GradingTask, grade_submission

    key = answer_key(root / "solutions" / f"{lesson}.md")
    combined = files.combine(notebooks)
    for name, answer in recorded.answers.get(lesson, {}).items():
        if any(cell.answers == name and not cell.has_work for cell in combined.cells):
            combined = files.with_answer(combined, name, answer.answer)
    digests = {exercise.name: files.digest(combined, exercise.name) for exercise in key.exercises}
    source = summary.source_digest(lesson) or _digest_of(root / "solutions" / f"{lesson}.md")
    known = recorded.exercises.setdefault(lesson, {})
    written = {cell.solves for cell in combined.cells if cell.solves and cell.has_work}
    data = json.dumps(combined.document).encode()
    seeds = _seeds(key)

    def run(questions: tuple, exercises: tuple) -> list["ItemResult"]:
        part = replace(key, questions=questions, exercises=exercises)
        task = GradingTask("learner", lesson, combined.path.name, data, seeds, trusted=trusted)
        result = grade_submission(task, part)
        if result.problem:
            from course_grading.errors import GradingError

            raise GradingError(f"{combined.path.name} can't be graded: {result.problem}")
        return list(result.items)

    graded = {item.name: _graded_question(item) for item in run(key.questions, ())}
    for exercise in key.exercises:
        name = exercise.name
        earlier = known.get(name)
        if earlier is None or (earlier.digest, earlier.lesson) != (digests[name], source):
            if name in written:
                report(name)
            (item,) = run((), (exercise,))
            earlier = _checked(item, digests[name], source)
            if name in written:
                known[name] = earlier
        graded[name] = _graded_earlier(name, earlier)
    return [graded[name] for name in _order(combined, graded)]


def answer_key(source: Path) -> "AnswerKey":
    """The answer key of a lesson's source, cached.

    Raises:
        GradingError: if the source has a mistake.
    """
    import platformdirs
    from course_grading.autograde import answer_keys

    cache = platformdirs.user_cache_path("pixels-to-diffusion") / "keys"
    cached = cache / f"{__version__}-{_grader_digest()}-{_digest_of(source)}"
    if not cached.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            built = Path(folder, "built")
            _write_notebooks(source, built)
            with contextlib.suppress(OSError):  # a race: another process was first
                built.rename(cached)
    return answer_keys.read(cached, source.stem)


def _write_notebooks(source: Path, folder: Path) -> None:
    """Write the instructor's notebook of a lesson and the released one, without a gradebook."""
    import nbformat
    from course_grading.assign.cells import build_notebook
    from course_grading.assign.source import read_lesson
    from course_grading.gradebook.preprocessors import ClearAnswers
    from nbgrader.preprocessors import ClearHiddenTests

    lesson = read_lesson(source)
    for kind in ("source", "release"):
        notebook = build_notebook(lesson)
        if kind == "release":
            for preprocessor in (ClearAnswers(), ClearHiddenTests()):
                notebook, _ = preprocessor.preprocess(notebook, {})
        path = folder / kind / lesson.name / f"{lesson.name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(nbformat.writes(notebook), encoding="utf-8")


def _grader_digest() -> str:
    """A digest of the code that builds an answer key: this module and the grader."""
    import course_grading

    hashed = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(Path(course_grading.__file__).parent.rglob("*.py")):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()[:16]


def _digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _seeds(key: "AnswerKey") -> dict[str, int]:
    from course_grading.autograde import answer_keys

    return answer_keys.seeds(_SECRET, key, "learner")


def _checked(item: "ItemResult", digest: str, source: str) -> CheckedExercise:
    return CheckedExercise(digest, source, item.score, item.points, plain_message(item.message))


def _graded_question(item: "ItemResult") -> Graded:
    message = plain_message(item.message)
    if item.answer:
        points = f"{item.score:.3g} of {item.points:g} point{'' if item.points == 1 else 's'}"
        message = f"{item.answer} earns {points}: its cell explains every option."
    is_right = item.score >= item.points - 1e-9
    return Graded("question", item.name, item.points, item.score, "" if is_right else message)


def _graded_earlier(name: str, result: CheckedExercise) -> Graded:
    message = "" if result.points >= result.of - 1e-9 else result.message
    return Graded("exercise", name, result.of, result.points, message)


def plain_message(message: str) -> str:
    """A grader's message without references to an instructor."""
    return _INSTRUCTOR.sub(".", message)


def _order(notebook: Notebook, graded: dict[str, Graded]) -> Iterator[str]:
    """The names of the items in the notebook's order, then the items missing from it."""
    found = dict.fromkeys(
        name for cell in notebook.cells for name in (cell.answers, cell.solves) if name in graded
    )
    yield from found
    yield from (name for name in graded if name not in found)
