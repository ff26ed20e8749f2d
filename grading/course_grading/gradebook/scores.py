"""What nbgrader's gradebook holds, as plain rows: totals for exports, single items for the
analysis.

One query each. nbgrader's own properties load every score of every submission on its own, which
takes minutes for a class of 1,000. The scores are those of the record: manual ones and extra credit
are in them, and late penalties are subtracted as nbgrader's own export does it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from nbgrader.api import (
    Assignment,
    BaseCell,
    Grade,
    Gradebook,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import exists, or_

_SCORED = or_(Grade.auto_score.isnot(None), Grade.manual_score.isnot(None))


@dataclass(frozen=True)
class Total:
    """One submission.

    ``score`` is what counts: with manual scores and extra credit, less ``penalty``, never below 0.
    It means nothing unless ``graded``: some cell has a score. ``provisional`` says that a cell
    waits to be graded by hand. The times are in UTC, None where unknown.
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


@dataclass(frozen=True)
class Item:
    """One graded cell of one submission: a question or an exercise, with what it earned before
    penalties.

    Without a score yet, ``scored`` is False and ``score`` 0.
    """

    student: str
    lesson: str
    name: str
    score: float
    max_score: float
    scored: bool


def totals(
    book: Gradebook, lessons: Collection[str] = (), students: Collection[str] = ()
) -> list[Total]:
    """Every submission, by lesson and student; of some lessons and students only where they are
    named.
    """
    sent = SubmittedAssignment
    graded = exists().where(
        SubmittedNotebook.assignment_id == sent.id,
        Grade.notebook_id == SubmittedNotebook.id,
        _SCORED,
    )
    query = book.db.query(
        sent.student_id,
        Assignment.name,
        sent.score,
        Assignment.max_score,
        sent.late_submission_penalty,
        graded,
        sent.needs_manual_grade,
        sent.timestamp,
        Assignment.duedate,
    ).join(Assignment, sent.assignment_id == Assignment.id)
    if lessons:
        query = query.filter(Assignment.name.in_(list(lessons)))
    if students:
        query = query.filter(sent.student_id.in_(list(students)))
    return [
        Total(
            student,
            lesson,
            max(0.0, score - penalty),
            max_score,
            penalty,
            bool(has),
            bool(manual),
            handed_in,
            due,
        )
        for student, lesson, score, max_score, penalty, has, manual, handed_in, due in query.order_by(
            Assignment.name, sent.student_id
        )
    ]


def items(book: Gradebook, lesson: str = "") -> list[Item]:
    """Every graded cell, by lesson, student and name; of one lesson only where it is named."""
    query = (
        book.db.query(
            SubmittedAssignment.student_id,
            Assignment.name,
            BaseCell.name,
            Grade.score,
            Grade.max_score,
            _SCORED,
        )
        .select_from(Grade)
        .join(BaseCell, Grade.cell_id == BaseCell.id)
        .join(SubmittedNotebook, Grade.notebook_id == SubmittedNotebook.id)
        .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
    )
    if lesson:
        query = query.filter(Assignment.name == lesson)
    ordered = query.order_by(Assignment.name, SubmittedAssignment.student_id, BaseCell.name)
    return [Item(*row[:-1], scored=bool(row[-1])) for row in ordered]
