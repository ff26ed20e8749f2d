"""What was handed in and could not be graded, kept from run to run until the student's work for the
lesson is graded: a later run about other submissions must not make it look as if nothing had come.
"""

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path

from course_grading.collect.problems import Problem

_NAME = "ungraded.json"


def remember(
    workspace: Path, problems: Iterable[Problem], graded: Collection[tuple[str, str]]
) -> list[Problem]:
    """Add a run's problems to those of earlier runs, and drop what is settled.

    Args:
        workspace: nbgrader's course directory.
        problems: of the run.
        graded: student and lesson of everything that is graded.

    Returns:
        The newest problem of each student and lesson of whom nothing is graded.
    """
    new: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        if problem.student:
            new.setdefault((problem.student, problem.lesson), problem)
    # a file of which nobody knows the lesson has an empty one
    kept = {id: p for id, p in {**_read(workspace), **new}.items() if id not in graded}
    path = workspace / _NAME
    if kept or path.exists():
        content = [asdict(kept[id]) for id in sorted(kept)]
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(temporary, path)
    return [*kept.values()]


def _read(workspace: Path) -> dict[tuple[str, str], Problem]:
    """The problems of earlier runs; none if the file is missing or damaged."""
    try:
        content = json.loads((workspace / _NAME).read_text(encoding="utf-8"))
        problems = [Problem(**entry) for entry in content]
    except (OSError, ValueError, TypeError):
        return {}
    return {(problem.student, problem.lesson): problem for problem in problems}
