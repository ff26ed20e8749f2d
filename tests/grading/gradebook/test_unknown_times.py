"""A platform marks a submission as late without its time: there is no penalty until the instructor
gives the time.
"""

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
SUBMISSION_TIME = f"[handed_in.leeann_101]\n{NAME} = 2026-05-02 08:30:00\n"
RUN_TIME = datetime(2026, 6, 1, tzinfo=UTC)


def needs_manual(out) -> list[tuple[str, str]]:
    with (out / "needs_manual.csv").open(newline="", encoding="utf-8-sig") as file:
        return [(row["student"], row["item"]) for row in csv.DictReader(file)]


def test_late_without_a_time_needs_manual_grading(
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
    tables.write(batch, tmp_path / "out", RUN_TIME)
    assert needs_manual(tmp_path / "out") == [("leeann_101", "(submission time)")]
    page = feedback.page_path(workspace, "leeann_101", NAME)
    assert "marks it as late: your instructor will look at it" in page.read_text()
    assert "will look at the submission time" in page.read_text()
    (message,) = freshness.find_outdated(open_api(workspace), workspace)
    assert message.startswith("marked as late by the platform without the time")

    (grading / "due_dates.toml").write_text(DATES + SUBMISSION_TIME)
    batch = regrade(workspace, workers=1)
    ann, bob = batch.class_grades
    assert (ann.score, ann.late, ann.needs_manual) == (0, True, False) and bob.score == 3
    tables.write(batch, tmp_path / "out", RUN_TIME)
    assert needs_manual(tmp_path / "out") == [] and batch.audit_findings == []
    assert "Submitted 2 May 2026, 08:30 Europe/Berlin (UTC+02:00), due 1 May 2026, 23:59" in (
        page.read_text()
    )
