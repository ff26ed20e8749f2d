"""Grade a batch: every submission through nbgrader into its gradebook, one broken one stopping nothing."""

import os
import re
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
    notes: list[Problem] = field(default_factory=list)  # graded all the same, but somebody should know
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
    lessons = intake.released(workspace)
    if not lessons:
        raise intake.IntakeError(f"nothing is released in {workspace}: run course build first")
    batch = Batch()
    desk = open_desk(workspace)
    old_mode = os.environ.get("COURSE_MODE")
    os.environ["COURSE_MODE"] = "grading"  # the kernels inherit it: nothing trains
    try:
        with intake.opened(folder) as (opened, broken):
            found, problems = intake.find(opened, lessons)
            batch.problems = broken + problems
            if not found and not batch.problems:
                raise intake.IntakeError(f"{folder} holds no notebook: expected student/NN_name.ipynb")
            for done, submission in enumerate(found):
                if progress:
                    progress(f"{submission.student} · {submission.lesson}", done, len(found))
                name = submission.name
                try:
                    _grade_one(desk, workspace, submission, name, batch)
                except Exception as error:  # one broken submission never stops a batch
                    reason = str(error) or type(error).__name__
                    if _graded_before(desk, submission):
                        reason += "; the gradebook still holds an earlier grade"
                    batch.problems.append(Problem(submission.student, submission.lesson, name, reason))
            if progress:
                progress("", len(found), len(found))
    finally:
        os.environ.pop("COURSE_MODE")
        if old_mode is not None:
            os.environ["COURSE_MODE"] = old_mode
    return batch


def _grade_one(desk, workspace: Path, submission: intake.Submission, name: str, batch: Batch) -> None:
    student, lesson = submission.student, submission.lesson
    release = nbformat.read(workspace / "release" / lesson / f"{lesson}.ipynb", as_version=4)
    rebuilt, missing = intake.rebuild(intake.read(submission.path), release)
    if missing:
        reason = f"graded, but these cells were not found and count as blank: {', '.join(missing)}"
        batch.notes.append(Problem(student, lesson, name, reason))
    when = _timestamp(submission, name, batch)
    target = workspace / "submitted" / student / lesson
    if submission.path.resolve().is_relative_to(target.resolve()):
        # What is being read lies where the rebuilt notebook goes: keep the original, once.
        received = workspace / "received" / student / lesson
        if not received.exists():
            shutil.copytree(target, received)
    target.mkdir(parents=True, exist_ok=True)
    nbformat.write(rebuilt, target / f"{lesson}.ipynb")
    (target / "timestamp.txt").unlink(missing_ok=True)
    if when is not None:
        (target / "timestamp.txt").write_text(when)
    _succeed(desk.autograde(lesson, student, force=True, create=True), "grade")
    _succeed(desk.generate_feedback(lesson, student, force=True), "write feedback for")
    _read_back(desk, student, lesson, batch)
    batch.feedback[student, lesson] = workspace / "feedback" / student / lesson / f"{lesson}.html"


def _timestamp(submission: intake.Submission, name: str, batch: Batch) -> str | None:
    """When it was handed in, from nbgrader's ``timestamp.txt`` beside it; None if there is none that can be read."""
    from nbgrader.utils import parse_utc

    stamp = submission.path.with_name("timestamp.txt")
    if not stamp.is_file():
        return None
    text = stamp.read_text(errors="replace").strip()
    try:
        parse_utc(text)
    except Exception:  # dateutil raises many kinds
        reason = f"graded as not late: its timestamp.txt says {text[:40]!r}, which is no date"
        batch.notes.append(Problem(submission.student, submission.lesson, name, reason))
        return None
    return text


def _graded_before(desk, submission: intake.Submission) -> bool:
    from nbgrader.api import MissingEntry

    with desk.gradebook as book:
        try:
            recorded = book.find_submission(submission.lesson, submission.student)
        except MissingEntry:
            return False
        return any(cell.auto_score is not None for notebook in recorded.notebooks for cell in notebook.grades)


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
    if result["success"]:
        return
    told = f"{result.get('log', '')}\n{result.get('error', '')}"
    if "DeadKernelError" in told:
        raise RuntimeError("its code ended the Python process that ran it")
    errors = re.findall(r"^([\w.]*(?:Error|Exception): .+)$", told, re.MULTILINE)
    raise RuntimeError(f"nbgrader could not {what} it: {errors[0] if errors else told.strip()[-300:]}")
