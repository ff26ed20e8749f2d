"""Snapshots of the gradebook, with one record for each submission: to detect changes and stale
feedback pages, and to restore manual grades if the gradebook is lost.

``workspace/last_run.json`` holds the state after the last run.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from nbgrader.api import (
    BaseCell,
    Comment,
    Grade,
    Gradebook,
)

from course_grading.gradebook import due_dates, originals, recorded, replies, scores
from course_grading.gradebook.recorded import SubmissionId

_FILE = "last_run.json"
_FORMAT = 1
PAGE_VERSION = 2  # after an increase, every feedback page is made again


@dataclass(frozen=True)
class ItemState:
    """One question or exercise. ``auto``, ``manual`` and ``extra`` are nbgrader's parts of the
    score, None where not given; ``waits``: it is flagged for manual grading.
    """

    score: float
    max_score: float
    auto: float | None
    manual: float | None
    extra: float | None
    waits: bool
    comment: str = ""
    reply: str = ""  # to a student's question, see gradebook.replies

    @property
    def manual_parts(self) -> tuple[float | None, float | None, str]:
        """The manual grade, extra credit and comment."""
        return self.manual, self.extra, self.comment


@dataclass(frozen=True)
class SubmissionState:
    """One submission. Times are in UTC, in ISO format; ``due`` includes the ``extension``, which is
    in seconds. ``result`` and ``key`` are digests, empty if unknown. ``handed_in_by`` is for the
    members of a group. ``zone`` is the class's time zone, for feedback pages.
    ``marked_late``: the platform marks it as late, but gives no time.
    """

    student: str
    lesson: str
    name: str
    score: float
    max_score: float
    penalty: float
    graded: bool
    handed_in: str | None
    due: str | None
    extension: float | None
    result: str
    key: str
    items: Mapping[str, ItemState] = field(default_factory=dict)
    handed_in_by: str = ""
    zone: str = "UTC"
    marked_late: bool = False

    @property
    def late(self) -> bool:
        """Whether it was submitted after its due date, including the extension."""
        if self.handed_in is None or self.due is None:
            return False
        return datetime.fromisoformat(self.handed_in) > datetime.fromisoformat(self.due)

    @property
    def waits(self) -> bool:
        """Whether it needs manual grading, or a time."""
        return self.marked_late or any(item.waits for item in self.items.values())

    @property
    def fingerprint(self) -> str:
        """A digest of all data that a feedback page shows."""
        shown = {name: value for name, value in asdict(self).items() if name != "key"}
        content = json.dumps([PAGE_VERSION, shown], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


State = dict[SubmissionId, SubmissionState]


def read(book: Gradebook, workspace: Path, student: str = "", lesson: str = "") -> State:
    """The state of the whole gradebook, or of one student or lesson."""
    totals = scores.totals(book, [lesson] if lesson else [], [student] if student else [])
    items: dict[SubmissionId, dict[str, ItemState]] = {}
    answers, zone = replies.read(workspace), due_dates.read_zone(workspace).key
    for row in _rows(book, student, lesson):
        reply = answers.get(row[:2], {}).get(row[2], "")
        item = replace(ItemState(*row[3:]), reply=reply)
        items.setdefault(row[:2], {})[row[2]] = item
    results = recorded.digests(book)
    return {
        (total.student, total.lesson): SubmissionState(
            student=total.student,
            lesson=total.lesson,
            name=total.name,
            score=total.score,
            max_score=total.max_score,
            penalty=total.penalty,
            graded=total.graded,
            handed_in=_isoformat(total.handed_in),
            due=_isoformat(total.due),
            extension=None if total.extension is None else total.extension.total_seconds(),
            result=results.get((total.student, total.lesson), ""),
            key=original.key if original else "",
            items=items.get((total.student, total.lesson), {}),
            handed_in_by=original.handed_in_by if original else "",
            zone=zone,
            marked_late=original is not None
            and original.is_marked_late
            and total.handed_in is None,
        )
        for total in totals
        for original in [originals.find(workspace, total.student, total.lesson)]
    }


def _rows(book: Gradebook, student: str, lesson: str) -> Iterable[tuple]:
    """Student, lesson, item, and the fields of :class:`ItemState`."""
    comments = {}
    cells = [BaseCell.name, Comment.manual_comment]
    query = scores.query_cells(book, Comment, cells, student, lesson)
    for who, where, cell, comment in query:
        if comment:
            comments[who, where, cell.rpartition("-")[0]] = comment
    columns = [
        BaseCell.name,
        Grade.score,
        Grade.max_score,
        Grade.auto_score,
        Grade.manual_score,
        Grade.extra_credit,
        Grade.needs_manual_grade,
    ]
    query = scores.query_cells(book, Grade, columns, student, lesson)
    for who, where, name, *values in query.order_by(BaseCell.name):
        yield who, where, name, *values, comments.get((who, where, name), "")


def _isoformat(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def save(workspace: Path, state: State) -> None:
    """Write the state to its file, atomically."""
    content = {"format": _FORMAT, "submissions": [asdict(entry) for entry in state.values()]}
    new = workspace / f"{_FILE}.new"
    new.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(new, workspace / _FILE)


def load(workspace: Path) -> State:
    """The state after the last run; empty if there was none, or its file is damaged."""
    try:
        content = json.loads((workspace / _FILE).read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            return {}
        state = {}
        for entry in content["submissions"]:
            items = {name: ItemState(**item) for name, item in entry.pop("items").items()}
            state[entry["student"], entry["lesson"]] = SubmissionState(**entry, items=items)
        return state
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def restore_decisions(book: Gradebook, before: State, lost: Iterable[SubmissionId]) -> None:
    """Restore the decisions about submissions that the gradebook had lost: manual scores, extra
    credit, comments, extensions, and the due date of a lesson all of whose submissions were lost.
    """
    lost = sorted(set(lost) & before.keys())
    results = recorded.digests(book)
    for student, lesson in lost:
        earlier = before[student, lesson]
        submission = book.find_submission(lesson, student)
        if submission.extension is None and earlier.extension is not None:
            submission.extension = timedelta(seconds=earlier.extension)
        for notebook in submission.notebooks:
            for comment in notebook.comments:
                item = earlier.items.get(comment.name.rpartition("-")[0])
                if item is not None and item.comment and not comment.manual_comment:
                    comment.manual_comment = item.comment
            for grade in notebook.grades:
                item = earlier.items.get(grade.name)
                if item is None or (item.manual, item.extra) == (None, None):
                    continue
                grade.manual_score, grade.extra_credit = item.manual, item.extra
                unchanged = earlier.result == results.get((student, lesson))
                grade.needs_manual_grade = item.waits if unchanged else True
    for lesson in {lesson for _, lesson in lost}:
        ids = {id for id in before if id[1] == lesson}
        assignment = book.find_assignment(lesson)
        if assignment.duedate is None and ids <= set(lost):
            due = {_due_without_extension(before[id]) for id in ids}
            assignment.duedate = due.pop() if len(due) == 1 else None
    book.db.commit()


def _due_without_extension(entry: SubmissionState) -> datetime | None:
    if entry.due is None:
        return None
    return datetime.fromisoformat(entry.due) - timedelta(seconds=entry.extension or 0)
