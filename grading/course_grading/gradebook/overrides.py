"""Void a question or exercise, or give everybody its points, by ``grading/overrides.toml``::

    [01_pixels.how-many]
    points = "full"            # or "void": the item does not count
    reason = "Two options were right."

Every run applies it to the whole class; the feedback shows the reason. A manual score is set aside
as long as the item is in the file. The file also contains replies to single students
(:mod:`.replies`).
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import (
    Assignment,
    Grade,
    Gradebook,
    GradeCell,
    Notebook,
    SubmittedAssignment,
    SubmittedNotebook,
)

from course_grading.autograde import answer_keys
from course_grading.autograde.answer_keys import AnswerKey
from course_grading.autograde.grade import SubmissionResult
from course_grading.errors import OverrideError

NAME = "overrides.toml"
REPLIES = "replies"  # the table of :mod:`.replies`
_SET_ASIDE = "overrides_set_aside.json"


@dataclass(frozen=True)
class Override:
    """The override of one item: ``points`` is ``full`` or ``void``."""

    points: str
    reason: str


# by lesson and item
Overrides = Mapping[str, Mapping[str, Override]]


def load(workspace: Path) -> tuple[Path, dict[str, Any]]:
    """The file's path, and its parsed contents; empty if there is no file.

    Raises:
        OverrideError: if it is invalid TOML.
    """
    path = workspace.resolve().with_name(NAME)
    if not path.is_file():
        return path, {}
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OverrideError(f"{path} is invalid TOML: {error}") from error


def read(workspace: Path) -> Overrides:
    """The overrides of the file; empty if there is no file.

    Raises:
        OverrideError: if the file is invalid; the message says what to write.
    """
    path, content = load(workspace)
    content.pop(REPLIES, None)
    overrides: dict[str, dict[str, Override]] = {}
    for lesson, items in content.items():
        for name, entry in items.items() if isinstance(items, dict) else [("", None)]:
            where = f"{path}: [{lesson}.{name}]"
            if not isinstance(entry, dict) or entry.keys() - {"points", "reason"}:
                raise OverrideError(
                    f"{where} has other lines than points and reason: write a heading "
                    "[NN_lesson.item] and these two below it"
                )
            if entry.get("points") not in ("full", "void"):
                raise OverrideError(
                    f'{where}: write points = "full" (everybody gets them) or points = "void" (the '
                    "item does not count)"
                )
            reason = entry.get("reason")
            if not isinstance(reason, str) or not reason.strip():
                raise OverrideError(f'{where}: add reason = "...", which the students read')
            overrides.setdefault(lesson, {})[name] = Override(entry["points"], reason.strip())
    return overrides


def read_key(workspace: Path, lesson: str, overrides: Overrides, student: str = "") -> AnswerKey:
    """The answer key of a lesson, or of a student's variant. Overrides change the key's digest, so
    that everything is graded again.

    Raises:
        AnswerKeyError: if the key can't be read.
        OverrideError: if the lesson has no such item.
    """
    key = answer_keys.read(workspace, lesson, student)
    own = overrides.get(lesson, {})
    names = list(_max_scores(key))
    for name in own:
        if name not in names:
            raise OverrideError(
                f"{workspace.resolve().with_name(NAME)}: {lesson} has no item {name}. Its items: "
                f"{', '.join(names)}"
            )
    if not own:
        return key
    notebook = nbformat.reads(key.release, as_version=4)
    entries = {name: [override.points, override.reason] for name, override in sorted(own.items())}
    notebook.metadata["course"] = {**notebook.metadata.get("course", {}), "overrides": entries}
    return replace(key, release=nbformat.writes(notebook))


def apply(result: SubmissionResult, overrides: Overrides) -> SubmissionResult:
    """The result with overrides applied, and the reasons in the messages."""
    own = overrides.get(result.lesson, {})
    items = []
    for item in result.items:
        override = own.get(item.name)
        if override is not None and override.points == "full":
            message = f"Everybody gets the points: {override.reason} ({item.message})"
            item = replace(item, score=item.points, message=message, manual=False)
        elif override is not None:
            message = f"Not counted: {override.reason} ({item.message})"
            item = replace(item, score=0.0, points=0.0, message=message, manual=False)
        items.append(item)
    return replace(result, items=tuple(items)) if own else result


def _max_scores(key: AnswerKey) -> dict[str, float]:
    """The maximum score of each item."""
    questions = {question.name: question.points for question in key.questions}
    return questions | {exercise.name: exercise.points for exercise in key.exercises}


def set_points(book: Gradebook, keys: Mapping[str, AnswerKey], overrides: Overrides) -> None:
    """Set the ``max_score`` of each item in nbgrader's gradebook, 0 if it is void.

    nbgrader refuses to grade cells whose points differ from the release's, so call this without
    overrides before recording results.
    """
    for cell, lesson in (
        book.db.query(GradeCell, Assignment.name)
        .join(Notebook, GradeCell.notebook_id == Notebook.id)
        .join(Assignment, Notebook.assignment_id == Assignment.id)
        .filter(Assignment.name.in_(list(keys)))
    ):
        override = overrides.get(lesson, {}).get(cell.name)
        max_scores = _max_scores(keys[lesson])
        if cell.name in max_scores:
            void = override is not None and override.points == "void"
            cell.max_score = 0.0 if void else max_scores[cell.name]
    book.db.commit()


def set_aside_manual_scores(
    book: Gradebook, workspace: Path, keys: Mapping[str, AnswerKey], overrides: Overrides
) -> None:
    """Set aside the manual scores of items in the file, and restore those of items that are no
    longer in it.
    """
    aside = _read_set_aside(workspace)
    if aside or overrides:
        for grade, student, lesson, name in (
            book.db.query(Grade, SubmittedAssignment.student_id, Assignment.name, GradeCell.name)
            .join(GradeCell, Grade.cell_id == GradeCell.id)
            .join(SubmittedNotebook, Grade.notebook_id == SubmittedNotebook.id)
            .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
            .filter(Assignment.name.in_(list(keys)))
        ):
            id = f"{student}/{lesson}/{name}"
            if name in overrides.get(lesson, {}):
                if grade.manual_score is not None:
                    aside[id] = grade.manual_score
                    grade.manual_score = None
            elif id in aside:
                grade.manual_score = aside.pop(id)
        _write_set_aside(workspace, aside)
    book.db.commit()


def _read_set_aside(workspace: Path) -> dict[str, float]:
    try:
        return dict(json.loads((workspace / _SET_ASIDE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _write_set_aside(workspace: Path, content: dict[str, float]) -> None:
    path = workspace / _SET_ASIDE
    if content or path.exists():
        new = path.with_suffix(".new")
        new.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(new, path)
