"""The learner's progress in all lessons."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from course_lib.assets import paths
from course_lib.learner import files, items, record
from course_lib.learner.items import Item, LessonProgress


@dataclass(frozen=True)
class Progress:
    """The progress in every lesson, and notes, such as why a notebook is left out."""

    folder: Path
    lessons: list[LessonProgress]
    notes: list[str] = field(default_factory=list)

    @property
    def current(self) -> LessonProgress | None:
        """The lesson to go on with; None if all is right.

        It is the lesson changed last, if an item in it is open or unchecked; otherwise the next
        unfinished one, after the last lesson the first unfinished one.
        """
        unfinished = [lesson for lesson in self.lessons if not lesson.is_done]
        started = [lesson for lesson in self.lessons if lesson.started]
        last = max(started, key=lambda lesson: lesson.modified, default=None)
        if last is None:
            return next(iter(unfinished), None)
        if any(item.state in ("open", "written") for item in last.items):
            return last
        following = [lesson for lesson in unfinished if lesson.name > last.name]
        return next(iter([*following, *unfinished]), None)

    @property
    def again(self) -> list[tuple[LessonProgress, Item]]:
        """The items that are wrong or partly right, in the course's order."""
        return [
            (lesson, item)
            for lesson in self.lessons
            for item in lesson.items
            if item.state in ("wrong", "partly")
        ]

    def as_json(self) -> dict[str, Any]:
        """The progress as plain data for JSON."""
        current = self.current
        return {
            "folder": str(self.folder),
            "points": sum(lesson.points for lesson in self.lessons),
            "earned": sum(lesson.earned for lesson in self.lessons),
            "pending": sum(lesson.pending for lesson in self.lessons),
            "next": {"lesson": current.name, "cell": next_cell(current)} if current else None,
            "lessons": [_lesson_as_json(lesson) for lesson in self.lessons],
            "notes": self.notes,
        }


def read(folder: Path | None = None, lesson: str = "") -> Progress:
    """Read the learner's notebooks and ``progress.json``.

    Args:
        folder: the folder of the notebooks; by default the one that :func:`files.folder` finds.
        lesson: read only this lesson.
    """
    folder = folder or files.folder()
    found, problems = files.find(folder)
    notes = [f"{name} does not count: {reason}." for name, reason in problems.items()]
    try:
        recorded = record.load(folder)
    except ValueError as error:
        recorded = record.Record()
        notes.append(f"{error}.")
    names = [lesson] if lesson else files.lessons()
    lessons = [
        items.read_lesson(
            name,
            found.get(name, []),
            recorded.answers.get(name),
            recorded.exercises.get(name),
            source_digest(name),
        )
        for name in names
    ]
    return Progress(folder, lessons, notes)


def _lesson_as_json(lesson: LessonProgress) -> dict[str, Any]:
    items_as_json = [{**asdict(item), "link": link(lesson, item)} for item in lesson.items]
    return {
        "lesson": lesson.name,
        "title": lesson.title,
        "file": lesson.file,
        "points": lesson.points,
        "earned": lesson.earned,
        "pending": lesson.pending,
        "done": lesson.is_done,
        "notes": lesson.notes,
        "items": items_as_json,
    }


def source_digest(lesson: str) -> str:
    """A SHA-256 of a lesson's source, in a clone; empty elsewhere."""
    checkout = paths.checkout()
    path = checkout / "solutions" / f"{lesson}.md" if checkout else None
    if path is None or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def find_lesson(text: str) -> str:
    """The name of the lesson with this number or this text in its name.

    Raises:
        ValueError: if none or several match; the message lists the lessons.
    """
    known = files.lessons()
    wanted = Path(text).name.removesuffix(".ipynb").lower()
    if wanted.isdecimal():
        matches = [name for name in known if name.startswith(f"{int(wanted):02d}_")]
    else:
        matches = [name for name in known if wanted and wanted in name]
    if len(matches) != 1:
        problem = "several lessons match" if matches else "there is no lesson"
        raise ValueError(f"{problem} {text!r}. Lessons: {', '.join(known) or 'none'}")
    return matches[0]


def next_cell(lesson: LessonProgress) -> str:
    """The id of the cell to go on with; empty if the lesson has not been started."""
    item = lesson.next_item
    return item.cell if item and lesson.started else ""


def link(lesson: LessonProgress, item: Item) -> str:
    """The address of an item's cell, relative to the folder of the notebooks, for JupyterLab."""
    return f"{lesson.file}#cell-id={item.cell}" if lesson.file and item.cell else lesson.file
