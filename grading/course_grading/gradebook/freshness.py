"""Before an export: bring the gradebook up to date, and report what is stale."""

from pathlib import Path

from course_grading.collect import submissions
from course_grading.errors import AnswerKeyError
from course_grading.export import class_list
from course_grading.gradebook import (
    due_dates,
    lateness,
    originals,
    overrides,
    record,
    scores,
    state,
)
from course_grading.gradebook.changes import compare


def update_dates(api, workspace: Path) -> None:
    """Apply due dates, extensions and late penalties to the gradebook.

    Raises:
        GradingError: if the file of due dates or the class list is invalid.
    """
    dates = due_dates.read(workspace, list(submissions.released_lessons(workspace)))
    members = class_list.load(workspace)
    with api.gradebook as book:
        students = {total.student for total in scores.totals(book)}
        days = class_list.extension_days(members, students)
        due_dates.apply(book, workspace, dates, days, members)
    lateness.update_penalties(api)


def find_outdated(api, workspace: Path) -> list[str]:
    """Warnings for an export: results of another answer key, submissions without a time, and
    students whose feedback pages and tables are stale.
    """
    messages = []
    names = [f"{student} ({lesson})" for student, lesson in _made_with_another_key(workspace)]
    if names:
        messages.append(f"graded with an outdated answer key: {_list(names)}. Run course regrade")
    with api.gradebook as book:
        current = state.read(book, workspace)
    late = [f"{student} ({lesson})" for (student, lesson), e in current.items() if e.marked_late]
    if late:
        messages.append(
            f"marked as late by the platform without the time, so nothing was deducted: "
            f"{_list(late)}. See needs_manual.csv"
        )
    changes = compare(state.load(workspace), current)
    names = list(dict.fromkeys(f"{change.student} ({change.lesson})" for change in changes))
    if names:
        messages.append(
            f"changed since the last run: {_list(names)}. Run course regrade to update the "
            "tables and the feedback pages"
        )
    return messages


def _made_with_another_key(workspace: Path) -> list[tuple[str, str]]:
    keys: dict[str, str] = {}
    own = overrides.read(workspace)
    outdated = []
    for result in record.stored_results(workspace):
        lesson = result.lesson
        if lesson not in keys:
            try:
                keys[lesson] = overrides.read_key(workspace, lesson, own).digest
            except AnswerKeyError:
                keys[lesson] = ""
        original = originals.find(workspace, result.student, lesson)
        if original is None or original.result != result.digest or original.key != keys[lesson]:
            outdated.append((result.student, lesson))
    return outdated


def _list(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
