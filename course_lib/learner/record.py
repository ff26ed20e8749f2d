"""``progress.json``, a small file in the notebooks' folder: answers from the website, and results
of the hidden checks.

It has the format of the website's export (website/web/quiz/README.md), so the website's front page
can import it. ``exercises`` is an additional key, which the website ignores. Where the notebook has
an answer too, the notebook's counts.
"""

import json
import math
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NAME = "progress.json"
FORMAT, VERSION = "pixels-to-diffusion-progress", 1
MAX_BYTES = 2**20
_LESSON = re.compile(r"[0-9]{2}_[a-z0-9_]+")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_ANSWER = 1000  # characters


@dataclass(frozen=True)
class SiteAnswer:
    """An answer with ``points`` of ``of``; ``checked`` is its time on the website (ISO 8601)."""

    answer: str
    points: float
    of: float
    checked: str

    @property
    def time(self) -> datetime:
        """When it was checked."""
        return datetime.fromisoformat(self.checked)


@dataclass(frozen=True)
class CheckedExercise:
    """The result of an exercise's hidden checks: ``points`` of ``of``, and a message for learners.

    ``digest`` is of the learner's code, ``lesson`` of the lesson's source: when either has changed,
    the result is stale.
    """

    digest: str
    lesson: str
    points: float
    of: float
    message: str


@dataclass
class Record:
    """The content of ``progress.json``, by lesson and by name of the question or exercise."""

    answers: dict[str, dict[str, SiteAnswer]] = field(default_factory=dict)
    exercises: dict[str, dict[str, CheckedExercise]] = field(default_factory=dict)


def load(folder: Path) -> Record:
    """The record of a folder; empty if there is none.

    Raises:
        ValueError: if it is damaged; the message names the file.
    """
    path = folder / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Record()
    try:
        record = parse(text)
        for lesson, exercises in json.loads(text).get("exercises", {}).items():
            record.exercises[lesson] = {
                name: CheckedExercise(**fields) for name, fields in exercises.items()
            }
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} can't be read ({error}): move it away") from error
    return record


def save(folder: Path, record: Record) -> Path:
    """Write the record atomically, and return its path."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "lessons": _plain(record.answers),
        "exercises": _plain(record.exercises),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    path = folder / NAME
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{NAME}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
    return path


def parse(text: str, now: datetime | None = None) -> Record:
    """The answers in a file that the website exported; one malformed entry rejects the file.

    Args:
        text: the file's content.
        now: the current time; an answer's later time is replaced by it.

    Raises:
        ValueError: if the file is malformed; the message is a sentence for the learner.
    """
    now = now or datetime.now(UTC)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("This file is not JSON. Choose one that the website exported.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("This file holds no progress of this course.")
    if content.get("version") != VERSION:
        raise ValueError(
            f"This file has version {content.get('version')} of the format, and this course reads "
            f"version {VERSION}."
        )
    if not isinstance(content.get("lessons"), dict):
        raise ValueError('The file is damaged: "lessons" is missing.')
    record = Record()
    for lesson, questions in content["lessons"].items():
        if not _LESSON.fullmatch(lesson) or not isinstance(questions, dict):
            raise ValueError(f"The file is damaged: it has no readable lesson {lesson!r}.")
        for name, entry in questions.items():
            if not _SLUG.fullmatch(name) or (answer := _parse_entry(entry, now)) is None:
                raise ValueError(
                    f"The file is damaged: the answer to {name!r} in lesson {lesson} can't be read."
                )
            record.answers.setdefault(lesson, {})[name] = answer
    return record


def merge(ours: Record, theirs: Record) -> int:
    """Add the other record's answers; of two answers to the same question, the later one stays.

    Returns:
        The number of answers taken from ``theirs``.
    """
    taken = 0
    for lesson, answers in theirs.answers.items():
        own = ours.answers.setdefault(lesson, {})
        for name, answer in answers.items():
            if name in own and own[name].time >= answer.time:
                continue
            own[name] = answer
            taken += 1
    return taken


def _parse_entry(entry: Any, now: datetime) -> SiteAnswer | None:
    """One answer; None if it is malformed. Whether it suits its question is checked elsewhere."""
    if not isinstance(entry, dict):
        return None
    answer, checked = entry.get("answer"), entry.get("checked")
    points, of = _number(entry.get("points")), _number(entry.get("of"))
    if not isinstance(answer, str) or not 0 < len(answer.strip()) <= _MAX_ANSWER:
        return None
    if points is None or of is None or not 0 <= points <= of or of == 0:
        return None
    if not isinstance(checked, str):
        return None
    try:
        # a clock that is wrong must not make this answer the latest for ever
        time = min(datetime.fromisoformat(checked).astimezone(UTC), now)
    except (ValueError, OverflowError):
        return None
    text = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return SiteAnswer(answer, points, of, text)


def _number(value: Any) -> float | None:
    """The value if it is a finite number, else None."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return value


def _plain(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        lesson: {name: asdict(entry) for name, entry in sorted(named.items())}
        for lesson, named in sorted(entries.items())
    }
