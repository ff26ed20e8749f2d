"""Group submissions end to end: one score, pages that name the submitter, exports, extensions."""

import csv

import pytest
from course_grading.autograde.grade import SubmissionResult
from course_grading.batch import grade_batch, regrade
from course_grading.export import class_list
from course_grading.export.platforms import PLUGINS
from course_grading.gradebook import originals, record
from course_grading.gradebook.nbgrader_api import open_api

NAME = "01_sample"
ROSTER = """student_id,first_name,last_name,email,section,group,extension_days,Username
ann,Ann,Lee,,,Team 3,,ann
bob,Bob,Ray,,,Team 3,2,bob
eve,Eve,Fox,,,,,eve
"""
# correct for some hidden inputs, which differ between students
PARTLY_CORRECT = "def double(x):\n    return 2 * np.asarray(x) if np.sum(x) > 0 else None"


@pytest.fixture
def submit(built, submission):
    def write(student: str, folder: str = "class", **sources: str):
        path = built / folder / student / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(submission(which_letters_answer='answer = "A"', **sources))
        path.with_name("timestamp.txt").write_text("2026-05-02 12:00:00 UTC")
        return built / folder

    return write


def test_one_file_counts_for_the_group_everywhere(built, workspace, submit, tmp_path, same_process):
    (workspace / "roster.csv").write_text(ROSTER)
    (built / "grading" / "due_dates.toml").write_text(
        f'timezone = "UTC"\n[due]\n{NAME} = 2026-05-01\n'
    )
    folder = submit("bob", double_code=PARTLY_CORRECT)
    batch = grade_batch(folder, workspace, workers=1)
    assert batch.problems == batch.audit_findings == []
    assert {(g.student, g.late) for g in batch.class_grades} == {("ann", True), ("bob", False)}
    assert len({g.score for g in batch.class_grades}) == 1
    assert [(row.student, row.lesson) for row in batch.missing_submissions] == [("eve", NAME)]
    for student in ("ann", "bob"):
        page = batch.class_feedback[student, NAME].read_text()
        assert "Submitted by Bob Ray for the group Team 3 (Ann Lee and Bob Ray)." in page
    results = [record.load_result(workspace, student, NAME) for student in ("ann", "bob")]
    assert isinstance(results[0], SubmissionResult) and results[0].items == results[1].items
    plugin = PLUGINS["moodle"](
        to=str(tmp_path / "moodle.csv"), roster=str(workspace / "roster.csv"), assignment=[]
    )
    with open_api(workspace).gradebook as book:
        plugin.export(book)
    with (tmp_path / "moodle.csv").open(newline="", encoding="utf-8-sig") as file:
        assert len([*csv.reader(file)]) == 3
    # nothing is graded again, also without the folder
    again = regrade(workspace, workers=1)
    assert again.changes == again.problems == [] and again.audit_findings == []
    # another member's file for the same lesson
    batch = grade_batch(submit("ann", folder="late"), workspace, workers=1)
    assert [problem.student for problem in batch.problems] == ["ann"] and batch.grades == []
    assert "originals/bob/01_sample away" in batch.problems[0].reason
    original = originals.find(workspace, "ann", NAME)
    assert original is not None and original.submitter == "bob"
    assert batch.class_grades == again.class_grades


def test_class_list_reports_groups_that_submit_jointly(tmp_path):
    rows = [f"s{number},Tutorial 1" for number in range(9)]
    source = tmp_path / "list.csv"
    source.write_text(
        "\n".join(["student_id,group", *rows, "ann,Team 3", "bob,Team 3", "cy,Team 4"])
    )
    members, messages = class_list.import_roster(source, tmp_path)
    assert [(group.name, [*group.members]) for group in members.groups(["bob"])] == [
        ("Team 3", ["ann", "bob"])
    ]
    assert messages == [
        "groups that submit jointly: 1. One member's submission counts for all members. If they "
        "work alone, empty the column group",
        "groups of more than 8 students don't submit jointly: Tutorial 1",
    ]


def test_member_keeps_the_id_from_a_platforms_download(tmp_path):
    source = tmp_path / "list.csv"
    source.write_text(
        "First name,Last name,Email address,ID,Groups\n"
        "Ann,Lee,ann@uni.example,77,Team\nBob,Ray,bob@uni.example,78,Team\n"
    )
    members, _ = class_list.import_roster(source, tmp_path)
    (group,) = members.groups(["Ann_Lee_77"])
    assert group.members == {"Ann_Lee_77": "Ann Lee", "bob@uni.example": "Bob Ray"}
