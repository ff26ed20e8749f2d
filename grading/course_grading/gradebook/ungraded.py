"""Keep the problems of ungraded submissions from run to run, until the student's work for the
lesson is graded: otherwise, after a run on other submissions, it would seem that nothing was handed
in.
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
    """Add a run's problems to those of earlier runs, and drop the resolved ones.

    Args:
        workspace: nbgrader's course directory.
        problems: the problems of this run.
        graded: student and lesson of every graded submission.

    Returns:
        The newest problem of each student and lesson without a graded submission.
    """
    new: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        if problem.student:
            new.setdefault((problem.student, problem.lesson), problem)
    # the lesson is empty if it is unknown
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
