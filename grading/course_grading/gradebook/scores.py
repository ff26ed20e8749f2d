"""Read scores from nbgrader's gradebook: totals for exports, single items for the analysis.

Each function makes one query. nbgrader's properties make a query for each score of each submission,
which takes minutes for a class of 1,000. The scores include manual grades and extra credit; late
penalties are subtracted as in nbgrader's own export.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Grade,
    Gradebook,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import exists, or_

_SCORED = or_(Grade.auto_score.isnot(None), Grade.manual_score.isnot(None))


@dataclass(frozen=True)
class Total:
    """One submission.

    ``score`` is the final score: ``earned``, with manual grades and extra credit, minus
    ``penalty``, at least 0. It is valid only if ``graded``: some cell has a score. ``provisional``:
    a cell needs manual grading. The times are in UTC, None where unknown; ``due`` includes the
    student's ``extension``.
    """

    student: str
    lesson: str
    score: float
    max_score: float
    penalty: float
    graded: bool
    provisional: bool
    handed_in: datetime | None
    due: datetime | None
    earned: float = 0.0
    extension: timedelta | None = None
    id: str = ""  # of nbgrader's SubmittedAssignment
    name: str = ""  # the student's name, "Ada Lovelace"; empty if nbgrader does not have it

    @property
    def seconds_late(self) -> float:
        """The seconds after its due date; 0 if it was on time, or a time is unknown."""
        if self.handed_in is None or self.due is None:
            return 0.0
        return max(0.0, (self.handed_in - self.due).total_seconds())

    @property
    def late(self) -> bool:
        """Whether it was submitted after its due date, including the extension."""
        return self.seconds_late > 0


@dataclass(frozen=True)
class Item:
    """One question or exercise of one submission, with its score before penalties.

    Without a score yet, ``scored`` is False and ``score`` 0. ``manual``: it needs manual grading.
    ``notebook`` is the id of nbgrader's SubmittedNotebook, for links to formgrader.
    """

    student: str
    lesson: str
    name: str
    score: float
    max_score: float
    scored: bool
    manual: bool = False
    notebook: str = field(default="", compare=False)


def totals(
    book: Gradebook, lessons: Collection[str] = (), students: Collection[str] = ()
) -> list[Total]:
    """Every submission, ordered by lesson and student; optionally only of some of them."""
    submission = SubmittedAssignment
    graded = exists().where(
        SubmittedNotebook.assignment_id == submission.id,
        Grade.notebook_id == SubmittedNotebook.id,
        _SCORED,
    )
    query = book.db.query(
        submission.student_id,
        Assignment.name,
        submission.score,
        Assignment.max_score,
        submission.late_submission_penalty,
        graded,
        submission.needs_manual_grade,
        submission.timestamp,
        Assignment.duedate,
        submission.extension,
        submission.id,
        Student.first_name,
        Student.last_name,
    )
    query = query.join(Assignment, submission.assignment_id == Assignment.id)
    query = query.join(Student, submission.student_id == Student.id)
    if lessons:
        query = query.filter(Assignment.name.in_(list(lessons)))
    if students:
        query = query.filter(submission.student_id.in_(list(students)))
    return [
        Total(
            student=row[0],
            lesson=row[1],
            score=max(0.0, row[2] - row[4]),
            max_score=row[3],
            penalty=row[4],
            graded=bool(row[5]),
            provisional=bool(row[6]),
            handed_in=row[7],
            due=row[8] + (row[9] or timedelta()) if row[8] else None,
            earned=row[2],
            extension=row[9],
            id=row[10],
            name=" ".join(part for part in row[11:13] if part),
        )
        for row in query.order_by(Assignment.name, submission.student_id)
    ]


def items(book: Gradebook, lesson: str = "") -> list[Item]:
    """Every item, ordered by lesson, student and name; optionally only of one lesson."""
    columns = [
        BaseCell.name,
        Grade.score,
        Grade.max_score,
        _SCORED,
        Grade.needs_manual_grade,
        Grade.notebook_id,
    ]
    query = query_cells(book, Grade, columns, lesson=lesson)
    ordered = query.order_by(Assignment.name, SubmittedAssignment.student_id, BaseCell.name)
    return [
        Item(student, lesson, name, score, max_score, bool(scored), bool(manual), notebook)
        for student, lesson, name, score, max_score, scored, manual, notebook in ordered
    ]


def query_cells(
    book: Gradebook, table: Any, columns: list[Any], student: str = "", lesson: str = ""
) -> Any:
    """Query one of nbgrader's tables that refer to cells, with student and lesson as the first
    columns; optionally only for one ``student`` or ``lesson``.
    """
    query = (
        book.db.query(SubmittedAssignment.student_id, Assignment.name, *columns)
        .select_from(table)
        .join(BaseCell, table.cell_id == BaseCell.id)
        .join(SubmittedNotebook, table.notebook_id == SubmittedNotebook.id)
        .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
    )
    if student:
        query = query.filter(SubmittedAssignment.student_id == student)
    return query.filter(Assignment.name == lesson) if lesson else query
