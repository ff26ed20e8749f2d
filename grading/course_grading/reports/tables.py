"""What instructors take away from a run: grades.csv, items.csv, problems.csv, notes.csv, feedback,
summary.md.
"""

import csv
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

from course_grading.batch import Batch, Grade, Item
from course_grading.collect.submissions import Problem


def write(batch: Batch, out: Path) -> list[Path]:
    """Write everything under ``out``, made if it is not there, and return the files in the order of
    use.
    """
    out.mkdir(parents=True, exist_ok=True)
    for (student, lesson), page in batch.feedback.items():
        target = out / "feedback" / student / f"{lesson}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, target)
    tables = [("grades.csv", Grade, batch.grades), ("items.csv", Item, batch.items)]
    tables += [("problems.csv", Problem, batch.problems), ("notes.csv", Problem, batch.notes)]
    paths = [_table(out / name, kind, rows) for name, kind, rows in tables]
    summary = out / "summary.md"
    summary.write_text(summarise(batch), encoding="utf-8")
    return [*paths, summary, *([out / "feedback"] if batch.feedback else [])]


def _table(path: Path, kind: type, rows: Iterable) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [column.name for column in fields(kind)])
        writer.writeheader()
        for row in sorted(rows, key=lambda row: (row.student, row.lesson)):
            writer.writerow({column: _cell(value) for column, value in asdict(row).items()})
    return path


def _cell(value: object) -> object:
    """A value as a spreadsheet shows it: with a quote before what it would compute, ``=1+1`` as a
    file's name.
    """
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def summarise(batch: Batch) -> str:
    """A page of Markdown: a lesson's mean and distribution, and the items most often missed."""
    lines = ["# Summary", ""]
    by_lesson: dict[str, list[Grade]] = defaultdict(list)
    for grade in batch.grades:
        by_lesson[grade.lesson].append(grade)
    for lesson, grades in sorted(by_lesson.items()):
        # every lesson has points: source.py
        percents = [100 * grade.score / grade.max_score for grade in grades]
        quartiles = statistics.quantiles(percents, n=4) if len(percents) > 1 else percents * 3
        lines += [
            f"## {lesson}",
            "",
            f"{len(grades)} graded, {sum(g.late for g in grades)} late, "
            f"{sum(g.needs_manual for g in grades)} to be graded by hand. "
            f"Mean {statistics.mean(percents):.1f} %, quartiles "
            f"{quartiles[0]:.1f} / {quartiles[1]:.1f} / {quartiles[2]:.1f} %.",
            "",
            *_histogram(percents),
            "",
            "Items, the most often missed first:",
            "",
            "| item | mean | full marks | none |",
            "| --- | ---: | ---: | ---: |",
            *_items([item for item in batch.items if item.lesson == lesson]),
            "",
        ]
    lines += [
        "## Not graded",
        "",
        f"{len(batch.problems)} files or submissions:" if batch.problems else "Nothing.",
        "",
    ]
    lines += [f"- `{p.file}` ({p.student or 'no student'}): {p.reason}" for p in batch.problems]
    if batch.notes:
        lines += [
            "",
            "## Graded, but look at them",
            "",
            *[f"- `{n.file}` ({n.student}): {n.reason}" for n in batch.notes],
        ]
    return "\n".join(lines).rstrip() + "\n"


def _histogram(percents: list[float]) -> list[str]:
    bins = [0] * 10
    for percent in percents:
        bins[min(9, int(percent // 10))] += 1
    longest = max(bins)
    rows = [
        f"{10 * k:3d}-{10 * k + 10:3d} %  {'█' * round(30 * count / longest):30}  {count}"
        for k, count in enumerate(bins)
    ]
    return ["```text", *rows, "```"]


def _items(items: list[Item]) -> list[str]:
    shares: dict[str, list[float]] = defaultdict(list)
    for item in items:
        shares[item.item].append(item.score / item.max_score)
    rows = sorted(shares.items(), key=lambda pair: (statistics.mean(pair[1]), pair[0]))
    lines = []
    for name, share in rows:
        whole, none = sum(s == 1 for s in share), sum(s == 0 for s in share)
        lines.append(f"| {name} | {100 * statistics.mean(share):.0f} % | {whole} | {none} |")
    return lines
