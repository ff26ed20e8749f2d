"""Audit a run: no submission was lost, no score is missing, and the gradebook agrees with the
stored results.
"""

from collections.abc import Iterable
from pathlib import Path

from course_grading.autograde.grade import SubmissionResult
from course_grading.collect.problems import Problem
from course_grading.gradebook import record

SubmissionId = tuple[str, str]  # a student and a lesson
Scores = dict[str, tuple[float | None, bool]]  # by item: its score, and whether it needs a person


def audit(
    api,
    workspace: Path,
    submissions: Iterable[SubmissionId],
    graded: set[SubmissionId],
    problems: Iterable[Problem],
) -> list[str]:
    """What does not hold, a sentence each; an empty list if everything does.

    Args:
        api: nbgrader's API.
        workspace: nbgrader's course directory.
        submissions: the submissions that were handed in.
        graded: those that the run reports as graded.
        problems: what it reports as not graded.
    """
    findings: list[str] = []
    listed = {(problem.student, problem.lesson) for problem in problems}
    gradebook_scores = _gradebook_scores(api)
    for student, lesson in submissions:
        name = f"{lesson} of {student}"
        if (student, lesson) not in graded:
            if (student, lesson) not in listed:
                findings.append(f"{name} is neither graded nor on the list of problems")
            continue
        result = record.load_result(workspace, student, lesson)
        if result is None:
            findings.append(f"{name} is graded, but its result is not stored")
            continue
        scores = gradebook_scores.get((student, lesson), {})
        findings += [f"{name}{finding}" for finding in _compare(result, scores)]
    return findings


def _compare(result: SubmissionResult, scores: Scores) -> Iterable[str]:
    for item in result.items:
        score, manual = scores.get(item.name, (None, False))
        if score is None:
            yield f": {item.name} has no score in the gradebook"
        elif abs(score - item.score) > 1e-9:
            yield f": {item.name} earned {item.score:g}, but the gradebook says {score:g}"
        elif item.manual and not manual:
            yield f": {item.name} is not flagged for manual grading"
    if scores.keys() - {item.name for item in result.items}:
        yield ": the gradebook has questions or exercises that were not graded"


def _gradebook_scores(api) -> dict[SubmissionId, Scores]:
    """The automatic scores that nbgrader has recorded (not those that a person changed)."""
    from nbgrader.api import (
        Assignment,
        Grade,
        GradeCell,
        Student,
        SubmittedAssignment,
        SubmittedNotebook,
    )

    scores: dict[SubmissionId, Scores] = {}
    with api.gradebook as gradebook:
        rows = (
            gradebook.db.query(
                Student.id,
                Assignment.name,
                GradeCell.name,
                Grade.auto_score,
                Grade.needs_manual_grade,
            )
            .select_from(Grade)
            .join(GradeCell, GradeCell.id == Grade.cell_id)
            .join(SubmittedNotebook, SubmittedNotebook.id == Grade.notebook_id)
            .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
            .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
            .join(Student, Student.id == SubmittedAssignment.student_id)
        )
        for student, lesson, item, score, manual in rows:
            scores.setdefault((student, lesson), {})[item] = score, manual
    return scores
