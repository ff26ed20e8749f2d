"""Due dates and extensions, from ``grading/due_dates.toml``::

    time_zone = "Europe/Berlin"       # also for platforms' times without a zone

    [due]
    01_pixels = 2026-10-31 23:59:00
    02_convolution = 2026-11-14       # the whole day

    [extensions.ada]
    01_pixels = 2026-11-07            # until the end of this day

    [handed_in.bob]                   # if the platform marks work as late, without a time
    01_pixels = 2026-11-01 08:30:00

Every run applies them to nbgrader's gradebook. Due dates that were set only there are kept.
"""

import json
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nbgrader.api import Assignment, Gradebook, SubmittedAssignment

from course_grading.collect.submissions import Submission
from course_grading.collect.timestamps import SubmissionTime
from course_grading.errors import DueDateError
from course_grading.export.class_list import ClassList
from course_grading.gradebook import originals

FILE_NAME = "due_dates.toml"
_ZONE_NAMES = ("time_zone", "timezone")  # the second one is the former name
_APPLIED_FILE = "due_dates_applied.json"
_EXAMPLE = "for example 2026-10-31 23:59:00, or 2026-10-31 for the end of that day"


@dataclass(frozen=True)
class DueDates:
    """Due dates by lesson, and extended ones by student and lesson, as naive times in UTC like
    nbgrader's. ``submission_times`` holds the times in ``[handed_in.STUDENT]``; ``time_zone`` is
    the class's, None without a file.
    """

    due: dict[str, datetime] = field(default_factory=dict)
    extended: dict[tuple[str, str], datetime] = field(default_factory=dict)
    submission_times: dict[tuple[str, str], datetime] = field(default_factory=dict)
    time_zone: ZoneInfo | None = None


def path_of(workspace: Path) -> Path:
    """The file of due dates of a workspace; it need not exist."""
    return workspace.resolve().with_name(FILE_NAME)


def read(workspace: Path, lessons: list[str]) -> DueDates:
    """Read the file; without a file the result is empty.

    Raises:
        DueDateError: if the file is invalid; the message says what to write.
    """
    path = path_of(workspace)
    if not path.is_file():
        return DueDates()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DueDateError(f"{path} is invalid TOML: {error}. Write a date, {_EXAMPLE}") from error
    unknown = content.keys() - {*_ZONE_NAMES, "due", "extensions", "handed_in"}
    if unknown:
        raise DueDateError(
            f"{path}: unknown setting {', '.join(sorted(unknown))}: the file has time_zone, "
            "[due], [extensions.STUDENT] and [handed_in.STUDENT]"
        )
    zone = _zone(content, path)
    due = {
        lesson: _read_time(value, zone, f"{path}: [due] {lesson}")
        for lesson, value in _check_table(content.get("due", {}), "due", path).items()
    }
    extended = {}
    for student, dates in _check_table(content.get("extensions", {}), "extensions", path).items():
        for lesson, value in _check_table(dates, f"extensions.{student}", path).items():
            where = f"{path}: [extensions.{student}] {lesson}"
            extended[student, lesson] = _read_time(value, zone, where)
            if lesson not in due:
                raise DueDateError(f"{where}: the lesson also needs a due date under [due]")
            if extended[student, lesson] < due[lesson]:
                raise DueDateError(
                    f"{where} is before the due date of the class: write a later date"
                )
    submission_times = {}
    for student, dates in _check_table(content.get("handed_in", {}), "handed_in", path).items():
        for lesson, value in _check_table(dates, f"handed_in.{student}", path).items():
            where = f"{path}: [handed_in.{student}] {lesson}"
            submission_times[student, lesson] = _read_time(value, zone, where)
    for lesson in dict.fromkeys([*due, *(lesson for _, lesson in submission_times)]):
        if lesson not in lessons:
            raise DueDateError(
                f"{path}: {lesson} is not a released lesson. Released: {', '.join(lessons)}"
            )
    return DueDates(due, extended, submission_times, zone)


def read_zone(workspace: Path) -> ZoneInfo:
    """The class's time zone; UTC if the file has no valid one (:func:`read` reports that)."""
    try:
        path = path_of(workspace)
        return _zone(tomllib.loads(path.read_text(encoding="utf-8-sig")), path)
    except (OSError, ValueError, DueDateError):
        return ZoneInfo("UTC")


def apply_submission_times(found: Iterable[Submission], dates: DueDates) -> list[Submission]:
    """The submissions; the times in ``[handed_in.STUDENT]`` replace their own."""
    applied = []
    for submission in found:
        time = dates.submission_times.get((submission.student, submission.lesson))
        if time is not None:
            handed_in = SubmissionTime(time.replace(tzinfo=UTC), FILE_NAME)
            submission = replace(submission, handed_in=handed_in)
        applied.append(submission)
    return applied


def _check_table(table: object, name: str, path: Path) -> dict:
    if not isinstance(table, dict):
        raise DueDateError(f"{path}: {name} is not a table: write [{name}] on its own line")
    return table


def _zone(content: dict, path: Path) -> ZoneInfo:
    names = [content[key] for key in _ZONE_NAMES if key in content]
    if len(names) > 1:
        raise DueDateError(f"{path} names the time zone twice: keep time_zone, remove timezone")
    name = names[0] if names else None
    if not isinstance(name, str):
        raise DueDateError(
            f'{path} names no time zone: write time_zone = "Europe/Berlin", or another, or "UTC", '
            "in the first line"
        )
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DueDateError(
            f"{path}: unknown time zone {name!r}: write Continent/City, for example "
            '"America/New_York", or "UTC"'
        ) from None


def _read_time(value: object, zone: ZoneInfo, where: str) -> datetime:
    """Convert a time to a naive time in UTC.

    A time that occurs twice, when summer time ends, is the later one, in the students' favour.
    """
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) <= 10 else datetime.fromisoformat(value)
        except ValueError:
            raise DueDateError(f"{where} is {value!r}, not a date: write {_EXAMPLE}") from None
    if isinstance(value, datetime):
        local = value if value.tzinfo else value.replace(tzinfo=zone, fold=1)
    elif isinstance(value, date):
        local = datetime.combine(value, time(23, 59, 59), tzinfo=zone).replace(fold=1)
    else:
        raise DueDateError(f"{where} is {value!r}, not a date: write {_EXAMPLE}")
    utc = local.astimezone(ZoneInfo("UTC"))
    if utc.astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(tzinfo=None, fold=0):
        raise DueDateError(
            f"{where}: {local:%Y-%m-%d %H:%M} does not exist in {zone.key}, because clocks go "
            "forward then: write another time"
        )
    return utc.replace(tzinfo=None)


def apply(
    book: Gradebook,
    workspace: Path,
    dates: DueDates,
    extension_days: dict[str, float] | None = None,
    members: ClassList | None = None,
) -> None:
    """Apply due dates and extensions to the gradebook.

    Dates that an earlier run applied and that have since been deleted from the file are removed.

    Args:
        book: nbgrader's gradebook.
        workspace: nbgrader's course directory.
        dates: the contents of the file.
        extension_days: students' extensions for every lesson, by their ids in the gradebook. A date
            in the file takes precedence.
        members: the class list. The file may use its ids, or the gradebook's, which can come from
            a platform's downloads.
    """
    extended = {(_id(student, members), n): t for (student, n), t in dates.extended.items()}
    applied = _read_applied(workspace)
    for assignment in book.db.query(Assignment):
        applied_due, due = applied["due"].get(assignment.name), dates.due.get(assignment.name)
        if due is not None:
            assignment.duedate = due
        elif applied_due and assignment.duedate == datetime.fromisoformat(applied_due):
            assignment.duedate = None
    extensions = {}
    query = book.db.query(SubmittedAssignment, Assignment).join(Assignment)
    for submission, assignment in query:
        student, lesson = submission.student_id, assignment.name
        due, until = assignment.duedate, extended.get((_id(student, members), lesson))
        days = (extension_days or {}).get(student)
        extension = None
        if due is not None and until is not None:
            extension = until - due
        elif due is not None and days:
            extension = timedelta(days=days)
        key = f"{student}/{lesson}"
        applied_seconds = applied["extensions"].get(key)
        if extension is not None:
            submission.extension = extension
            extensions[key] = extension.total_seconds()
        elif applied_seconds is not None and submission.extension == timedelta(
            seconds=applied_seconds
        ):
            submission.extension = None
    book.db.commit()
    due_texts = {lesson: due.isoformat() for lesson, due in dates.due.items()}
    _write_applied(workspace, {"due": due_texts, "extensions": extensions})


def _id(student: str, members: ClassList | None) -> str:
    return members.id_of(student) if members else student


def find_warnings(
    book: Gradebook, workspace: Path, dates: DueDates, members: ClassList | None = None
) -> list[str]:
    """Likely mistakes: extensions of unknown students, and due dates of lessons whose submissions
    have no time.
    """
    submissions = list(book.db.query(SubmittedAssignment).join(Assignment))
    known = {_id(submission.student_id, members) for submission in submissions}
    known |= {member.id for member in members.members} if members else set()
    unknown = sorted({s for s, _ in dates.extended if _id(s, members) not in known})
    warnings = [
        f"[extensions.{student}]: "
        + (
            "no student of the class has this id: take it from the column student_id of roster.csv"
            if members
            else "no student with this id has submitted yet: use the ids in grades.csv"
        )
        for student in unknown
    ]
    for assignment in book.db.query(Assignment).order_by(Assignment.name):
        own = [s for s in submissions if s.assignment_id == assignment.id]
        timeless = [s for s in own if s.timestamp is None]
        if assignment.duedate is None or not timeless:
            continue
        originals_of = (originals.find(workspace, s.student_id, assignment.name) for s in timeless)
        if any(original is not None and original.is_marked_late for original in originals_of):
            continue  # the platform's names say who was late
        warnings.append(
            f"{assignment.name} has a due date, but {len(timeless)} of {len(own)} submissions have "
            "no submission time (downloads from Moodle have none): they are graded as on time. "
            "Deduct on the platform, or put a timestamp.txt next to each"
        )
    return warnings


def _read_applied(workspace: Path) -> dict[str, dict]:
    try:
        content = json.loads((workspace / _APPLIED_FILE).read_text(encoding="utf-8"))
        return {"due": dict(content["due"]), "extensions": dict(content["extensions"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"due": {}, "extensions": {}}


def _write_applied(workspace: Path, content: dict[str, dict]) -> None:
    path = workspace / _APPLIED_FILE
    if not any(content.values()) and not path.exists():
        return
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(new, path)
