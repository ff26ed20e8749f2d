"""Print one student's results as a Markdown comment, for a platform that shows comments::

    python -m course_grading.reports.student_comment grades STUDENT

It has the scores and messages of the feedback page. ``problems.csv`` is shown as a whole, so use it
only where a run grades one student.
"""

import csv
import sys
from pathlib import Path

from course_grading.reports.markdown import inline


def make_comment(out: Path, student: str) -> str:
    """The comment for a student.

    Args:
        out: the output folder of ``course grade --out``.
        student: the student's id.
    """
    lines = ["### Feedback", ""]
    grades = [row for row in _read(out / "grades.csv") if row["student"] == student]
    items = [row for row in _read(out / "items.csv") if row["student"] == student]
    for grade in grades:
        late = ", late" if grade["late"] == "True" else ""
        waits = ", not final" if grade["needs_manual"] == "True" else ""
        lines += [
            f"**{inline(grade['lesson'])}: {_number(grade['score'])} of "
            f"{_number(grade['max_score'])} points{late}{waits}**",
            "",
            "| item | points | |",
            "| --- | ---: | --- |",
        ]
        for item in items:
            if item["lesson"] == grade["lesson"]:
                lines.append(
                    f"| {inline(item['item'])} | {_number(item['score'])} of "
                    f"{_number(item['max_score'])} | {inline(item['message'])} |"
                )
        lines.append("")
    problems = _read(out / "problems.csv")
    if problems:
        lines += ["Not graded:", ""]
        lines += [f"- {inline(row['file'])}: {inline(row['reason'])}" for row in problems]
    elif not grades:
        lines.append("Nothing was graded yet: push a notebook of the course.")
    return "\n".join(lines).rstrip() + "\n"


def _read(path: Path) -> list[dict[str, str]]:
    """The rows of a table; empty if there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> str:
    return f"{float(text):.4g}" if text else "-"


if __name__ == "__main__":
    sys.stdout.write(make_comment(Path(sys.argv[1]), sys.argv[2]))
