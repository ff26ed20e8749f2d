"""Late penalties: recalculate them after changes of due dates, extensions, scores or the rule in
``nbgrader_config.py``.

nbgrader itself calculates a penalty only when it grades a submission.
"""

from nbgrader.api import SubmittedAssignment, SubmittedNotebook
from nbgrader.preprocessors import AssignLatePenalties

from course_grading.gradebook import scores


def update_penalties(api) -> list[tuple[str, str]]:
    """Recalculate the penalty of every submission with nbgrader's plugin.

    A lesson has one notebook, so the notebook's penalty is that of the submission.

    Returns:
        Student and lesson of each submission whose penalty has changed.
    """
    rule = AssignLatePenalties(config=api.config)
    rule.init_plugin()
    changed = []
    with api.gradebook as book:
        for total in scores.totals(book):
            penalty = _penalty(rule, total)
            if abs(penalty - total.penalty) <= 1e-9:
                continue
            changed.append((total.student, total.lesson))
            (notebook,) = (
                book.db.query(SubmittedNotebook)
                .join(SubmittedAssignment)
                .filter(SubmittedAssignment.id == total.id)
            )
            notebook.late_submission_penalty = penalty or None
        book.db.commit()
    return changed


def _penalty(rule: AssignLatePenalties, total: scores.Total) -> float:
    """The penalty in points, between 0 and the score."""
    if not total.seconds_late:
        return 0.0
    penalty = rule.plugin_inst.late_submission_penalty(
        total.student, total.earned, total.seconds_late
    )
    return min(max(penalty or 0.0, 0.0), total.earned)
