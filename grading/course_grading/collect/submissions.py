"""Find submissions: the student and lesson of each file, and which of several files counts.

Accepted are a folder of ``student/NN_name.ipynb``, nbgrader's
``submitted/student/NN_name/NN_name.ipynb`` and its exchange's inbound folder, flat files called
``student_NN_name.ipynb``, and the downloads of Canvas, Moodle, Blackboard, Brightspace and
Gradescope, unpacked or not, also several side by side or in folders for each week; nested archives
are opened too. :mod:`.owners` identifies the owners.
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

from course_grading.collect import attempts, files, lessons, owners, platform_names
from course_grading.collect.attempts import Attempt
from course_grading.collect.files import Files, Identity, list_files
from course_grading.collect.lessons import Lessons, NotebookFacts, released_lessons
from course_grading.collect.notebooks import MAX_BYTES, TOO_LARGE
from course_grading.collect.owners import MAX_NAME_BYTES, Entry, Student
from course_grading.collect.problems import Problem, summarise
from course_grading.collect.timestamps import (
    TIMESTAMP,
    SubmissionTime,
    read_submission_time,
    read_timestamp,
)

MAX_NOTEBOOKS = 200  # of one student in one folder or archive; more are only reported
READING_TIME_LIMIT = 60.0  # for reading one student's notebooks before grading
_EXCHANGE = "nbgrader's exchange"

__all__ = ["Lessons", "Submission", "find", "notes", "released_lessons"]


@dataclass(frozen=True)
class Submission:
    """One file of one student for one lesson; ``name`` is its path in the submissions.

    ``handed_in`` is the platform's submission time; ``is_marked_late`` is whether the
    platform's name for it says that it is late. For a group, ``submitter`` is the student who
    submitted it, and ``handed_in_by`` a description (see :mod:`.groups`). ``content`` holds the
    bytes if the file may change before :meth:`read` is called.
    """

    student: str
    lesson: str
    path: Path
    name: str
    handed_in: SubmissionTime | None = None
    is_marked_late: bool = False
    identity: Identity | None = field(default=None, compare=False)
    submitter: str = ""
    handed_in_by: str = ""
    content: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def timestamp(self) -> str | None:
        """The submission time in nbgrader's format, in UTC; None if unknown."""
        return self.handed_in.timestamp if self.handed_in else None

    def read(self) -> bytes:
        """The notebook's bytes.

        Raises:
            OSError: if it can't be opened.
            ValueError: if it is too large, or was replaced since it was found.
        """
        if self.content is not None:
            return self.content
        data = files.read_bytes(self.path, MAX_BYTES, self.identity)
        if len(data) > MAX_BYTES:
            raise ValueError(TOO_LARGE)
        return data


def find(
    handed_in: Files | dict[str, Path] | Path,
    lessons: Lessons,
    roster: Collection[str] | None = None,
    zone: ZoneInfo | None = None,
) -> tuple[list[Submission], list[Problem]]:
    """The submissions among files; if a student has several for a lesson, the newest.

    Args:
        handed_in: the files, from :func:`.archives.open_submissions`, or a folder.
        lessons: the released lessons, ``NN_name``. If it is a mapping from
            :func:`released_lessons`, a file that has lost its name and metadata is identified by
            its content, and a copy that contains work is preferred to an untouched one.
        roster: the ids of the class's students, if known: others are reported, not graded.
        zone: the time zone of times without a zone, if known.

    Returns:
        The submissions, and the problems of all other files.
    """
    found = list_files(handed_in) if isinstance(handed_in, Path) else handed_in
    return _Search(found, lessons, roster, zone).run()


def notes(found: Iterable[Submission]) -> list[Problem]:
    """Remarks for the instructor about the times of submissions."""
    remarks = []
    for submission in found:
        reason = submission.handed_in.note if submission.handed_in else ""
        if submission.is_marked_late and submission.timestamp is None:
            reason = (
                "the platform marks it as late, without the time: nothing was deducted. Write the "
                f"time into [handed_in.{submission.student}] of grading/due_dates.toml"
            )
        if reason:
            remark = Problem(submission.student, submission.lesson, submission.name, reason)
            remarks.append(remark)
    # one remark for the whole class
    zoneless = [remark for remark in remarks if "names no time zone" in remark.reason]
    if len(zoneless) > 1:
        remarks = [remark for remark in remarks if remark not in set(zoneless)]
        reason = f"{zoneless[0].reason}; so do {len(zoneless) - 1} others"
        remarks.append(Problem("", "", zoneless[0].file, reason))
    return remarks


@dataclass(frozen=True)
class _Candidate:
    """A file that may be the one to grade."""

    submission: Submission
    attempt: Attempt
    same_for_all_attempts: str


class _Search:
    """One search: the files, and the problems found so far."""

    def __init__(
        self,
        found: Files | dict[str, Path],
        lessons: Lessons,
        roster: Collection[str] | None,
        zone: ZoneInfo | None = None,
    ):
        self.archive = found.archive if isinstance(found, Files) else ""
        self.files = {name: path for name, path in found.items() if not files.is_ignored(name)}
        self.lessons = lessons
        self.roster = roster
        self.zone = zone
        self.finder = owners.LevelFinder(lessons, roster or ())
        self.problems: list[Problem] = []
        self.keys: dict[str, str] = {}  # file -> key of its owner, for summarising problems
        self._facts: dict[str, NotebookFacts] = {}
        self._seconds: dict[str, float] = defaultdict(lambda: READING_TIME_LIMIT)
        self._metadata: dict[str, dict[str, platform_names.GradescopeSubmission]] = {}

    def run(self) -> tuple[list[Submission], list[Problem]]:
        folders = {
            name for name, path in self.files.items() if path.is_dir() and not path.is_symlink()
        }
        entries = self.finder.entries(self.files, folders)
        for entry in entries:
            self.keys.update(dict.fromkeys(entry.names, entry.path))
        owned = self._owned(entries)
        refusal = self._archive_refusal(entries, {s for _, students in owned for s in students})
        if refusal:
            return [], [Problem("", "", self.archive, refusal)]
        owned = self._accepted(owned)
        candidates: dict[tuple[str, str], list[_Candidate]] = defaultdict(list)
        for entry, students in owned:
            for name, lesson in self._notebooks(entry, students):
                for student in students:
                    candidate = self._candidate(entry, student, name, lesson)
                    candidates[student.id, lesson].append(candidate)
        self._list_missing(owned)
        submissions: list[Submission] = []
        for (student_id, lesson), group in candidates.items():
            submissions += self._counting(student_id, lesson, group)
        problems = summarise(
            self.problems, lambda problem: problem.student or self.keys.get(problem.file, "")
        )
        return submissions, problems

    def _report(self, student: str, lesson: str, name: str, reason: str) -> None:
        shown = student if len(student.encode()) <= MAX_NAME_BYTES else student[:40]
        self.problems.append(Problem(shown, lesson, name, reason))

    # ---- owners ----

    def _owned(self, entries: list[Entry]) -> list[tuple[Entry, list[Student]]]:
        """The entries with their students, several for a group; others are reported."""
        usernames = self._blackboard_usernames(entries)
        owned = []
        for entry in entries:
            reason = entry.problem or self._link_problem(entry)
            if reason:
                self._report("", "", entry.path, reason)
                continue
            if entry.platform and entry.platform.platform == "Gradescope":
                owned.append((entry, self._gradescope_students(entry)))
                continue
            student = owners.entry_student(entry, self.finder)
            if entry.platform and entry.platform.full in usernames:
                student = owners.make_student(usernames[entry.platform.full])
            if student is not None:
                owned.append((entry, [student]))
            elif not _is_beside(entry.name):
                self._report("", "", entry.path, self._nobody(entry))
        return owned

    def _link_problem(self, entry: Entry) -> str:
        path = self.files.get(entry.path)
        return "it is a link, not a file" if path is not None and path.is_symlink() else ""

    def _nobody(self, entry: Entry) -> str:
        if any(map(files.is_notebook, entry.names)):
            path = self.files[entry.names[0]]
            if self.finder.lesson_in(entry.name) is None and not path.is_dir():
                error = lessons.read_facts(path).error
                reason = f"it is not one of the released lessons: {', '.join(self.lessons)}"
                if error or not self._lesson(entry.path, entry.path):
                    return f"{reason} ({error})" if error else reason
            return (
                "no student is named: put it in a folder named after the student, and give the "
                "parent folder of that"
            )
        return _holds_none(entry)

    def _gradescope_students(self, entry: Entry) -> list[Student]:
        folder = entry.path.rpartition("/")[0]
        name = f"{folder}/{platform_names.GRADESCOPE_METADATA}".lstrip("/")
        about = self._read_metadata(name).get(platform_names.without_archive_suffix(entry.name))
        if about is not None and about.students:
            pairs = zip(about.students, about.ids, strict=True)
            return [owners.make_student(shown, ids) for shown, ids in pairs]
        self._report(
            "",
            "",
            entry.path,
            f"{entry.name!r} is Gradescope's number, not a student, and no "
            f"{platform_names.GRADESCOPE_METADATA} beside it names the student: download the "
            "submissions again, with that file",
        )
        return []

    def _read_metadata(self, name: str) -> dict[str, platform_names.GradescopeSubmission]:
        if name not in self._metadata:
            self._metadata[name] = {}
            path = self.files.get(name)
            if path is not None and files.identity(path):
                try:
                    self._metadata[name] = platform_names.read_gradescope_metadata(path)
                except (OSError, ValueError) as error:
                    self._report("", "", name, f"it can't be read: {error}")
        return self._metadata[name]

    def _blackboard_usernames(self, entries: list[Entry]) -> dict[str, str]:
        """User names by the text before ``_attempt_``, from Blackboard's text files: a user name
        may contain the character that separates it from the assignment's name.
        """
        usernames = {}
        for entry in entries:
            about = entry.platform
            if about is None or about.platform != "Blackboard" or about.file or entry.is_folder:
                continue
            path = self.files[entry.path]
            if not files.identity(path):
                continue
            text = files.read_bytes(path, 2000).decode("utf-8", "replace")
            match = re.search(r"^Name: .*\(([^()\n]+)\)\s*$", text, re.MULTILINE)
            if match and about.full.endswith(f"_{match[1]}"):
                usernames[about.full] = match[1]
        return usernames

    def _archive_refusal(self, entries: list[Entry], students: set[Student]) -> str:
        """Why an archive can't be graded as a class's archive; empty if it can."""
        if not self.archive:
            return ""
        stem = platform_names.without_archive_suffix(self.archive)
        tops = {entry.path.split("/")[0] for entry in entries}
        if (
            platform_names.is_collection_name(stem)
            or stem in self.lessons
            or platform_names.is_download(self.archive, tops)
        ):
            return ""
        is_student = platform_names.platform_of(self.archive) or self.finder.prefix(self.archive)
        if not is_student and len(students) != 1:
            return ""
        names = ", ".join(sorted(repr(student.shown) for student in students)[:6]) or "nobody"
        return (
            f"it is ambiguous whether {self.archive!r} is one student's submission or contains the "
            f"class: it contains {names}. If it is one student's, put it into a folder and give "
            "that; if it contains the class, unpack it and give the folder, or rename it to "
            "submissions.zip"
        )

    def _accepted(
        self, owned: list[tuple[Entry, list[Student]]]
    ) -> list[tuple[Entry, list[Student]]]:
        """The entries whose students are unambiguous and on the roster; others are reported."""
        reasons = owners.look_alikes({s for _, students in owned for s in students}, self.roster)
        accepted = []
        for entry, students in owned:
            kept = []
            for student in students:
                reason = _name_problem(student) or reasons.get(student, "")
                if not reason and self.roster is not None:
                    reason = owners.roster_problem(student, self.roster)
                if reason:
                    name = next(filter(files.is_notebook, entry.names), entry.path)
                    self._report(student.id, "", name, reason)
                else:
                    kept.append(student)
            if kept:
                accepted.append((entry, kept))
        return accepted

    # ---- lessons ----

    def _notebooks(self, entry: Entry, students: list[Student]) -> Iterator[tuple[str, str]]:
        """The notebooks of an entry, each with its lesson; others are reported."""
        student = students[0].id if students else ""
        names = [name for name in entry.names if files.is_notebook(name)]
        only = len(names) == 1
        if len(names) > MAX_NOTEBOOKS:
            names.sort(key=self._relevance)
            self._report(
                student,
                "",
                names[MAX_NOTEBOOKS],
                f"and {len(names) - MAX_NOTEBOOKS - 1:,} more: a student's notebooks beyond the "
                f"first {MAX_NOTEBOOKS} are ignored",
            )
            names = names[:MAX_NOTEBOOKS]
        for name in names:
            path = self.files[name]
            reason = ""
            lesson = None
            if path.is_symlink():
                reason = "it is a link, not a file"
            elif not path.is_file():
                reason = "it is not a file, but a folder or a device"
            else:
                lesson = self._lesson(name, student) or (self._hint(entry, name) if only else None)
                if lesson is None:
                    error = self._read(name, student).error
                    reason = f"it is not one of the released lessons: {', '.join(self.lessons)}"
                    reason = f"{reason} ({error})" if error else reason
            if lesson is None:
                named = self.finder.lesson_in(PurePosixPath(name).name)
                self._report(student, named[0] if named else "", name, reason)
            else:
                yield name, lesson

    def _relevance(self, name: str) -> tuple:
        """A sort key: the most relevant of a student's many notebooks first."""
        is_unnamed = self.finder.lesson_in(PurePosixPath(name).name) is None
        return is_unnamed, name.count("/"), -attempts.modification_time(self.files[name]), name

    def _lesson(self, name: str, student: str) -> str | None:
        named = self.finder.lesson_in(PurePosixPath(name).name)
        return (
            named[0] if named else lessons.identify_lesson(self._read(name, student), self.lessons)
        )

    def _hint(self, entry: Entry, name: str) -> str | None:
        """The lesson that the platform's folder names."""
        recorded = entry.platform.lesson if entry.platform else _below(entry, name)[0]
        return recorded if recorded in self.lessons else None

    def _read(self, name: str, student: str) -> NotebookFacts:
        if name not in self._facts:
            if self._seconds[student] <= 0:
                return NotebookFacts(error="this student's notebooks take too long to read")
            started = time.monotonic()
            self._facts[name] = lessons.read_facts(self.files[name])
            self._seconds[student] -= time.monotonic() - started
        return self._facts[name]

    # ---- times and attempts ----

    def _candidate(self, entry: Entry, student: Student, name: str, lesson: str) -> _Candidate:
        path = self.files[name]
        handed_in = self._submission_time(entry, name, lesson)
        about = entry.platform
        submission = Submission(
            student.id,
            lesson,
            path,
            name,
            handed_in,
            about is not None and about.is_late,
            files.identity(path),
        )

        def facts() -> NotebookFacts:
            return self._read(name, student.id)

        attempt = Attempt(
            submission,
            handed_in.time.timestamp() if handed_in and handed_in.time else None,
            about.attempt if about else None,
            facts,
            lambda: lessons.is_untouched(facts(), lesson, self.lessons),
            attempts.modification_time(path),
        )
        return _Candidate(submission, attempt, about.full if about else "")

    def _submission_time(self, entry: Entry, name: str, lesson: str) -> SubmissionTime | None:
        """A file's submission time from the platform's data, never from a student's files."""
        about = entry.platform
        if about is None:
            if not entry.is_folder or entry.is_archive:
                return None
            folders = [f"{entry.path}/{lesson}"] if _below(entry, name)[0] == lesson else []
            return self._timestamp([*folders, entry.path])
        if about.platform == _EXCHANGE and not entry.is_archive:
            written = self._timestamp([entry.path])
            if written is not None:
                return written
        if about.platform == "Gradescope":
            folder, _, number = entry.path.rpartition("/")
            listed = self._read_metadata(
                f"{folder}/{platform_names.GRADESCOPE_METADATA}".lstrip("/")
            )[platform_names.without_archive_suffix(number)]
            source = platform_names.GRADESCOPE_METADATA
            if not listed.time:
                return None
            return read_submission_time(listed.time, source, assume_utc=False, zone=self.zone)
        if not about.time:
            return None
        source = f"the name that {about.platform} gave"
        is_utc = about.platform == _EXCHANGE
        return read_submission_time(about.time, source, assume_utc=is_utc, zone=self.zone)

    def _timestamp(self, folders: Iterable[str]) -> SubmissionTime | None:
        for folder in folders:
            path = self.files.get(f"{folder}/{TIMESTAMP}")
            text = read_timestamp(path) if path is not None else None
            if text is not None:
                return read_submission_time(text, f"its {TIMESTAMP}")
        return None

    def _counting(self, student: str, lesson: str, group: list[_Candidate]) -> Iterator[Submission]:
        """The submission to grade, if it is unambiguous; the others are reported."""
        kinds = sorted({candidate.same_for_all_attempts for candidate in group} - {""})
        if len(kinds) > 1:
            reason = (
                f"{kinds[0]!r} and {kinds[1]!r} may be two students who are both named "
                f"{student!r}: put them into folders with their names"
            )
            for candidate in group:
                self._report(student, lesson, candidate.submission.name, reason)
            return
        counting, why = attempts.choose([candidate.attempt for candidate in group])
        newest = counting.submission
        yield newest
        reason = (
            f"not graded: the same student submitted {newest.name}, which is {why} and was graded"
        )
        for candidate in group:
            if candidate.submission is not newest:
                self._report(student, lesson, candidate.submission.name, reason)

    # ---- missing notebooks ----

    def _list_missing(self, owned: list[tuple[Entry, list[Student]]]) -> None:
        """Report the students without a notebook."""
        by_student: dict[str, list[Entry]] = defaultdict(list)
        for entry, students in owned:
            for student in students:
                by_student[student.id].append(entry)
        opened = {name for name, path in self.files.items() if path.is_dir()}
        for student_id, entries in by_student.items():
            if any(files.is_notebook(name) for entry in entries for name in entry.names):
                continue
            entry = max(entries, key=lambda entry: len(entry.names))
            self._report(student_id, "", entry.path, _holds_none(entry, opened.__contains__))


def _name_problem(student: Student) -> str:
    if not student.id:
        return "no student is named: put it in a folder named after the student"
    if len(student.id.encode()) > MAX_NAME_BYTES:
        return "the student's name is too long for a folder: shorten it"
    return ""


def _below(entry: Entry, name: str) -> list[str]:
    """The parts of a file's name below its entry."""
    return name[len(entry.path) + 1 :].split("/")


def _is_beside(name: str) -> bool:
    """Whether a file is one that platforms put beside the submissions."""
    return name in (platform_names.GRADESCOPE_METADATA, "index.html", TIMESTAMP)


def _holds_none(entry: Entry, is_folder: Callable[[str], bool] = lambda name: False) -> str:
    if not entry.is_folder and not entry.is_archive:
        return "it is not a notebook"
    names = [
        name
        for name in entry.names
        if name != entry.path and not is_folder(name) and not name.endswith(f"/{TIMESTAMP}")
    ]
    if not names:
        return "it contains no notebook"
    return f"it contains no notebook, only {', '.join(names[:9])}"
