"""Audit a run: no submission was lost, no score is missing, and the gradebook agrees with the
stored results. Only automatic scores are compared; manual grades, which are stored separately, are
accepted.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from course_grading.autograde.grade import SubmissionResult
from course_grading.collect.problems import Problem
from course_grading.gradebook import record
from course_grading.gradebook.recorded import SubmissionId
from course_grading.gradebook.state import ItemState, State


def audit(
    state: State,
    workspace: Path,
    submissions: Iterable[SubmissionId],
    graded: set[SubmissionId],
    problems: Iterable[Problem],
) -> list[str]:
    """The inconsistencies, one sentence each.

    Args:
        state: the state of the gradebook.
        workspace: nbgrader's course directory.
        submissions: the submissions that the run read.
        graded: the submissions that the run reports as graded.
        problems: the submissions that the run reports as not graded.
    """
    findings: list[str] = []
    listed = {(problem.student, problem.lesson) for problem in problems}
    unique = dict.fromkeys(submissions)
    for student, lesson in unique:
        name = f"{lesson} of {student}"
        if (student, lesson) not in graded:
            if (student, lesson) not in listed:
                findings.append(f"{name} is neither graded nor on the list of problems")
        elif record.load_result(workspace, student, lesson) is None:
            findings.append(f"{name} is graded, but its result is not stored")
    for result in record.stored_results(workspace):
        id = result.student, result.lesson
        if id in listed and id not in graded:
            continue  # reported as a problem
        items = state[id].items if id in state else {}
        name = f"{result.lesson} of {result.student}"
        findings += [f"{name}{finding}" for finding in _compare(result, items)]
    return findings


def _compare(result: SubmissionResult, items: Mapping[str, ItemState]) -> Iterator[str]:
    for item in result.items:
        recorded = items.get(item.name)
        if recorded is None or recorded.auto is None:
            yield f": {item.name} has no score in the gradebook"
        elif abs(recorded.auto - item.score) > 1e-9:
            yield f": {item.name} scored {item.score:g}, but the gradebook has {recorded.auto:g}"
        elif item.manual and not recorded.waits and recorded.manual is recorded.extra is None:
            yield f": {item.name} is not flagged for manual grading"
    if items.keys() - {item.name for item in result.items}:
        yield ": the gradebook has questions or exercises that were not graded"
