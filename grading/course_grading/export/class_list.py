"""The class list, ``workspace/roster.csv``, in the same format for every platform.

``course class --roster FILE`` writes it from the platform's own export. Its first columns are the
course's (``COLUMNS``). The platform's columns follow, so that it is also the roster of exports. It
may be edited: when the platform's file is imported again, groups, sections and extensions are kept
where that file gives none.
"""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Gradebook, Student

from course_grading.collect.groups import MAX_MEMBERS, Group
from course_grading.collect.problems import Problem
from course_grading.errors import RosterError
from course_grading.export.roster import (
    STUDENT_ID_COLUMN,
    Roster,
    find_row_by_canvas_file_name,
    find_rows_by_full_name,
)

COLUMNS = ("student_id", "first_name", "last_name", "email", "section", "group", "extension_days")
# the platforms' columns that may identify a student; the first one present becomes the id
_ID_COLUMNS = (
    "SIS Login ID",
    "Username",
    "Email address",
    "Email",
    "SIS User ID",
    "ID number",
    "SID",
)
_FALLBACK_ID_COLUMNS = ("ID", "Student", "Full name", "Name", "Full Name")
_OWN = {  # the course's column -> the platforms' columns for it
    "first_name": ("First name",),
    "last_name": ("Last name",),
    "email": ("Email address", "Email"),
    "section": ("Section",),
    "group": ("group_name", "Groups"),
    "extension_days": ("Extension",),
}
_EDITABLE = ("group", "section", "extension_days")


@dataclass(frozen=True)
class Member:
    """A student in the class. ``extension_days`` applies to every lesson; None if there is none."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    section: str = ""
    group: str = ""
    extension_days: float | None = None
    columns: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """The full name, first name first."""
        return " ".join(part for part in (self.first_name, self.last_name) if part)


@dataclass(frozen=True)
class MissingSubmission:
    """A student in the class without a graded submission for a lesson. ``note`` describes a
    submission that could not be graded, if there is one.
    """

    student: str
    lesson: str
    name: str
    note: str = ""


class ClassList:
    """The class of a workspace, searchable by the ids of submissions.

    Raises:
        RosterError: if ``workspace/roster.csv`` is invalid.
    """

    def __init__(self, path: Path):
        self.roster = Roster(
            path, "your platform", (STUDENT_ID_COLUMN, *_ID_COLUMNS, *_FALLBACK_ID_COLUMNS)
        )
        self.members = [_member(row, path) for row in self.roster.rows]

    @property
    def ids(self) -> list[str]:
        """The students' ids, in the order of the list."""
        return [member.id for member in self.members]

    def find(self, student: str) -> Member | None:
        """The student with this gradebook id, which may be a name from a platform's download; None
        if no student or more than one matches.
        """
        try:
            return self.members[self.roster.find(student)]
        except LookupError:
            row_index = find_row_by_canvas_file_name(student, self.roster)
            if row_index is not None:
                return self.members[row_index]
            row_indices = find_rows_by_full_name(student, self.roster)
            return self.members[row_indices[0]] if len(row_indices) == 1 else None

    def groups(self, students: Iterable[str]) -> list[Group]:
        """The groups that submit jointly.

        Args:
            students: gradebook ids or submission ids, which may be names from a platform's
                download. The groups list members under these ids.
        """
        ids: dict[str, str] = {}
        for student in students:
            member = self.find(student)
            if member is not None:
                ids.setdefault(member.id, student)
        by_name: dict[str, dict[str, str]] = {}
        for member in self.members:
            if member.group:
                by_name.setdefault(member.group, {})[ids.get(member.id, member.id)] = member.name
        return [
            Group(name, members)
            for name, members in sorted(by_name.items())
            if 1 < len(members) <= MAX_MEMBERS
        ]

    def id_of(self, student: str) -> str:
        """The class-list id of a gradebook student; the gradebook id itself if the student is not
        on the list.
        """
        member = self.find(student)
        return member.id if member else student

    def missing_submissions(
        self, graded: Iterable[tuple[str, str]], problems: Iterable[Problem] = ()
    ) -> list[MissingSubmission]:
        """The students without a graded submission, for each lesson with any graded submission.

        Args:
            graded: student and lesson of every graded submission.
            problems: the problems of submissions that were not graded.
        """
        by_lesson: dict[str, set[str]] = {}
        for student, lesson in graded:
            by_lesson.setdefault(lesson, set()).add(self.id_of(student))
        notes: dict[tuple[str, str], str] = {}
        for problem in problems:
            if problem.student:
                key = self.id_of(problem.student), problem.lesson
                notes.setdefault(
                    key, f"submitted, but not graded: {problem.file}: {problem.reason}"
                )
        return [
            MissingSubmission(
                member.id,
                lesson,
                member.name,
                # a problem without a lesson, such as a file that is not a notebook
                notes.get((member.id, lesson)) or notes.get((member.id, ""), ""),
            )
            for lesson, ids in sorted(by_lesson.items())
            for member in self.members
            if member.id not in ids
        ]

    def fill_names(self, book: Gradebook) -> None:
        """Set the names and email addresses of nbgrader's students, which formgrader shows."""
        for student in book.db.query(Student):
            member = self.find(student.id)
            if member is not None and member.name:
                student.first_name, student.last_name = member.first_name, member.last_name
                student.email = member.email or student.email
        book.db.commit()


def load(workspace: Path) -> ClassList | None:
    """The class list of a workspace; None if there is no ``roster.csv``.

    Raises:
        RosterError: if the file is invalid; the message says why.
    """
    path = workspace / "roster.csv"
    return ClassList(path) if path.is_file() else None


def extension_days(members: ClassList | None, students: Iterable[str]) -> dict[str, float]:
    """The extension of each student who has one; it applies to every lesson."""
    days = {}
    for student in students if members else ():
        member = members.find(student) if members else None
        if member is not None and member.extension_days:
            days[student] = member.extension_days
    return days


def import_roster(source: Path, workspace: Path) -> tuple[ClassList, list[str]]:
    """Write ``workspace/roster.csv`` from a platform's roster.

    Returns:
        The class list, and messages for the instructor.

    Raises:
        RosterError: if the file is invalid, or two students would have the same id.
    """
    target = workspace / "roster.csv"
    platform = Roster(
        source, "your platform", (STUDENT_ID_COLUMN, *_ID_COLUMNS, *_FALLBACK_ID_COLUMNS)
    )
    former = ClassList(target) if target.is_file() else None
    rows = [_normalise_row(row, source) for row in platform.rows if not _is_test_student(row)]
    if not rows:
        raise RosterError(f"{source} lists no students: is it the participant list?")
    duplicates = [
        id for id, count in Counter(row["student_id"] for row in rows).items() if count > 1
    ]
    if duplicates:
        raise RosterError(
            f"{source} lists these students several times: {', '.join(sorted(duplicates))}. Remove "
            f"the duplicates, or add a column {STUDENT_ID_COLUMN} with a unique id in each row"
        )
    messages = []
    if former is not None:
        known = {member.id: _normalise_row(member.columns, target) for member in former.members}
        for row in rows:
            if row["student_id"] in known:
                for column in _EDITABLE:
                    row[column] = row[column] or known[row["student_id"]][column]
        ids = {row["student_id"] for row in rows}
        for title, names in (("new", ids - known.keys()), ("no longer listed", known.keys() - ids)):
            if names:
                messages.append(f"{title}: {', '.join(sorted(names))}")
    taken = {
        *COLUMNS,
        *(name for names in _OWN.values() for name in names if name in _REDUNDANT_COLUMNS),
    }
    others = [column for column in platform.columns if column and column not in taken]
    for row in rows:
        _member(row, source)  # raises an error before anything is written
    new = target.with_suffix(".new")
    with new.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, [*COLUMNS, *others], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(new, target)
    members = ClassList(target)
    return members, [*messages, *_about_groups(members)]


def _about_groups(members: ClassList) -> list[str]:
    """Messages on groups: a tutorial group must not be treated as a group that submits jointly."""
    groups = members.groups(())
    sizes = Counter(member.group for member in members.members if member.group)
    large = sorted(name for name, size in sizes.items() if size > MAX_MEMBERS)
    messages = []
    if groups:
        messages.append(
            f"groups that submit jointly: {len(groups)}. One member's submission counts for all "
            "members. If they work alone, empty the column group"
        )
    if large:
        messages.append(
            f"groups of more than {MAX_MEMBERS} students don't submit jointly: {', '.join(large)}"
        )
    return messages


# columns that are redundant once the course's columns are filled in; exports need the others
_REDUNDANT_COLUMNS = ("First name", "Last name", "Section", "group_name", "Groups", "Extension")


def _normalise_row(row: dict[str, str], source: Path) -> dict[str, str]:
    """The row, with the course's columns filled in from the platform's."""
    normal = dict(row)
    for own, names in _OWN.items():
        normal[own] = next((row[n] for n in (own, *names) if row.get(n)), "")
    full = next((row[n] for n in ("Student", "Full name", "Name", "Full Name") if row.get(n)), "")
    if not normal["first_name"] and not normal["last_name"] and full:
        last, comma, first = full.partition(",")
        if not comma:
            first, _, last = full.rpartition(" ")
        normal["first_name"], normal["last_name"] = first.strip(), last.strip()
    id = next(
        (row[n] for n in (STUDENT_ID_COLUMN, *_ID_COLUMNS, *_FALLBACK_ID_COLUMNS) if row.get(n)), ""
    )
    id = id or f"{normal['first_name']} {normal['last_name']}"
    # safe for folder names, as in collect.owners
    normal["student_id"] = re.sub(r'[\x00-\x1f/\\:*?"<>|\[\]\s]+', "_", id.strip()).strip("_")
    return normal


def _member(row: dict[str, str], path: Path) -> Member:
    normal = _normalise_row(row, path)
    days = normal["extension_days"].replace(",", ".")
    try:
        extension = float(days) if days else None
        if extension is not None and not 0 <= extension < 1000:
            raise ValueError
    except ValueError:
        raise RosterError(
            f"{path}: extension_days of {normal['student_id']} is {days!r}: write a number of "
            "days, or nothing"
        ) from None
    names = ("first_name", "last_name", "email", "section", "group")
    texts = {name: normal[name] for name in names}
    return Member(normal["student_id"], **texts, extension_days=extension, columns=row)


def _is_test_student(row: dict[str, str]) -> bool:
    """Whether the row is Canvas's test student (Student View)."""
    name = row.get("Student", "").replace(" ", "")
    return name == "Student,Test" and not row.get("SIS User ID")
