"""The output of a run: grades.csv, items.csv, problems.csv, notes.csv, summary.md, feedback/."""

import csv
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from course_grading.batch import Batch, Grade
from course_grading.collect.problems import Problem
from course_grading.gradebook.scores import Item

# heading of the column -> attribute of the row
_GRADE_COLUMNS = {field.name: field.name for field in fields(Grade)}
_PROBLEM_COLUMNS = {field.name: field.name for field in fields(Problem)}
_ITEM_COLUMNS = {
    "student": "student",
    "lesson": "lesson",
    "item": "name",
    "score": "score",
    "max_score": "max_score",
}


def write(batch: Batch, out: Path) -> list[Path]:
    """Write everything into the folder ``out``, created if necessary.

    Returns:
        The files: the tables, the summary and the folder of feedback pages.
    """
    out.mkdir(parents=True, exist_ok=True)
    for (student, lesson), page in batch.feedback.items():
        target = out / "feedback" / student / f"{lesson}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, target)
    paths = [
        _write_table(out / "grades.csv", _GRADE_COLUMNS, batch.grades),
        _write_table(out / "items.csv", _ITEM_COLUMNS, batch.items),
        _write_table(out / "problems.csv", _PROBLEM_COLUMNS, batch.problems),
        _write_table(out / "notes.csv", _PROBLEM_COLUMNS, batch.notes),
    ]
    summary = out / "summary.md"
    summary.write_text(summarise(batch), encoding="utf-8")
    return [*paths, summary, *([out / "feedback"] if batch.feedback else [])]


def _write_table(path: Path, columns: dict[str, str], rows: Iterable) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in sorted(rows, key=lambda row: (row.student, row.lesson)):
            writer.writerow([_as_text(getattr(row, name)) for name in columns.values()])
    return path


def _as_text(value: object) -> object:
    """A value that no spreadsheet takes for a formula: a quote before ``=1+1`` as a file name."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def summarise(batch: Batch) -> str:
    """A page of Markdown: each lesson's mean and distribution, and the items most often missed."""
    lines = ["# Summary", ""]
    grades_by_lesson: dict[str, list[Grade]] = defaultdict(list)
    for grade in batch.grades:
        grades_by_lesson[grade.lesson].append(grade)
    for lesson, grades in sorted(grades_by_lesson.items()):
        lines += _summarise_lesson(
            lesson, grades, [item for item in batch.items if item.lesson == lesson]
        )
    lines += ["## Not graded", ""]
    lines += [f"{len(batch.problems)} files or submissions:" if batch.problems else "Nothing.", ""]
    for problem in batch.problems:
        lines.append(f"- `{problem.file}` ({problem.student or 'no student'}): {problem.reason}")
    if batch.notes:
        lines += ["", "## Graded, but please check", ""]
        lines += [f"- `{note.file}` ({note.student}): {note.reason}" for note in batch.notes]
    return "\n".join(lines).rstrip() + "\n"


def _summarise_lesson(lesson: str, grades: list[Grade], items: list[Item]) -> list[str]:
    # Every lesson has points: the build refuses questions and exercises without.
    percents = [100 * grade.score / grade.max_score for grade in grades]
    quartiles = statistics.quantiles(percents, n=4) if len(percents) > 1 else percents * 3
    late = sum(grade.late for grade in grades)
    manual = sum(grade.needs_manual for grade in grades)
    return [
        f"## {lesson}",
        "",
        f"{len(grades)} graded, {late} late, {manual} to be graded by hand. "
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
        shares_by_item[item.name].append(item.score / item.max_score)
    hardest_first = sorted(
        shares_by_item.items(), key=lambda entry: (statistics.mean(entry[1]), entry[0])
    )
    rows = []
    for name, shares in hardest_first:
        full = sum(share == 1 for share in shares)
        none = sum(share == 0 for share in shares)
        rows.append(f"| {name} | {100 * statistics.mean(shares):.0f} % | {full} | {none} |")
    return rows
