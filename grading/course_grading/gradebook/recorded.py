"""A table in nbgrader's database that records which results the gradebook holds.

Each row is written in the same transaction as the scores. So the missing results are known even if
the gradebook was deleted, restored from a backup, or had students removed.
"""

import hashlib
import json
from collections.abc import Mapping

from nbgrader.api import Assignment, Base, Gradebook, SubmittedAssignment, SubmittedNotebook
from sqlalchemy import Column, String, Text

SubmissionId = tuple[str, str]  # a student and a lesson


class RecordedResult(Base):  # type: ignore[misc, valid-type]  # nbgrader has no type hints
    """The result from which a submitted notebook's scores were recorded.

    ``digest`` is the digest of the result; ``items`` maps each item to a digest of its answer and
    automatic score (JSON).
    """

    __tablename__ = "course_recorded_result"

    # the id of nbgrader's SubmittedNotebook; if a student is removed and added again, it is new
    notebook_id = Column(String(32), primary_key=True)
    digest = Column(String(64), nullable=False)
    items = Column(Text(), nullable=False)


def digests(book: Gradebook) -> dict[SubmissionId, str]:
    """The digests of the recorded results that the gradebook still holds."""
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
    """The recorded digest of each item of a submitted notebook; empty if there is none."""
    row = session.get(RecordedResult, notebook_id)
    return {} if row is None else json.loads(row.items)


def write(session, notebook_id: str, digest: str, items: Mapping[str, str]) -> None:
    """Insert or replace the row of a submitted notebook, without a commit."""
    content = json.dumps(items, sort_keys=True)
    session.merge(RecordedResult(notebook_id=notebook_id, digest=digest, items=content))
