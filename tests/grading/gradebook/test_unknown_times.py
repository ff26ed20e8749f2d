"""A platform says "late" and no time: nothing is deducted in silence, until a person says when."""

import csv
from datetime import UTC, datetime

from course_grading.batch import grade_batch, regrade
from course_grading.gradebook import feedback, freshness
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.reports import tables

NAME = "01_sample"
DATES = f"""
time_zone = "Europe/Berlin"
[due]
{NAME} = 2026-05-01
"""
WHEN = f"[handed_in.leeann_101]\n{NAME} = 2026-05-02 08:30:00\n"
TIME = datetime(2026, 6, 1, tzinfo=UTC)


def waiting(out) -> list[tuple[str, str]]:
    with (out / "needs_manual.csv").open(newline="", encoding="utf-8-sig") as file:
        return [(row["student"], row["item"]) for row in csv.DictReader(file)]


def test_late_without_a_time_waits_for_a_person(
    built, workspace, submission, tmp_path, same_process
):
    folder = tmp_path / "submissions"
    folder.mkdir()
    work = submission(which_letters_answer='answer = "AC"')
    for name in ("leeann_LATE_101_9001", "raybob_102_9002"):
        (folder / f"{name}_{NAME}.ipynb").write_bytes(work)
    grading = built / "grading"
    (grading / "due_dates.toml").write_text(DATES)
    (grading / "nbgrader_config.py").write_text(
        "get_config().LateSubmissionPlugin.penalty_method = 'zero'\n"
    )
    batch = grade_batch(folder, workspace, workers=1)
    ann, bob = batch.class_grades
    assert (ann.student, ann.score, ann.late, ann.needs_manual) == ("leeann_101", 3, True, True)
    assert (bob.score, bob.late, bob.needs_manual) == (3, False, False)
    (note,) = [note for note in batch.notes if note.student == "leeann_101"]
    assert "Write the time into [handed_in.leeann_101]" in note.reason
    tables.write(batch, tmp_path / "out", TIME)
    assert waiting(tmp_path / "out") == [("leeann_101", "(when it was handed in)")]
    page = feedback.page_path(workspace, "leeann_101", NAME)
    assert "marks it as late: your instructor will look at it" in page.read_text()
    assert "will look at when it was handed in" in page.read_text()
    (message,) = freshness.find_outdated(open_api(workspace), workspace)
    assert message.startswith("marked as late by the platform without the time")

    (grading / "due_dates.toml").write_text(DATES + WHEN)
    batch = regrade(workspace, workers=1)
    ann, bob = batch.class_grades
    assert (ann.score, ann.late, ann.needs_manual) == (0, True, False) and bob.score == 3
    tables.write(batch, tmp_path / "out", TIME)
    assert waiting(tmp_path / "out") == [] and batch.audit_findings == []
    assert "Handed in 2 May 2026, 08:30 Europe/Berlin (UTC+02:00), due 1 May 2026, 23:59" in (
        page.read_text()
    )
