"""Which result the gradebook holds: a table of the course's own in nbgrader's database.

The row is written in the same transaction as the scores. A gradebook that was deleted, restored
from a backup or had students removed therefore says itself what it lacks.
"""

import hashlib
import json
from collections.abc import Mapping

from nbgrader.api import Assignment, Base, Gradebook, SubmittedAssignment, SubmittedNotebook
from sqlalchemy import Column, String, Text

SubmissionId = tuple[str, str]  # a student and a lesson


class RecordedResult(Base):  # type: ignore[misc, valid-type]  # nbgrader's types are not read
    """The result that a submitted notebook's scores come from.

    ``digest`` is the result's; ``items`` maps each question and exercise to a digest of its answer
    and automatic score (JSON).
    """

    __tablename__ = "course_recorded_result"

    # the id of nbgrader's SubmittedNotebook, which a student who is removed and added gets anew
    notebook_id = Column(String(32), primary_key=True)
    digest = Column(String(64), nullable=False)
    items = Column(Text(), nullable=False)


def digests(book: Gradebook) -> dict[SubmissionId, str]:
    """The digest of each recorded result that the gradebook still holds."""
    rows = (
        book.db.query(SubmittedAssignment.student_id, Assignment.name, RecordedResult.digest)
        .select_from(RecordedResult)
        .join(SubmittedNotebook, SubmittedNotebook.id == RecordedResult.notebook_id)
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
    )
    return {(student, lesson): digest for student, lesson, digest in rows}


def item_digest(source: str, score: float) -> str:
    """A digest of an item's answer and its automatic score."""
    return hashlib.sha256(json.dumps([source, score]).encode()).hexdigest()[:16]


def read_items(session, notebook_id: str) -> dict[str, str]:
    """The recorded digest of each item of a submitted notebook; empty if nothing is recorded."""
    row = session.get(RecordedResult, notebook_id)
    return {} if row is None else json.loads(row.items)


def write(session, notebook_id: str, digest: str, items: Mapping[str, str]) -> None:
    """Add or replace the row of a submitted notebook, without a commit."""
    content = json.dumps(items, sort_keys=True)
    session.merge(RecordedResult(notebook_id=notebook_id, digest=digest, items=content))
