"""Progress as lines of text and as a table in HTML."""

import html
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from course_lib.learner import summary
from course_lib.learner.items import Item, LessonProgress
from course_lib.learner.summary import Progress

_STATE_LABELS = {
    "open": "not done",
    "written": "written, not checked",
    "passing": "visible checks pass",
    "wrong": "wrong",
    "partly": "partly right",
    "right": "right",
}
_MAX_AGAIN = 12  # items that the overview lists
_HEADERS = ("Lesson", "Questions", "Exercises", "Points")
# Colour carries no meaning; borders and text have the colours of the page, light or dark.
_STYLE = (
    # The doubled class raises the specificity above the editors' rules for tables.
    "table.course-progress-table.course-progress-table{border-collapse:collapse;margin:.5em 0;"
    "color:inherit;font:inherit;table-layout:auto}"
    ".course-progress-table caption{text-align:left;font-weight:bold;padding:.3em 0;color:inherit}"
    ".course-progress-table.course-progress-table tr{background:none}"
    ".course-progress-table.course-progress-table :is(th,td){text-align:left;font:inherit;"
    "padding:.3em .7em .3em 0;border:0;border-bottom:1px solid currentColor;max-width:none;"
    "white-space:normal;vertical-align:top}"
    ".course-progress-table.course-progress-table :is(thead,tfoot) :is(th,td){font-weight:bold}"
)


def as_lines(progress: Progress, *, every_item: bool = False) -> Iterator[str]:
    """The overview as text: a row for each lesson, what to look at again, and where to go on.

    Args:
        progress: the progress to show.
        every_item: list every question and exercise too.
    """
    rows = [list(_HEADERS), *(_row(lesson) for lesson in progress.lessons)]
    if len(progress.lessons) > 1:
        rows.append(["All lessons", *_total(progress)])
    yield from _align(rows)
    if every_item:
        for lesson in progress.lessons:
            yield ""
            yield from map(_item_line, lesson.items)
    elif again := progress.again:
        yield "\nLook at again:"
        for lesson, item in again[:_MAX_AGAIN]:
            yield f"  {_where(lesson, item)}: {item.title} ({_result(item)})"
            if item.message:
                yield f"      {item.message}"
        if len(again) > _MAX_AGAIN:
            yield f"  and {len(again) - _MAX_AGAIN} more: see course progress --lesson NN"
    notes = [*progress.notes, *(note for lesson in progress.lessons for note in lesson.notes)]
    yield from ("", *notes) if notes else ()
    pending = sum(lesson.pending for lesson in progress.lessons)
    if pending:
        yield f"\n+{_number(pending)} when the hidden checks pass: course progress --checks"
    current = progress.current
    if current is not None and not every_item:
        yield f"\nGo on with {_going_on(current)}: course lab"


def check_lines(progress: LessonProgress, graded: Sequence[Any]) -> Iterator[str]:
    """What ``course check`` prints: a row for each item, its message below it, and the total.

    Args:
        progress: the lesson.
        graded: the items, each with ``kind``, ``name``, ``points``, ``earned``, ``message`` and
            ``is_right``.
    """
    titles = {item.name: item for item in progress.items}
    yield progress.title
    for item in graded:
        known = titles.get(item.name)
        title = known.title if known and item.kind == "question" else item.name
        mark = "✓" if item.is_right else "✗"
        yield f"{mark} {_number(item.earned):>4} of {_number(item.points):<3} {item.kind}: {title}"
        if item.message:
            section = f" (section “{known.section}”)" if known and known.section else ""
            yield f"               {item.message}{section}"
    earned, points = sum(item.earned for item in graded), sum(item.points for item in graded)
    right = sum(item.is_right for item in graded)
    yield (
        f"{_number(earned)} of {_number(points)} points; {right} of {len(graded)} questions and "
        "exercises are right."
    )


def show(progress: Progress | None = None) -> None:
    """Display the overview as a cell's output, with plain text where HTML is not supported.

    Args:
        progress: the progress to show; by default read from the working folder.
    """
    from IPython.display import display

    progress = progress or summary.read()
    text = "\n".join(as_lines(progress))
    display({"text/html": as_html(progress), "text/plain": text}, raw=True)


def as_html(progress: Progress) -> str:
    """The overview as a table with a caption and row headers, and what to look at again below."""
    head = "".join(f'<th scope="col">{name}</th>' for name in _HEADERS)
    body = "".join(_html_row(row) for row in map(_row, progress.lessons))
    foot = f"<tfoot>{_html_row(['All lessons', *_total(progress)])}</tfoot>"
    current = progress.current
    caption = f"Your progress, as saved in {html.escape(progress.folder.name or 'this folder')}"
    parts = [
        f"<style>{_STYLE}</style>",
        '<div style="overflow-x:auto"><table class="course-progress-table">',
        f"<caption>{caption}</caption>",
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>",
        foot if len(progress.lessons) > 1 else "",
        "</table></div>",
    ]
    if again := progress.again[:_MAX_AGAIN]:
        entries = "".join(f"<li>{_html_item(lesson, item)}</li>" for lesson, item in again)
        parts.append(f"<p><b>Look at again</b></p><ul>{entries}</ul>")
    parts += [f"<p>{html.escape(note)}</p>" for note in progress.notes]
    if current is not None:
        item = current.next_item
        address = summary.link(current, item) if item and current.started else current.file
        text = html.escape(_going_on(current))
        link = f'<a href="{html.escape(address)}">{text}</a>' if address else text
        parts.append(f"<p>Go on with {link}.</p>")
    return "".join(parts)


def _row(lesson: LessonProgress) -> list[str]:
    return [
        lesson.title,
        _count(lesson.of("question")),
        _count(lesson.of("exercise")) if lesson.file else "no notebook here",
        _points(lesson.earned, lesson.points, lesson.pending),
    ]


def _total(progress: Progress) -> list[str]:
    items = [item for lesson in progress.lessons for item in lesson.items]
    return [
        _count([item for item in items if item.kind == "question"]),
        _count([item for item in items if item.kind == "exercise"]),
        _points(
            sum(item.earned for item in items),
            sum(item.points for item in items),
            sum(item.pending for item in items),
        ),
    ]


def _count(items: list[Item]) -> str:
    """How many were answered or written, and how many are right."""
    done = sum(item.state != "open" for item in items)
    right = sum(item.is_done for item in items)
    return f"{done} of {len(items)}" + (f", {right} right" if done else "")


def _points(earned: float, points: float, pending: float) -> str:
    return f"{_number(earned)} of {_number(points)}" + (
        f" (+{_number(pending)})" if pending else ""
    )


def _item_line(item: Item) -> str:
    site = ", answered on the website" if item.place == "site" else ""
    message = f"\n      {item.message}" if item.message else ""
    return f"  {item.kind}: {item.title} ({_result(item)}{site}){message}"


def _result(item: Item) -> str:
    points = f"{_number(item.earned)} of {_number(item.points)}"
    return f"{_STATE_LABELS[item.state]}, {points}"


def _where(lesson: LessonProgress, item: Item) -> str:
    number = lesson.name.partition("_")[0].lstrip("0")
    section = f", “{item.section}”" if item.section else ""
    return f"Lesson {number}{section}"


def _going_on(lesson: LessonProgress) -> str:
    item = lesson.next_item
    section = f", “{item.section}”" if item and item.section and lesson.started else ""
    return f"{lesson.title}{section}"


def _align(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _html_row(row: Iterable[str]) -> str:
    first, *others = (html.escape(cell) for cell in row)
    cells = "".join(f"<td>{cell}</td>" for cell in others)
    return f'<tr><th scope="row">{first}</th>{cells}</tr>'


def _html_item(lesson: LessonProgress, item: Item) -> str:
    where = html.escape(_where(lesson, item))
    address = summary.link(lesson, item)
    link = f'<a href="{html.escape(address)}">{where}</a>' if address else where
    message = f" {html.escape(item.message)}" if item.message else ""
    return f"{link}: {html.escape(item.title)} ({_result(item)}).{message}"


def _number(points: float) -> str:
    return f"{round(points, 2):g}"
