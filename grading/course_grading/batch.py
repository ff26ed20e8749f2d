"""Grade a batch: run every submission in a sandbox, and record the results in nbgrader's
gradebook.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from course_grading.assign.editions import Editions, Match, keep
from course_grading.autograde import answer_keys
from course_grading.autograde import workers as worker_pool
from course_grading.autograde.answer_keys import AnswerKey
from course_grading.autograde.grade import GradingTask, SubmissionResult
from course_grading.collect import archives, groups, other_variant, submissions
from course_grading.collect.problems import Problem
from course_grading.collect.submissions import Submission
from course_grading.collect.timestamps import SubmissionTime
from course_grading.errors import AnswerKeyError, IntakeError, SandboxUnavailableError
from course_grading.export import class_list
from course_grading.export.class_list import MissingSubmission
from course_grading.gradebook import (
    due_dates,
    feedback,
    formgrader,
    lateness,
    originals,
    overrides,
    record,
    recorded,
    replies,
    scores,
    shared,
    state,
    ungraded,
    verify,
)
from course_grading.gradebook.changes import Change, compare
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.gradebook.recorded import SubmissionId
from course_grading.sandbox import host


@dataclass(frozen=True)
class Grade:
    """One graded submission. ``score`` is the final score, after nbgrader's late penalty."""

    student: str
    lesson: str
    score: float
    max_score: float
    late: bool
    needs_manual: bool
    name: str = ""


@dataclass
class Batch:
    """The results of a run. Every file is in ``grades`` or in ``problems``.

    ``notes`` are remarks on graded submissions that the instructor should check, ``feedback`` the
    pages by student and lesson, ``audit_findings`` the inconsistencies after the run. ``changes``
    are the differences from the last run, for all submissions that were graded before.
    ``marked_late`` are submissions that the platform marks as late without a time, which the
    instructor must supply. The fields that begin with ``class_`` cover the whole gradebook.
    ``places`` are the items' places in formgrader by lesson, see :mod:`.gradebook.formgrader`.
    """

    grades: list[Grade] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    items: list[scores.Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    feedback: dict[tuple[str, str], Path] = field(default_factory=dict)
    audit_findings: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    class_grades: list[Grade] = field(default_factory=list)
    class_items: list[scores.Item] = field(default_factory=list)
    class_feedback: dict[tuple[str, str], Path] = field(default_factory=dict)
    class_results: dict[tuple[str, str], SubmissionResult] = field(default_factory=dict)
    missing_submissions: list[MissingSubmission] = field(default_factory=list)
    marked_late: set[SubmissionId] = field(default_factory=set)
    places: dict[str, dict[str, str]] = field(default_factory=dict)


def grade_batch(
    folder: Path,
    workspace: Path,
    progress: Callable[[str, int, int, int], None] | None = None,
    *,
    workers: int | None = None,
    dask: str | None = None,
    trusted: bool = False,
    only: Collection[str] | None = None,
) -> Batch:
    """Grade a folder or archive of submissions.

    A submission that was graded before and has not changed is not graded again, so a killed run can
    be resumed.

    Args:
        folder: a folder or archive of submissions, see :mod:`.collect.submissions`.
        workspace: nbgrader's course directory, with the releases of ``course build``.
        progress: called after each submission with its name, the number of submissions done, their
            total number, and the number of problems so far.
        workers: grading processes, by default one per processor core.
        dask: the address of a Dask scheduler whose workers grade instead.
        trusted: run the students' code as you, without a sandbox.
        only: the names of the files in the folder to grade; None for all.

    Raises:
        IntakeError: if there is nothing to grade, nothing was released, or another run uses this
            workspace.
        AnswerKeyError: if a lesson was released, but its instructor notebook is missing.
        SandboxUnavailableError: if students' code can't be isolated on this machine.
    """
    _check_sandbox(trusted, dask, workspace, folder)
    lessons = submissions.released_lessons(workspace)
    if not lessons:
        raise IntakeError(f"nothing is released in {workspace}: run course build first")
    with archives.open_submissions(folder, only) as (files, broken):
        dates = due_dates.read(workspace, list(lessons))
        found, problems = submissions.find(files, lessons, zone=dates.time_zone)
        if not found and not broken and not problems:
            raise IntakeError(f"{folder} contains no notebook: expected student/NN_name.ipynb")
        found, not_in_class = _split_by_class(found, workspace)
        found = due_dates.apply_submission_times(found, dates)
        found, refused = _share_in_groups(found, workspace)
        found = due_dates.apply_submission_times(found, dates)  # again, for other members of groups
        batch = Batch(
            problems=broken + problems + not_in_class + refused,
            notes=submissions.notes(found) + groups.notes(found),
        )
        return _run(workspace, files, found, batch, progress, workers, dask, trusted)


def _split_by_class(
    found: list[Submission], workspace: Path
) -> tuple[list[Submission], list[Problem]]:
    """The submissions of students on the class list, and a problem for each other one; without a
    class list, all submissions.
    """
    members = class_list.load(workspace)
    if members is None:
        return found, []
    reason = (
        "no student of the class has this name, or more than one has: correct the name, or "
        f"{workspace / 'roster.csv'}, or take the class again with course class --roster FILE"
    )
    in_class, problems = [], []
    for submission in found:
        if members.find(submission.student) is not None:
            in_class.append(submission)
        else:
            student, lesson, name = submission.student, submission.lesson, submission.name
            problems.append(Problem(student, lesson, name, reason))
    return in_class, problems


def _share_in_groups(
    found: list[Submission], workspace: Path
) -> tuple[list[Submission], list[Problem]]:
    """Copy group submissions to all members; return the submissions, and problems for groups that
    submitted different files.
    """
    members = class_list.load(workspace)
    students = [submission.student for submission in found]
    students += [folder.name for folder in sorted(workspace.glob("originals/*"))]

    def find_earlier(student: str, lesson: str) -> groups.Earlier | None:
        original = originals.find(workspace, student, lesson)
        if original is None:
            return None
        return groups.Earlier(original.sha256, original.submitter or student)

    class_groups = members.groups(students) if members else []
    return groups.share(found, class_groups, find_earlier, workspace)


@dataclass(frozen=True)
class Selection:
    """The results to grade again even if nothing has changed: those that match every criterion with
    at least one name. None if all criteria are empty.
    """

    students: frozenset[str] = frozenset()
    lessons: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()

    def __contains__(self, result: SubmissionResult) -> bool:
        if not (self.students or self.lessons or self.items):
            return False
        return (
            (not self.students or result.student in self.students)
            and (not self.lessons or result.lesson in self.lessons)
            and (not self.items or any(item.name in self.items for item in result.items))
        )


def regrade(
    workspace: Path,
    selection: Selection = Selection(),
    progress: Callable[[str, int, int, int], None] | None = None,
    *,
    workers: int | None = None,
    dask: str | None = None,
    trusted: bool = False,
) -> Batch:
    """Apply changed due dates, overrides, answer keys, manual scores and comments, without a folder
    of submissions. The selected submissions are always graded again, from their originals.

    Raises:
        IntakeError: if nothing was graded yet, the selection is empty, or another run uses this
            workspace.
        AnswerKeyError, SandboxUnavailableError: as :func:`grade_batch`.
    """
    _check_sandbox(trusted, dask, workspace)
    stored = list(record.stored_results(workspace))
    if not stored:
        raise IntakeError("nothing was graded yet: run course grade FOLDER first")
    chosen = selection != Selection()
    if chosen and not any(result in selection for result in stored):
        raise IntakeError("no graded submission matches: compare the names with grades/items.csv")
    return _run(
        workspace, archives.Files(), [], Batch(), progress, workers, dask, trusted, selection
    )


def _check_sandbox(trusted: bool, dask: str | None, *places: Path) -> None:
    if not trusted and dask is None:
        reason = host.unavailable_reason() or _visible_to_students(*places)
        if reason:
            raise SandboxUnavailableError(reason)


def _run(
    workspace: Path,
    files: archives.Files,
    found: list[Submission],
    batch: Batch,
    progress: Callable[[str, int, int, int], None] | None,
    workers: int | None,
    dask: str | None,
    trusted: bool,
    selection: Selection = Selection(),
) -> Batch:
    """Grade the submissions that were found and the outdated ones, and fill the batch."""
    workers = workers or len(os.sched_getaffinity(0))
    with (
        exclusive(workspace),
        contextlib.closing(feedback.FeedbackPages(workspace, workers)) as pages,
    ):
        run = _Run(workspace, files, batch, pages, trusted, {s.lesson for s in found})
        queue = [*run.submitted(found), *run.kept(found, selection)]
        run.prepare()
        with shared.share(run.api):
            for done, result in enumerate(run.grade(queue, workers, dask), 1):
                run.record(result)
                if progress:
                    name = f"{result.student} · {result.lesson}"
                    progress(name, done, len(queue), len(batch.problems))
        run.finish()
        final = _read_gradebook(run.api, run.graded, workspace, batch)
        state.save(workspace, final)
    batch.changes = compare(run.before, final)
    batch.audit_findings = verify.audit(
        final, workspace, [(s.student, s.lesson) for s in found], run.graded, batch.problems
    )
    return batch


def _visible_to_students(*places: Path) -> str:
    """An error message if students' code could read one of these places in the sandbox, else
    empty.
    """
    for place in places:
        for visible in host.visible_places():
            if place.resolve().is_relative_to(Path(visible).resolve()):
                return (
                    f"{place} lies in {visible}, which is visible in the sandbox: move it out of "
                    "there, or, if Python's packages are in that folder, install them in a virtual "
                    "environment (uv sync makes .venv)"
                )
    return ""


@contextlib.contextmanager
def exclusive(workspace: Path) -> Iterator[None]:
    """Lock this workspace for one run; the operating system releases the lock if the run dies."""
    try:
        with FileLock(workspace / "grading.lock", timeout=0):
            yield
    except Timeout:
        raise IntakeError(
            f"another run of course is using {workspace}: wait until it has ended"
        ) from None


@dataclass(frozen=True)
class _Work:
    """One submission to grade, which is read later. ``match`` holds its answer key.

    If the student has a variant (``has_own_key``), the variant's key is used instead. It is read
    only when it is needed, because a class has many.
    """

    student: str
    lesson: str
    file: str
    timestamp: str | None
    match: Match
    read: Callable[[], bytes]
    from_original: bool = False  # not in the folder: read the original that an earlier run kept
    force: bool = False  # grade it even if nothing has changed
    has_own_key: bool = False
    is_marked_late: bool = False  # by the platform's name for it
    submitter: str = ""  # the member of the student's group who handed it in; see collect.groups
    handed_in_by: str = ""

    @property
    def owner(self) -> str:
        """The student whose hidden cases and variant are used: a group has one score."""
        return self.submitter or self.student


class _Run:
    """The state of one run: nbgrader's API, the answer keys, and the batch that it fills.

    ``before`` is the state of the gradebook after the last run. ``lost`` are submissions that have
    a stored result, but are missing in the gradebook.
    """

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
        self.graded: set[SubmissionId] = set()
        self.api = open_api(workspace)
        self.editions: dict[str, Editions] = {}
        self.overrides = overrides.read(workspace)
        self.replies = replies.read(workspace)
        for lesson in sorted(lessons):
            self._read_key(lesson)
        self.secret = answer_keys.course_secret(workspace)
        self.works: dict[SubmissionId, _Work] = {}
        self.before = state.load(workspace)
        self.members = class_list.load(workspace)
        self.due_dates = due_dates.read(workspace, list(submissions.released_lessons(workspace)))
        with self.api.gradebook as book:
            self.recorded = recorded.digests(book)
            known = {(total.student, total.lesson) for total in scores.totals(book)}
        stored = {(r.student, r.lesson) for r in record.stored_results(workspace)}
        self.lost = stored - known

    def _read_key(self, lesson: str) -> None:
        if lesson not in self.editions:
            keep(self.workspace, lesson)
            key = overrides.read_key(self.workspace, lesson, self.overrides)
            self.editions[lesson] = Editions(self.workspace, key)

    def submitted(self, found: list[Submission]) -> Iterator[_Work]:
        """Queue submissions; those that can't be read are reported as problems."""
        for submission in found:
            student, lesson, name = submission.student, submission.lesson, submission.name
            try:
                owner = submission.submitter or student
                match, has_own_key = self._match(owner, lesson, submission.read())
            except Exception as error:  # one broken submission must not stop the batch
                reason = str(error) or type(error).__name__
                self.record(SubmissionResult(student, lesson, name, "", problem=reason))
                continue
            yield _Work(
                student,
                lesson,
                name,
                submission.timestamp,
                match,
                submission.read,
                has_own_key=has_own_key,
                is_marked_late=submission.is_marked_late,
                submitter=submission.submitter,
                handed_in_by=submission.handed_in_by,
            )

    def _match(self, student: str, lesson: str, data: bytes) -> tuple[Match, bool]:
        """The answer key for a submission, and whether the student's variant has its own."""
        if answer_keys.has_own(self.workspace, lesson, student):
            return Match(self.editions[lesson].key), True
        return self.editions[lesson].match(data), False

    def _own_key(self, work: _Work) -> AnswerKey | None:
        if not work.has_own_key:
            return None
        return overrides.read_key(self.workspace, work.lesson, self.overrides, work.owner)

    def _key(self, work: _Work) -> AnswerKey:
        return self._own_key(work) or work.match.key

    def kept(self, found: list[Submission], selection: Selection) -> Iterator[_Work]:
        """Queue the originals of earlier submissions that are selected, or were graded with an
        outdated answer key or time.
        """
        in_folder = {(submission.student, submission.lesson) for submission in found}
        for result in list(record.stored_results(self.workspace)):
            student, lesson = result.student, result.lesson
            if (student, lesson) in in_folder or not self._has_key(result):
                continue
            original = originals.find(self.workspace, student, lesson)
            if original is None or original.result != result.digest:
                self._note(
                    result,
                    "it was graded before originals were kept: if the answer key has changed "
                    "since, give this submission to course grade again",
                )
                continue
            timestamp = self._timestamp(original)
            force = result in selection or timestamp != original.timestamp
            if original.key == self.editions[lesson].key.digest and not force:
                continue
            read = partial(originals.read, self.workspace, original)
            try:
                match, has_own_key = self._match(original.submitter or student, lesson, read())
            except (OSError, EOFError) as error:
                self._note(result, f"its score is from an outdated answer key ({error})")
                continue
            yield _Work(
                student,
                lesson,
                original.file,
                timestamp,
                match,
                read,
                from_original=True,
                force=force,
                has_own_key=has_own_key,
                is_marked_late=original.is_marked_late,
                submitter=original.submitter,
                handed_in_by=original.handed_in_by,
            )

    def _timestamp(self, original: originals.Original) -> str | None:
        """An original's submission time; the entry in due_dates.toml takes precedence."""
        time = self.due_dates.submission_times.get((original.student, original.lesson))
        if time is None:
            return original.timestamp
        return SubmissionTime(time, due_dates.FILE_NAME).timestamp

    def prepare(self) -> None:
        """Prepare the gradebook for recording: reset the items' maximum scores to the release's,
        and set aside manual scores of overridden items.
        """
        with self.api.gradebook as book:
            overrides.set_points(book, self.keys, {})
            overrides.set_aside_manual_scores(book, self.workspace, self.keys, self.overrides)

    @property
    def keys(self) -> dict[str, answer_keys.AnswerKey]:
        """The answer keys of this run's lessons."""
        return {lesson: editions.key for lesson, editions in self.editions.items()}

    def _has_key(self, result: SubmissionResult) -> bool:
        try:
            self._read_key(result.lesson)
        except AnswerKeyError as error:
            self._note(result, str(error))
            return False
        return True

    def _note(self, result: SubmissionResult, reason: str) -> None:
        self.batch.notes.append(Problem(result.student, result.lesson, result.file, reason))

    def grade(
        self, queue: list[_Work], workers: int | None, dask: str | None
    ) -> Iterator[SubmissionResult]:
        """Yield the result of every submission: first stored results, then new ones."""
        waiting: dict[str, list[_Work]] = {}  # by the digest of the answer key
        for work in queue:
            self.works[work.student, work.lesson] = work
            for note in work.match.notes:
                problem = Problem(work.student, work.lesson, work.file, note)
                self.batch.notes.append(problem)
            try:
                task = self._task(work)
            except (OSError, ValueError, AnswerKeyError) as error:
                yield self._unread(work, str(error))
                continue
            stored = record.load_result(self.workspace, work.student, work.lesson)
            unchanged = stored is not None and stored.digest == task.digest(
                task.key or work.match.key
            )
            if stored is not None and unchanged and not work.force:
                yield stored
            else:
                waiting.setdefault(work.match.key.digest, []).append(work)
        # In each pass every lesson has one key; nearly all submissions have the current one.
        lesson_of = {digest: group[0].lesson for digest, group in waiting.items()}
        while waiting:
            key_of = {lesson_of[digest]: digest for digest in reversed(waiting)}
            groups = [waiting.pop(digest) for digest in key_of.values()]
            keys = {group[0].lesson: group[0].match.key for group in groups}
            # submissions are read again when they are graded: memory does not grow with the class
            tasks = filter(None, (self._reread(work) for group in groups for work in group))
            for result in worker_pool.grade_all(tasks, keys, workers=workers, dask=dask):
                work = self.works[result.student, result.lesson]
                result = _flag(result, work.match.manual)
                yield overrides.apply(result, self.overrides)

    def record(self, result: SubmissionResult) -> None:
        """Store and record one result, or report why there is none."""
        reason = result.problem
        if not reason:
            try:
                self._record(result)
            except Exception as error:  # one broken submission must not stop the batch
                reason = str(error) or type(error).__name__
        work = self.works.get((result.student, result.lesson))
        if reason and work is not None and work.from_original:
            self._note(
                result, f"its score is from an outdated answer key, and grading failed: {reason}"
            )
        elif reason:
            if record.flag_for_review(self.api, self.workspace, result.student, result.lesson):
                reason += "; the gradebook holds an earlier grade, now flagged for manual grading"
            self.batch.problems.append(Problem(result.student, result.lesson, result.file, reason))
        elif work is not None and work.from_original:
            if not work.force:
                self._note(result, "graded again: the answer key has changed since its last run")
        elif result.missing:
            note = (
                "graded, but these cells were not found and count as blank: "
                f"{', '.join(result.missing)}"
            )
            self.batch.notes.append(Problem(result.student, result.lesson, result.file, note))

    def _record(self, result: SubmissionResult) -> None:
        student, lesson = id = result.student, result.lesson
        work = self.works[id]
        release = self._key(work).release
        if result.file in self.files and not work.from_original:
            if (self.workspace / "variants.json").is_file() and (
                reason := other_variant.describe(work.read(), release)
            ):
                self._note(result, reason)
            record.archive_original(self.workspace, result, release, self.files[result.file])
        self._keep_original(result, work)
        if work.force or not record.is_recorded(self.workspace, result, self.recorded):
            feedback.page_path(self.workspace, student, lesson).unlink(missing_ok=True)
            record.save_result(self.workspace, result)
            record.record_result(self.api, self.workspace, result, release)
            self.recorded[id] = result.digest
        self.graded.add(id)

    def _keep_original(self, result: SubmissionResult, work: _Work) -> None:
        """Keep the file from which a result was computed, unless the file has changed since."""
        known = originals.find(self.workspace, result.student, result.lesson)
        key = self.editions[result.lesson].key.digest
        if known is not None and (
            (known.result, known.key, known.is_marked_late, known.submitter, known.handed_in_by)
            == (result.digest, key, work.is_marked_late, work.submitter, work.handed_in_by)
        ):
            return
        task = self._task(work)
        if task.digest(task.key or work.match.key) == result.digest:
            original = originals.Original(
                student=result.student,
                lesson=result.lesson,
                file=result.file,
                sha256=originals.digest(task.data),
                timestamp=result.timestamp,
                key=key,
                result=result.digest,
                is_marked_late=work.is_marked_late,
                submitter=work.submitter,
                handed_in_by=work.handed_in_by,
            )
            originals.keep(self.workspace, original, task.data)

    def finish(self) -> None:
        """Record lost results again, update dates and penalties, and renew stale feedback pages."""
        with shared.share(self.api):
            self._record_lost()
        with self.api.gradebook as book:
            known = {(total.student, total.lesson) for total in scores.totals(book)}
            state.restore_decisions(book, self.before, self.lost & known)
            self._apply_dates_and_names(book, known)
            overrides.set_points(book, self.keys, self.overrides)
        lateness.update_penalties(self.api)
        with self.api.gradebook as book:
            current = state.read(book, self.workspace)
        self._note_lost_replies(current)
        for (student, lesson), entry in current.items():
            page = feedback.page_path(self.workspace, student, lesson)
            if entry.result and feedback.read_fingerprint(page) != entry.fingerprint:
                self.pages.request(student, lesson)
        failed = set()
        for student, lesson, reason in self.pages.wait():
            failed.add((student, lesson))
            file = self.works[student, lesson].file if (student, lesson) in self.works else ""
            self.batch.problems.append(
                Problem(student, lesson, file, f"graded, but without a feedback page: {reason}")
            )
        for id in current.keys() - failed:
            page = feedback.page_path(self.workspace, *id)
            if page.is_file():
                self.batch.class_feedback[id] = page
                if id in self.graded:
                    self.batch.feedback[id] = page

    def _note_lost_replies(self, current: state.State) -> None:
        """Report replies that are on no feedback page."""
        for (student, lesson), items in self.replies.items():
            entry = current.get((student, lesson))
            known = entry.items if entry else {}
            for item in items.keys() - known.keys():
                reason = (
                    f"the reply about {item} is on no page: no graded submission has this student, "
                    "lesson and item. Compare the names with grades/items.csv"
                )
                self.batch.notes.append(Problem(student, lesson, overrides.NAME, reason))

    def _apply_dates_and_names(self, book, known: set[SubmissionId]) -> None:
        days = class_list.extension_days(self.members, {student for student, _ in known})
        due_dates.apply(book, self.workspace, self.due_dates, days, self.members)
        for sentence in due_dates.find_warnings(book, self.workspace, self.due_dates, self.members):
            self.batch.notes.append(Problem("", "", "due dates", sentence))
        problems = ungraded.remember(self.workspace, self.batch.problems, known)
        if self.members is not None:
            self.members.fill_names(book)
            self.batch.missing_submissions = self.members.missing_submissions(known, problems)

    def _record_lost(self) -> None:
        for result in list(record.stored_results(self.workspace)):
            id = result.student, result.lesson
            if id in self.works or self.recorded.get(id) == result.digest:
                continue
            if not self._has_key(result):
                continue
            original = originals.find(self.workspace, *id)
            try:
                key = self.editions[result.lesson].key
                owner = original.submitter or result.student if original else result.student
                if answer_keys.has_own(self.workspace, result.lesson, owner):
                    key = answer_keys.read(self.workspace, result.lesson, owner)
                elif original is not None:
                    data = originals.read(self.workspace, original)
                    key = self.editions[result.lesson].match(data).key
                record.record_result(self.api, self.workspace, result, key.release)
            except Exception as error:  # record the others anyway
                reason = (
                    "it is missing in the gradebook, and its stored result could not be recorded "
                    f"again: {error}. Give the submission to course grade again"
                )
                self.batch.problems.append(Problem(*id, result.file, reason))
            else:
                self._note(result, "it was missing in the gradebook: recorded again")

    def _task(self, work: _Work) -> GradingTask:
        student, lesson = work.student, work.lesson
        seeds = answer_keys.seeds(self.secret, work.match.key, work.owner)
        data = work.read()
        return GradingTask(
            student,
            lesson,
            work.file,
            data,
            seeds,
            work.timestamp,
            self.trusted,
            self._own_key(work),
        )

    def _reread(self, work: _Work) -> GradingTask | None:
        try:
            return self._task(work)
        except (OSError, ValueError, AnswerKeyError) as error:  # it has changed since the run began
            reason = f"it could not be read again: {error}"
            self.batch.problems.append(Problem(work.student, work.lesson, work.file, reason))
            return None

    def _unread(self, work: _Work, reason: str) -> SubmissionResult:
        return SubmissionResult(work.student, work.lesson, work.file, "", problem=reason)


def _flag(result: SubmissionResult, manual: Iterable[str]) -> SubmissionResult:
    """The result with these items flagged for manual grading, and with 0 points until then."""
    message = "Your question is in no kept release. Your instructor will look at it."
    items = (
        replace(item, score=0.0, message=message, manual=True) if item.name in manual else item
        for item in result.items
    )
    return replace(result, items=tuple(items)) if manual else result


def _read_gradebook(api, graded: set[SubmissionId], workspace: Path, batch: Batch) -> state.State:
    """Fill the batch with scores from nbgrader's gradebook; return the gradebook's state."""
    with api.gradebook as gradebook:
        final = state.read(gradebook, workspace)
        marked_late = {id for id, entry in final.items() if entry.marked_late}
        batch.class_grades = [
            Grade(
                total.student,
                total.lesson,
                total.score,
                total.max_score,
                total.late or (total.student, total.lesson) in marked_late,
                needs_manual=total.provisional or (total.student, total.lesson) in marked_late,
                name=total.name,
            )
            for total in scores.totals(gradebook)
            if total.graded
        ]
        batch.class_items = scores.items(gradebook)
    batch.marked_late = marked_late
    batch.places = {
        lesson: formgrader.read_places(workspace, lesson)
        for lesson in sorted({grade.lesson for grade in batch.class_grades})
    }
    batch.class_results = {(r.student, r.lesson): r for r in record.stored_results(workspace)}
    batch.grades = [g for g in batch.class_grades if (g.student, g.lesson) in graded]
    batch.items = [i for i in batch.class_items if (i.student, i.lesson) in graded]
    return final
