"""Grade a batch: every submission through nbgrader into its gradebook, one broken one stopping nothing."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from course_lib.grading import intake
from course_lib.grading.desk import open_desk
from course_lib.grading.intake import Problem


@dataclass(frozen=True)
class Item:
    """One graded cell of one submission: a question or an exercise, with what it earned."""

    student: str
    lesson: str
    item: str
    score: float
    max_score: float


@dataclass(frozen=True)
class Grade:
    """One graded submission."""

    student: str
    lesson: str
    score: float
    max_score: float
    late: bool
    needs_manual: bool


@dataclass
class Batch:
    """What a run did. Every file found is in ``grades`` or in ``problems``."""

    grades: list[Grade] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    feedback: dict[tuple[str, str], Path] = field(default_factory=dict)


def grade(folder: Path, workspace: Path, progress: Callable[[str, int, int], None] | None = None) -> Batch:
    """Grade what students handed in. Their code runs as you: see the ``--trusted`` of ``course grade``.

    Args:
        folder: a folder or zip of submissions, see :mod:`.intake`.
        workspace: nbgrader's course directory, with what ``course build`` released.
        progress: called before each submission with what it is, how many are done, and how many there are.

    Raises:
        IntakeError: if there is nothing to grade or nothing was released.
    """
    lessons = sorted(path.parent.name for path in workspace.glob("release/*/*.ipynb"))
    if not lessons:
        raise intake.IntakeError(f"nothing is released in {workspace}: run course build first")
    batch = Batch()
    desk = open_desk(workspace)
    old_mode = os.environ.get("COURSE_MODE")
    os.environ["COURSE_MODE"] = "grading"  # the kernels inherit it: nothing trains
    try:
        with intake.opened(folder) as opened:
            found, batch.problems = intake.find(opened, lessons)
            if not found and not batch.problems:
                raise intake.IntakeError(f"{folder} holds no notebook: expected student/NN_name.ipynb")
            for done, submission in enumerate(found):
                if progress:
                    progress(f"{submission.student} · {submission.lesson}", done, len(found))
                try:
                    _grade_one(desk, workspace, submission, batch)
                except Exception as error:  # one broken submission never stops a batch
                    reason = str(error) or type(error).__name__
                    name = str(submission.path.relative_to(opened))
                    batch.problems.append(Problem(submission.student, submission.lesson, name, reason))
            if progress:
                progress("", len(found), len(found))
    finally:
        os.environ.pop("COURSE_MODE")
        if old_mode is not None:
            os.environ["COURSE_MODE"] = old_mode
    return batch


def _grade_one(desk, workspace: Path, submission: intake.Submission, batch: Batch) -> None:
    student, lesson = submission.student, submission.lesson
    release = nbformat.read(workspace / "release" / lesson / f"{lesson}.ipynb", as_version=4)
    rebuilt, missing = intake.rebuild(intake.read(submission.path), release)
    if len(missing) == sum(bool(c.metadata.get("nbgrader", {}).get("solution")) for c in release.cells):
        raise ValueError("none of the lesson's answer or exercise cells is in it: is it another notebook?")
    target = workspace / "submitted" / student / lesson
    target.mkdir(parents=True, exist_ok=True)
    nbformat.write(rebuilt, target / f"{lesson}.ipynb")
    stamp = submission.path.with_name("timestamp.txt")
    (target / "timestamp.txt").unlink(missing_ok=True)
    if stamp.is_file():
        shutil.copy(stamp, target / "timestamp.txt")
    _succeed(desk.autograde(lesson, student, force=True, create=True), "grade")
    _succeed(desk.generate_feedback(lesson, student, force=True), "write feedback for")
    _read_back(desk, student, lesson, batch)
    batch.feedback[student, lesson] = workspace / "feedback" / student / lesson / f"{lesson}.html"


def _read_back(desk, student: str, lesson: str, batch: Batch) -> None:
    """Take the result from nbgrader's gradebook, which is the record."""
    with desk.gradebook as book:
        submission = book.find_submission(lesson, student)
        batch.grades.append(
            Grade(
                student,
                lesson,
                submission.score,
                submission.max_score,
                submission.total_seconds_late > 0,
                submission.needs_manual_grade,
            )
        )
        for notebook in submission.notebooks:
            for cell in notebook.grades:
                batch.items.append(Item(student, lesson, cell.name, cell.score, cell.max_score))


def _succeed(result: dict, what: str) -> None:
    if not result["success"]:
        lines = [line for line in (result.get("error") or result.get("log", "")).strip().splitlines() if line.strip()]
        raise RuntimeError(f"nbgrader could not {what} it: {lines[-1] if lines else 'no reason given'}")
