"""The feedback page for a student: scores, messages and comments, without the rest of the lesson.

It is self-contained, so it can be read offline, and at most ``MAX_BYTES`` long. Its fingerprint
identifies the state of the gradebook from which it was made.
"""

import functools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from markdown_it import MarkdownIt
from nbgrader.utils import is_grade

from course_grading.gradebook import record
from course_grading.gradebook.state import ItemState, SubmissionState
from course_grading.reports.templates import render

MAX_BYTES = 60_000
_CODE_LIMITS = (20_000, 5_000, 2_000, 500)  # characters of each exercise; the first that fits
_MAX_TEXT = 4_000  # characters of a question, an answer or a message
_FINGERPRINT = re.compile(rb'<meta name="course-fingerprint" content="([0-9a-f]+)">')
# Raw HTML in a question is escaped, and shown as text.
_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@dataclass(frozen=True)
class Part:
    """One item on the page. ``question`` is HTML; ``left_out`` is the number of characters of
    ``work`` that were cut off.
    """

    name: str
    item: ItemState
    question: str
    work: str
    is_code: bool
    message: str
    left_out: int = 0


def read_fingerprint(path: Path) -> str:
    """The fingerprint in a page's head; empty if there is no page, or it has none."""
    try:
        with path.open("rb") as file:
            match = _FINGERPRINT.search(file.read(2000))
    except OSError:
        return ""
    return match[1].decode() if match else ""


def render_page(notebook, entry: SubmissionState) -> str:
    """The page of one submission.

    Args:
        notebook: nbgrader's copy of the graded notebook.
        entry: its state in the gradebook.
    """
    page = ""
    for limit in _CODE_LIMITS:
        parts = _read_parts(notebook, entry, limit)
        page = render(
            "feedback",
            title=_title(notebook, entry.lesson),
            entry=entry,
            parts=parts,
            waiting=[
                *(["the submission time"] if entry.marked_late else []),
                *(part.name for part in parts if part.item.waits),
            ],
            handed_in=_format_time(entry.handed_in, entry.zone),
            due=_format_time(entry.due, entry.zone),
            late_by=_late_by(entry),
        )
        if len(page.encode()) <= MAX_BYTES:
            break
    return page


def _title(notebook, lesson: str) -> str:
    for cell in notebook.cells:
        match = re.match(r"# (.+)", cell.source) if cell.cell_type == "markdown" else None
        if match:
            return f"Feedback: {match[1]}"
    return f"Feedback: {lesson}"


def _read_parts(notebook, entry: SubmissionState, limit: int) -> list[Part]:
    sources = {
        cell.metadata.get("nbgrader", {}).get("grade_id", ""): cell.source
        for cell in notebook.cells
    }
    parts = []
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if not is_grade(cell) or name not in entry.items:
            continue
        texts = [output.get("text", "") for output in cell.get("outputs", [])]
        code = sources.get(f"{name}-code")
        work = record.work_of(sources, name)
        max_length = limit if code is not None else _MAX_TEXT
        parts.append(
            Part(
                name=name,
                item=entry.items[name],
                question=_to_html(sources.get(f"{name}-question", "")[:_MAX_TEXT]),
                work=work[:max_length],
                is_code=code is not None,
                message="".join(texts).strip()[:_MAX_TEXT],
                left_out=max(0, len(work) - max_length),
            )
        )
    return parts


@functools.lru_cache(maxsize=256)
def _to_html(text: str) -> str:
    """A question in HTML; most students of a class have the same."""
    return _markdown.render(text)


def _format_time(time: str | None, zone: str) -> str:
    """Format a UTC time in the class's time zone: ``31 October 2026, 23:59 Europe/Berlin
    (UTC+01:00)``; empty if it is None.
    """
    if time is None:
        return ""
    local = datetime.fromisoformat(time).replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    shown = f"{local:%d %B %Y, %H:%M} {zone}".lstrip("0")
    return shown if zone == "UTC" else f"{shown} ({_offset(local)})"


def _offset(time: datetime) -> str:
    offset = f"{time:%z}"
    return f"UTC{offset[:3]}:{offset[3:5]}"


def _late_by(entry: SubmissionState) -> str:
    """How late it was submitted, in the two largest units."""
    if not entry.late or entry.handed_in is None or entry.due is None:
        return ""
    late = datetime.fromisoformat(entry.handed_in) - datetime.fromisoformat(entry.due)
    minutes, seconds = divmod(int(late.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    amounts = {"days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    parts = [f"{n} {unit if n != 1 else unit[:-1]}" for unit, n in amounts.items() if n]
    return " ".join(parts[:2]) or "less than a second"
