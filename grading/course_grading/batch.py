"""Grade a batch: run every submission in a sandbox, and record the results in nbgrader's
gradebook.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from course_grading.autograde import answer_keys
from course_grading.autograde import workers as worker_pool
from course_grading.autograde.answer_keys import AnswerKey
from course_grading.autograde.grade import GradingTask, SubmissionResult
from course_grading.collect import archives, other_variant, submissions
from course_grading.collect.problems import Problem
from course_grading.collect.submissions import Submission
from course_grading.errors import AnswerKeyError, IntakeError, SandboxUnavailableError
from course_grading.gradebook import feedback, record, scores, verify
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.sandbox import host


@dataclass(frozen=True)
class Grade:
    """One graded submission. ``score`` is what counts, after nbgrader's late penalty."""

    student: str
    lesson: str
    score: float
    max_score: float
    late: bool
    needs_manual: bool


@dataclass
class Batch:
    """What a run did. Every file is in ``grades`` or in ``problems``.

    ``notes`` are about graded submissions that somebody should look at, ``feedback`` the pages by
    student and lesson, ``audit_findings`` what does not hold after the run (empty if all is well).
    """

    grades: list[Grade] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    items: list[scores.Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    feedback: dict[tuple[str, str], Path] = field(default_factory=dict)
    audit_findings: list[str] = field(default_factory=list)


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

    A submission that was graded before and has not changed is not graded again, so that a run that
    was killed can be resumed.

    Args:
        folder: a folder or zip of submissions, see :mod:`.submissions`.
        workspace: nbgrader's course directory, with what ``course build`` released.
        progress: called after each submission with its name, how many are done, how many there
            are, and the number of problems so far.
        workers: grading processes, by default one per processor core.
        dask: the address of a Dask scheduler whose workers grade instead.
        trusted: run the students' code as you, without a sandbox.

    Raises:
        IntakeError: if there is nothing to grade, nothing was released, or another run uses this
            workspace.
        AnswerKeyError: if a lesson was released, but its instructor notebook is missing.
        SandboxUnavailableError: if students' code can't be isolated on this machine.
    """
    if not trusted and dask is None:
        reason = host.unavailable_reason() or _visible_to_students(workspace, folder)
        if reason:
            raise SandboxUnavailableError(reason)
    lessons = submissions.released_lessons(workspace)
    if not lessons:
        raise IntakeError(f"nothing is released in {workspace}: run course build first")
    with archives.open_submissions(folder) as (files, broken):
        found, problems = submissions.find(files, lessons)
        batch = Batch(problems=broken + problems, notes=submissions.notes(found))
        if not found and not batch.problems:
            raise IntakeError(f"{folder} holds no notebook: expected student/NN_name.ipynb")
        workers = workers or len(os.sched_getaffinity(0))
        with (
            _exclusive(workspace),
            contextlib.closing(feedback.FeedbackPages(workspace, workers)) as pages,
        ):
            run = _Run(workspace, files, batch, pages, trusted, {s.lesson for s in found})
            for done, result in enumerate(run.grade(found, workers, dask), 1):
                run.record(result)
                if progress:
                    name = f"{result.student} · {result.lesson}"
                    progress(name, done, len(found), len(batch.problems))
            for student, lesson, reason in pages.wait():
                del batch.feedback[student, lesson]
                batch.problems.append(
                    Problem(student, lesson, "", f"graded, but without a feedback page: {reason}")
                )
    marked_late = {(s.student, s.lesson) for s in found if s.is_marked_late}
    _read_gradebook(run.api, run.graded, batch, marked_late)
    batch.audit_findings = verify.audit(
        run.api, workspace, [(s.student, s.lesson) for s in found], run.graded, batch.problems
    )
    return batch


def _visible_to_students(*places: Path) -> str:
    """Why students' code could read these places, the course and the others' work; empty if it
    can't.
    """
    for place in places:
        for visible in host.visible_places():
            if place.resolve().is_relative_to(Path(visible).resolve()):
                return (
                    f"{place} lies in {visible}, which every sandbox shows: move it out of there, "
                    "or, if that is where Python's packages are, give them a folder of their own "
                    "(uv sync makes .venv)"
                )
    return ""


@contextlib.contextmanager
def _exclusive(workspace: Path) -> Iterator[None]:
    """Lock this workspace for one run; the operating system releases the lock if the run dies."""
    try:
        with FileLock(workspace / "grading.lock", timeout=0):
            yield
    except Timeout:
        raise IntakeError(
            f"another course grade is at work in {workspace}: wait until it has ended"
        ) from None


class _Run:
    """One run: nbgrader's API, the answer keys, and the batch that it fills."""

    def __init__(
        self,
        workspace: Path,
        files: archives.Files,
        batch: Batch,
        pages: feedback.FeedbackPages,
        trusted: bool,
        lessons: Iterable[str],
    ):
        self.workspace = workspace
        self.files = files
        self.batch = batch
        self.pages = pages
        self.trusted = trusted
        self.graded: set[tuple[str, str]] = set()
        self.api = open_api(workspace)
        self.keys = {lesson: answer_keys.read(workspace, lesson) for lesson in sorted(lessons)}
        self.secret = answer_keys.course_secret(workspace)

    def grade(
        self, found: list[Submission], workers: int | None, dask: str | None
    ) -> Iterator[SubmissionResult]:
        """The result of every submission: first the stored ones of earlier runs, then new ones."""
        waiting = []
        for submission in found:
            student, lesson = submission.student, submission.lesson
            try:
                task = self._task(submission)
            except (OSError, ValueError, AnswerKeyError) as error:
                yield SubmissionResult(student, lesson, submission.name, "", problem=str(error))
                continue
            stored = record.load_result(self.workspace, student, lesson)
            if stored is not None and stored.digest == task.digest(task.key or self.keys[lesson]):
                yield stored
            else:
                waiting.append(submission)
        if waiting:
            # each is read again when it is graded, so that a large class needs no more memory
            tasks = filter(None, map(self._task_again, waiting))
            yield from worker_pool.grade_all(tasks, self.keys, workers=workers, dask=dask)

    def record(self, result: SubmissionResult) -> None:
        """Store and record one result, or list why there is none."""
        reason = result.problem
        if not reason:
            try:
                self._record(result)
            except Exception as error:  # one broken submission must not stop the batch
                reason = str(error) or type(error).__name__
        if reason:
            if record.flag_for_review(self.api, self.workspace, result.student, result.lesson):
                reason += "; the gradebook holds an earlier grade, now flagged for manual grading"
            self.batch.problems.append(Problem(result.student, result.lesson, result.file, reason))
        elif result.missing:
            note = (
                "graded, but these cells were not found and count as blank: "
                f"{', '.join(result.missing)}"
            )
            self.batch.notes.append(Problem(result.student, result.lesson, result.file, note))

    def _record(self, result: SubmissionResult) -> None:
        student, lesson = result.student, result.lesson
        release = self._key(student, lesson).release
        reason = self._other_variant(result.file, release)
        record.archive_original(self.workspace, result, release, self.files[result.file])
        page = feedback.page_path(self.workspace, student, lesson)
        if not record.is_recorded(self.workspace, result):
            page.unlink(missing_ok=True)
            record.save_result(self.workspace, result)
            record.record_result(self.api, self.workspace, result, release)
        self.graded.add((student, lesson))
        if not page.is_file():
            self.pages.request(student, lesson)
        self.batch.feedback[student, lesson] = page
        if reason:
            self.batch.notes.append(Problem(student, lesson, result.file, reason))

    def _other_variant(self, file: str, release: str) -> str:
        """Why a submission to a seeded release may be of another variant; empty if it is not."""
        if not (self.workspace / "variants.json").is_file():
            return ""
        return other_variant.describe(self.files[file].read_bytes(), release)

    def _task(self, submission: Submission) -> GradingTask:
        student, lesson = submission.student, submission.lesson
        seeds = answer_keys.seeds(self.secret, self.keys[lesson], student)
        data, timestamp = submission.read(), submission.timestamp
        key = self._own_key(student, lesson)
        return GradingTask(
            student, lesson, submission.name, data, seeds, timestamp, self.trusted, key
        )

    def _own_key(self, student: str, lesson: str) -> AnswerKey | None:
        """The key of a student who got an own variant; read when needed, as classes are large."""
        if not answer_keys.has_own(self.workspace, lesson, student):
            return None
        return answer_keys.read(self.workspace, lesson, student)

    def _key(self, student: str, lesson: str) -> AnswerKey:
        return self._own_key(student, lesson) or self.keys[lesson]

    def _task_again(self, submission: Submission) -> GradingTask | None:
        try:
            return self._task(submission)
        except (OSError, ValueError, AnswerKeyError) as error:  # it has changed since the run began
            reason = f"it could not be read any more: {error}"
            self.batch.problems.append(
                Problem(submission.student, submission.lesson, submission.name, reason)
            )
            return None


def _read_gradebook(
    api, graded: set[tuple[str, str]], batch: Batch, marked_late: set[tuple[str, str]]
) -> None:
    """Take the scores from nbgrader's gradebook, which is the record; a platform's mark that
    something is late is added to what nbgrader knows.
    """
    with api.gradebook as gradebook:
        for total in scores.totals(gradebook):
            if (total.student, total.lesson) in graded:
                late = bool(total.handed_in and total.due and total.handed_in > total.due)
                late = late or (total.student, total.lesson) in marked_late
                batch.grades.append(
                    Grade(
                        total.student,
                        total.lesson,
                        total.score,
                        total.max_score,
                        late,
                        needs_manual=total.provisional,
                    )
                )
        batch.items = [
            item for item in scores.items(gradebook) if (item.student, item.lesson) in graded
        ]
