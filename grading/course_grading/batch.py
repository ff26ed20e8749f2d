"""Grade a batch: mark every submission in a sandbox, and record it in nbgrader's gradebook."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from course_grading.autograde import answer_keys
from course_grading.autograde import workers as worker_pool
from course_grading.autograde.grade import Marked, Task
from course_grading.collect import archives, submissions
from course_grading.collect.submissions import Problem
from course_grading.gradebook import feedback, record, scores, verify
from course_grading.gradebook.nbgrader_api import open_desk
from course_grading.sandbox import host


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
    """One graded submission. ``score`` is what counts: less what nbgrader takes off for being
    late.
    """

    student: str
    lesson: str
    score: float
    max_score: float
    late: bool
    needs_manual: bool


@dataclass
class Batch:
    """What a run did. Every file found is in ``grades`` or in ``problems``; ``unproven`` is what
    its audit found.
    """

    grades: list[Grade] = field(default_factory=list)
    # graded all the same, but somebody should know
    notes: list[Problem] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    feedback: dict[tuple[str, str], Path] = field(default_factory=dict)
    unproven: list[str] = field(default_factory=list)


class NoSandbox(Exception):
    """Students' code can't be shut in here; the message says why, and how to proceed."""


def grade_batch(
    folder: Path,
    workspace: Path,
    progress: Callable[[str, int, int, int], None] | None = None,
    *,
    workers: int | None = None,
    dask: str | None = None,
    trusted: bool = False,
) -> Batch:
    """Grade what students handed in.

    A submission that was graded before, and has not changed, is not marked again: a run that was
    killed goes on where it was.

    Args:
        folder: a folder or zip of submissions, see :mod:`.intake`.
        workspace: nbgrader's course directory, with what ``course build`` released.
        progress: called after each submission with what it was, how many are done, how many there
            are, and how many problems were found so far.
        workers: processes that mark, by default one a processor core.
        dask: the address of a Dask scheduler whose workers mark instead.
        trusted: run the students' code as you, with no sandbox around it.

    Raises:
        IntakeError: if there is nothing to grade, nothing was released, or another run is at work
            here.
        KeyMissing: if a lesson was released, but what its author keeps is not there.
        NoSandbox: if students' code can't be shut in on this machine.
    """
    if (
        not trusted
        and dask is None
        and (why_not := host.available() or _in_reach(workspace, folder))
    ):
        raise NoSandbox(why_not)
    lessons = submissions.released(workspace)
    if not lessons:
        raise submissions.IntakeError(f"nothing is released in {workspace}: run course build first")
    with submissions.opened(folder) as (opened, broken):
        found, problems = submissions.find(opened, lessons)
        batch = Batch(problems=broken + problems)
        if not found and not batch.problems:
            raise submissions.IntakeError(
                f"{folder} holds no notebook: expected student/NN_name.ipynb"
            )
        workers = workers or len(os.sched_getaffinity(0))
        with _alone(workspace), contextlib.closing(feedback.Pages(workspace, workers)) as pages:
            run = _Run(workspace, opened, batch, pages, trusted, {s.lesson for s in found})
            for done, marked in enumerate(run.marked(found, workers, dask), 1):
                run.take(marked)
                if progress:
                    progress(
                        f"{marked.student} · {marked.lesson}", done, len(found), len(batch.problems)
                    )
            for student, lesson, why_not in pages.unmade():
                del batch.feedback[student, lesson]
                batch.problems.append(
                    Problem(student, lesson, "", f"graded, but without a page: {why_not}")
                )
    _read_back(run.desk, run.done, batch)
    everybody = [(submission.student, submission.lesson) for submission in found]
    batch.unproven = verify.unproven(run.desk, workspace, everybody, run.done, batch.problems)
    return batch


def _in_reach(*kept: Path) -> str:
    """Why students' code could read what is kept from it, here its course and the others' work;
    empty if it can't.
    """
    for place in kept:
        for around in host.shown():
            if place.resolve().is_relative_to(Path(around).resolve()):
                return (
                    f"{place} lies in {around}, which every sandbox shows: move it out of there, or, if that is where "
                    "Python's packages are, give them a folder of their own (uv sync makes .venv)"
                )
    return ""


@contextlib.contextmanager
def _alone(workspace: Path) -> Iterator[None]:
    """Keep other runs out of this workspace; a run that was killed keeps nobody out."""
    try:
        with FileLock(workspace / "grading.lock", timeout=0):
            yield
    except Timeout:
        raise submissions.IntakeError(
            f"another course grade is at work in {workspace}: wait until it has ended"
        ) from None


class _Run:
    """One run's place: its desk, its keys, and the batch that it fills."""

    def __init__(
        self, workspace: Path, opened: archives.Files, batch: Batch, pages, trusted: bool, lessons
    ):
        self.workspace, self.opened, self.batch, self.trusted = workspace, opened, batch, trusted
        self.pages, self.done = pages, set()
        self.desk = open_desk(workspace)
        self.keys = {lesson: answer_keys.read(workspace, lesson) for lesson in sorted(lessons)}
        self.secret = answer_keys.secret(workspace)

    def marked(
        self, found: list[submissions.Submission], workers: int | None, dask: str | None
    ) -> Iterator[Marked]:
        """Every submission marked: first those that an earlier run has marked, then the others."""
        waiting = []
        for submission in found:
            try:
                task = self._task(submission)
            except (OSError, ValueError) as error:
                yield Marked(
                    submission.student, submission.lesson, submission.name, "", problem=str(error)
                )
                continue
            known = record.kept(self.workspace, submission.student, submission.lesson)
            if known is not None and known.digest == task.digest(self.keys[task.lesson]):
                yield known
            else:
                waiting.append(submission)
        # read again when their turn comes, so that a large class needs no more memory than a small
        # one
        if waiting:
            tasks = (
                task for submission in waiting if (task := self._task_again(submission)) is not None
            )
            yield from worker_pool.marks(tasks, self.keys, workers=workers, dask=dask)

    def take(self, marked: Marked) -> None:
        """Keep and record one result, or note why there is none."""
        about = (marked.student, marked.lesson, marked.file)
        reason = marked.problem
        if not reason:
            try:
                self._record(marked)
            except Exception as error:  # one broken submission never stops a batch
                reason = str(error) or type(error).__name__
        if reason:
            if record.doubt(self.desk, self.workspace, marked.student, marked.lesson):
                reason += "; the gradebook holds an earlier grade, now marked as one to look at"
            self.batch.problems.append(Problem(*about, reason))
        elif marked.missing:
            reason = f"graded, but these cells were not found and count as blank: {', '.join(marked.missing)}"
            self.batch.notes.append(Problem(*about, reason))

    def _record(self, marked: Marked) -> None:
        student, lesson = marked.student, marked.lesson
        record.keep_original(
            self.workspace, marked, self.keys[lesson].release, self.opened[marked.file]
        )
        anew = not record.recorded(self.workspace, marked)
        if anew:
            feedback.page(self.workspace, student, lesson).unlink(missing_ok=True)
            record.keep(self.workspace, marked)
            record.record(self.desk, self.workspace, marked, self.keys[lesson].release)
        self.done.add((student, lesson))
        page = feedback.page(self.workspace, student, lesson)
        if anew or not page.is_file():
            self.pages.ask(student, lesson)
        self.batch.feedback[student, lesson] = page

    def _task(self, submission: submissions.Submission) -> Task:
        if submission.path.stat().st_size > submissions.MAX_BYTES:
            raise ValueError(submissions.TOO_LARGE)
        student, lesson = submission.student, submission.lesson
        seeds = answer_keys.seeds(self.secret, self.keys[lesson], student)
        data, when = submission.path.read_bytes(), self._timestamp(submission)
        return Task(student, lesson, submission.name, data, seeds, when, self.trusted)

    def _task_again(self, submission: submissions.Submission) -> Task | None:
        try:
            return self._task(submission)
        except (OSError, ValueError) as error:  # it has changed since the run began
            about = (submission.student, submission.lesson, submission.name)
            self.batch.problems.append(Problem(*about, f"it could not be read any more: {error}"))
            return None

    def _timestamp(self, submission: submissions.Submission) -> str | None:
        """When it was handed in, from nbgrader's ``timestamp.txt`` beside it; None if none can be
        read.
        """
        from nbgrader.utils import parse_utc

        text = submissions.stamp(submission.path)
        if text is None:
            return None
        try:
            parse_utc(text)
        except Exception:  # dateutil raises many kinds
            reason = f"graded as not late: its timestamp.txt says {text[:40]!r}, which is no date"
            note = Problem(submission.student, submission.lesson, submission.name, reason)
            if note not in self.batch.notes:
                self.batch.notes.append(note)
            return None
        return text


def _read_back(desk, done: set[tuple[str, str]], batch: Batch) -> None:
    """Take the results from nbgrader's gradebook, which is the record."""
    with desk.gradebook as book:
        for total in scores.totals(book):
            if (total.student, total.lesson) in done:
                late = bool(total.handed_in and total.due and total.handed_in > total.due)
                about = (total.student, total.lesson, total.score, total.max_score)
                batch.grades.append(Grade(*about, late, total.provisional))
        for item in scores.items(book):
            if (item.student, item.lesson) in done:
                batch.items.append(
                    Item(item.student, item.lesson, item.name, item.score, item.max_score)
                )
