"""After a run, prove it: nobody was lost, no score is missing, and the gradebook says what was
marked.
"""

from collections.abc import Iterable
from pathlib import Path

from course_grading.collect.submissions import Problem
from course_grading.gradebook import record

Who = tuple[str, str]  # a student and a lesson


def unproven(
    desk, workspace: Path, found: Iterable[Who], graded: set[Who], problems: Iterable[Problem]
) -> list[str]:
    """What does not hold, a sentence each; an empty list proves the run.

    Args:
        desk: nbgrader's API.
        workspace: nbgrader's course directory.
        found: the submissions that were found.
        graded: those that the run says it has graded.
        problems: what it says was not graded.
    """
    said: list[str] = []
    listed = {(problem.student, problem.lesson) for problem in problems}
    in_book = _scores(desk)
    for student, lesson in found:
        who = f"{lesson} of {student}"
        if (student, lesson) not in graded:
            if (student, lesson) not in listed:
                said.append(f"{who} is neither graded nor on the list of problems")
            continue
        marked = record.kept(workspace, student, lesson)
        if marked is None:
            said.append(f"{who} is graded, but what was marked is not kept")
            continue
        scores = in_book.get((student, lesson), {})
        for mark in marked.marks:
            score, by_hand = scores.get(mark.name, (None, False))
            if score is None:
                said.append(f"{who}: {mark.name} has no score in the gradebook")
            elif abs(score - mark.score) > 1e-9:
                said.append(
                    f"{who}: {mark.name} earned {mark.score:g}, but the gradebook says {score:g}"
                )
            elif mark.manual and not by_hand:
                said.append(f"{who}: {mark.name} is not on the manual list")
        if scores.keys() - {mark.name for mark in marked.marks}:
            said.append(f"{who}: the gradebook has questions or exercises that were not marked")
    return said


def _scores(desk) -> dict[Who, dict[str, tuple[float | None, bool]]]:
    """What nbgrader has recorded by itself (not what a person changed), by submission and cell."""
    from nbgrader.api import (
        Assignment,
        Grade,
        GradeCell,
        Student,
        SubmittedAssignment,
        SubmittedNotebook,
    )

    found: dict[Who, dict[str, tuple[float | None, bool]]] = {}
    with desk.gradebook as book:
        rows = (
            book.db.query(
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
        for student, lesson, cell, score, by_hand in rows:
            found.setdefault((student, lesson), {})[cell] = score, by_hand
    return found
