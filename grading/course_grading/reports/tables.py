"""Write the output of a run. The tables, the summary and the pages in ``grades/`` always cover the
whole class; ``grades/runs/TIME/`` contains the results of this run.

Tables begin with a byte-order mark, because without it Excel does not read them as UTF-8.
"""

import csv
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from course_grading.batch import Batch, Grade
from course_grading.collect.problems import Problem
from course_grading.export.class_list import MissingSubmission
from course_grading.gradebook import formgrader
from course_grading.gradebook.changes import Change
from course_grading.gradebook.record import work_of
from course_grading.gradebook.scores import Item
from course_grading.reports.markdown import inline

_MAX_WORK = 2000  # characters of an answer in a table
_GRADE_COLUMNS = ("student", "name", "lesson", "score", "max_score", "late", "needs_manual")
_ITEM_COLUMNS = (
    "student",
    "lesson",
    "item",
    "score",
    "max_score",
    "manual",
    "answer",
    "message",
)
_MANUAL_COLUMNS = ("student", "name", "lesson", "item", "score", "max_score", "answer", "link")
_PROBLEM_COLUMNS = ("student", "lesson", "file", "reason")
_CHANGE_COLUMNS = ("student", "lesson", "what", "before", "after", "reason")
_MISSING_COLUMNS = ("student", "name", "lesson", "note")


@dataclass(frozen=True)
class _ItemRow:
    """A row of items.csv or needs_manual.csv."""

    student: str
    name: str
    lesson: str
    item: str
    score: float | str
    max_score: float
    manual: bool
    answer: str
    message: str
    link: str


def write(batch: Batch, out: Path, time: datetime | None = None) -> list[Path]:
    """Write all output into the folder ``out``, which is created if necessary.

    Args:
        batch: the results of the run.
        out: the folder.
        time: the time of the run, by default now, after which the run's folder is named.

    Returns:
        The paths of the tables, the summary, the folder of feedback pages and the run's folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    grades, items = batch.class_grades or batch.grades, batch.class_items or batch.items
    for (student, lesson), page in (batch.class_feedback or batch.feedback).items():
        target = out / "feedback" / student / f"{lesson}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        content = page.read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            target.write_bytes(content)
    rows = _item_table(batch, grades, items)
    paths = [
        _write_table(out / "grades.csv", _GRADE_COLUMNS, grades),
        _write_table(out / "items.csv", _ITEM_COLUMNS, rows),
        _write_table(
            out / "needs_manual.csv",
            _MANUAL_COLUMNS,
            [*_unknown_times(batch, rows), *(row for row in rows if row.manual)],
        ),
        _write_table(out / "not_handed_in.csv", _MISSING_COLUMNS, batch.missing_submissions),
        _write_table(out / "problems.csv", _PROBLEM_COLUMNS, batch.problems),
        _write_table(out / "notes.csv", _PROBLEM_COLUMNS, batch.notes),
    ]
    summary = out / "summary.md"
    summary.write_text(summarise(batch), encoding="utf-8")
    folder = _new_folder(out / "runs", time or datetime.now(UTC))
    _write_table(folder / "grades.csv", _GRADE_COLUMNS, batch.grades)
    _write_table(folder / "changes.csv", _CHANGE_COLUMNS, batch.changes)
    _write_table(folder / "problems.csv", _PROBLEM_COLUMNS, batch.problems)
    _write_table(folder / "notes.csv", _PROBLEM_COLUMNS, batch.notes)
    shutil.copyfile(summary, folder / "summary.md")
    pages = [out / "feedback"] if (out / "feedback").is_dir() else []
    return [*paths, summary, *pages, folder]


def _new_folder(runs: Path, time: datetime) -> Path:
    """Create a folder named after a time in UTC; a second run in the same second gets a number."""
    name = f"{time.astimezone(UTC):%Y-%m-%dT%H%M%SZ}"
    number = 1
    while True:
        folder = runs / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1


def _item_table(batch: Batch, grades: list[Grade], items: list[Item]) -> list[_ItemRow]:
    names = {(grade.student, grade.lesson): grade.name for grade in grades}
    results = {
        (*id, item.name): (item, result)
        for id, result in batch.class_results.items()
        for item in result.items
    }
    rows = []
    for item in items:
        id = item.student, item.lesson
        graded, result = results.get((*id, item.name), (None, None))
        answer = graded.answer if graded else ""
        if item.manual and result is not None:
            answer = work_of(dict(result.sources), item.name)
        rows.append(
            _ItemRow(
                student=item.student,
                name=names.get(id, ""),
                lesson=item.lesson,
                item=item.name,
                score=item.score if item.scored else "",
                max_score=item.max_score,
                manual=item.manual,
                answer=answer[:_MAX_WORK],
                message=graded.message if graded else "",
                link=formgrader.link(
                    item.notebook, batch.places.get(item.lesson, {}).get(item.name, "")
                ),
            )
        )
    return rows


def _unknown_times(batch: Batch, rows: list[_ItemRow]) -> Iterator[_ItemRow]:
    """A row for each submission that the platform marks as late without a time."""
    first_rows = {(row.student, row.lesson): row for row in reversed(rows)}
    for grade in batch.class_grades:
        id = grade.student, grade.lesson
        if id in batch.marked_late and id in first_rows:
            yield replace(
                first_rows[id],
                item="(submission time)",
                score=grade.score,
                max_score=grade.max_score,
                answer=(
                    "marked as late by the platform; nothing was deducted. Write the time into "
                    f"[handed_in.{grade.student}] of grading/due_dates.toml"
                ),
            )


def _write_table(
    path: Path,
    columns: Iterable[str],
    rows: Iterable[Grade | _ItemRow | Problem | Change | MissingSubmission],
) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in sorted(rows, key=lambda row: (row.student, row.lesson)):
            writer.writerow([_as_text(getattr(row, name)) for name in columns])
    return path


def _as_text(value: object) -> object:
    """Prefix text such as ``=1+1`` with a quote, so that no spreadsheet runs it as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def summarise(batch: Batch) -> str:
    """The summary in Markdown: the distribution of each lesson's scores, and its hardest items."""
    lines = ["# Summary", ""]
    grades_by_lesson: dict[str, list[Grade]] = defaultdict(list)
    items = batch.class_items or batch.items
    for grade in batch.class_grades or batch.grades:
        grades_by_lesson[grade.lesson].append(grade)
    for lesson, grades in sorted(grades_by_lesson.items()):
        lines += _summarise_lesson(
            lesson, grades, [item for item in items if item.lesson == lesson]
        )
        missing = [row for row in batch.missing_submissions if row.lesson == lesson]
        ungraded = [row for row in missing if row.note]
        lines += _list_students("Not submitted", [row for row in missing if not row.note])
        lines += _list_students("Submitted, but not graded", ungraded)
    lines += ["## Not graded", ""]
    lines += [f"{len(batch.problems)} files or submissions:" if batch.problems else "Nothing.", ""]
    for problem in batch.problems:
        student = inline(problem.student) if problem.student else "no student"
        lines.append(f"- {inline(problem.file)} ({student}): {inline(problem.reason)}")
    if batch.notes:
        lines += ["", "## Graded, but please check", ""]
        for note in batch.notes:
            student = f" ({inline(note.student)})" if note.student else ""
            lines.append(f"- {inline(note.file)}{student}: {inline(note.reason)}")
    if batch.changes:
        lines += ["", "## Changed since the last run", ""]
        lines += [f"- {describe_change(change)}" for change in batch.changes[:100]]
        if len(batch.changes) > 100:
            lines.append(f"- and {len(batch.changes) - 100} more: see changes.csv in runs/")
    return "\n".join(lines).rstrip() + "\n"


def _list_students(title: str, rows: list[MissingSubmission]) -> list[str]:
    """A paragraph with the first 50 students; empty if there are none."""
    if not rows:
        return []
    names = ", ".join(inline(row.student) for row in rows[:50])
    more = f" and {len(rows) - 50} more" if len(rows) > 50 else ""
    return [f"{title} ({len(rows)}): {names}{more}.", ""]


def describe_change(change: Change) -> str:
    """A change in one line of Markdown."""
    before, after = inline(change.before or "nothing"), inline(change.after or "nothing")
    return (
        f"{inline(change.student)}, {change.lesson}: {change.what} {before} → {after} "
        f"({change.reason})"
    )


def _summarise_lesson(lesson: str, grades: list[Grade], items: list[Item]) -> list[str]:
    # a lesson whose items are all void has no points
    percents = [100 * grade.score / grade.max_score for grade in grades if grade.max_score]
    percents = percents or [0.0]
    quartiles = statistics.quantiles(percents, n=4) if len(percents) > 1 else percents * 3
    late = sum(grade.late for grade in grades)
    manual = sum(grade.needs_manual for grade in grades)
    return [
        f"## {lesson}",
        "",
        f"{len(grades)} graded, {late} late, {manual} to be graded manually. "
        f"Mean {statistics.mean(percents):.1f} %, quartiles "
        f"{quartiles[0]:.1f} / {quartiles[1]:.1f} / {quartiles[2]:.1f} %.",
        "",
        *_histogram(percents),
        "",
        "Items, the most often missed first:",
        "",
        "| item | mean | full marks | no marks |",
        "| --- | ---: | ---: | ---: |",
        *_item_rows(items),
        "",
    ]


def _histogram(percents: list[float]) -> list[str]:
    counts = [0] * 10
    for percent in percents:
        counts[min(9, int(percent // 10))] += 1
    rows = [
        f"{10 * k:3d}-{10 * k + 10:3d} %  {'█' * round(30 * count / max(counts)):30}  {count}"
        for k, count in enumerate(counts)
    ]
    return ["```text", *rows, "```"]


def _item_rows(items: list[Item]) -> list[str]:
    shares_by_item: dict[str, list[float]] = defaultdict(list)
    for item in items:
        if item.max_score:  # not void
            shares_by_item[item.name].append(item.score / item.max_score)
    hardest_first = sorted(
        shares_by_item.items(), key=lambda entry: (statistics.mean(entry[1]), entry[0])
    )
    rows = []
    for name, shares in hardest_first:
        full = sum(share == 1 for share in shares)
        zero = sum(share == 0 for share in shares)
        rows.append(f"| {name} | {100 * statistics.mean(shares):.0f} % | {full} | {zero} |")
    return rows
