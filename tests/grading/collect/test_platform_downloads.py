"""Platform downloads: of one student or several, zipped or unpacked, with several attempts."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from course_grading.collect import submissions
from course_grading.collect.archives import open_submissions

from tests.support.submissions import ITEMS_BY_LESSON, NAME, write_file

METADATA = """
submission_9001:
  :submitters:
  - :name: Ann Lee
    :sid: u1
    :email: ann@uni.example
  - :name: Bo Poe
    :sid: u2
  :created_at: 2026-05-01 10:20:30.000000000 Z
"""
# By platform: the files of one student in the order of the attempts, the id, and the time.
DOWNLOADS = {
    "canvas": (
        [f"leeann_101_9001_{NAME}.ipynb", f"leeann_LATE_101_9107_Copy of {NAME}-1.ipynb"],
        "leeann_101",
        None,
    ),
    "moodle": ([f"Ann Lee_77_assignsubmission_file_/{NAME}.ipynb"], "Ann_Lee_77", None),
    "moodle without folders": (
        [f"Ann Lee_77_assignsubmission_file_bob_{NAME}.ipynb"],
        "Ann_Lee_77",
        None,
    ),
    "blackboard": (
        [f"Lesson 1_ann_attempt_2026-05-0{day}-10-20-30_final_{NAME}.ipynb" for day in (1, 2)],
        "ann",
        "2026-05-02 10:20:30.000000 UTC",
    ),
    "brightspace": (
        [
            f"12345-678 - Ann Lee - May 1, 2026 {time}/{NAME}.ipynb"
            for time in ("1120 AM", "120 PM")
        ],
        "Ann_Lee_12345",
        "2026-05-01 13:20:00.000000 UTC",
    ),
    "exchange": (
        [f"ann+{NAME}+2026-05-01 10:20:3{n}.5 UTC+0abc/{NAME}.ipynb" for n in (0, 1)],
        "ann",
        "2026-05-01 10:20:31.500000 UTC",
    ),
    "nbgrader": ([f"submitted/ann/{NAME}/{NAME}.ipynb"], "ann", None),
}


@pytest.mark.parametrize("is_zipped", [False, True])
@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("platform", DOWNLOADS)
def test_student_id_does_not_depend_on_other_students(platform, others, is_zipped, tmp_path):
    paths, student, timestamp = DOWNLOADS[platform]
    folder = tmp_path / "submissions"
    for path in paths:
        write_file(folder, path)
        for _ in range(others):
            other = path.replace("leeann", "poebo").replace("Ann Lee", "Bo Poe")
            other = other.replace("101", "102").replace("77", "78").replace("12345", "12346")
            write_file(
                folder,
                other.replace("_ann_", "_bo_").replace("ann+", "bo+").replace("/ann/", "/bo/"),
            )
    if is_zipped:
        folder = shutil.make_archive(folder, "zip", folder)
    with open_submissions(Path(folder)) as (files, problems):
        accepted, more = submissions.find(files, ITEMS_BY_LESSON)
    assert len(accepted) == 1 + others and len(more) == (len(paths) - 1) * (1 + others)
    assert problems == []
    (found,) = [s for s in accepted if s.student == student]
    assert found.name == paths[-1] and found.timestamp == timestamp
    assert found.is_marked_late == (platform == "canvas")


def test_gradescope_metadata_names_every_member_of_a_group(tmp_path):
    write_file(tmp_path, f"assignment_5_export/submission_9001/{NAME}.ipynb")
    write_file(
        tmp_path,
        "assignment_5_export/submission_9001/submission_metadata.yml",
        "submission_9001: 1",
    )
    write_file(tmp_path, "assignment_5_export/submission_metadata.yml", METADATA)
    write_file(tmp_path, f"assignment_5_export/submission_9002/{NAME}.ipynb")
    accepted, (problem,) = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert {(s.student, s.timestamp) for s in accepted} == {
        ("ann@uni.example", "2026-05-01 10:20:30.000000 UTC"),
        ("u2", "2026-05-01 10:20:30.000000 UTC"),
    }
    assert problem.file.endswith("submission_9002") and "names the student" in problem.reason


def test_several_downloads_in_one_folder(tmp_path):
    """Two zips from Moodle, folders of weeks, and a download next to a student's folder."""
    lessons = [NAME, "02_other"]
    for number, lesson in enumerate(lessons, 501):
        write_file(tmp_path, f"moodle/Ann Lee_77_assignsubmission_file_/{lesson}.ipynb")
        zipped = tmp_path / "in" / f"CS-Lesson 1-{number}"
        shutil.make_archive(zipped, "zip", tmp_path / "moodle")
        shutil.rmtree(tmp_path / "moodle")
        for student in ("ann", "bob"):
            write_file(tmp_path, f"weeks/week {number}/{student}/{lesson}.ipynb")
    for folder, students in (("in", ["Ann_Lee_77"]), ("weeks", ["ann", "bob"])):
        with open_submissions(tmp_path / folder) as (files, _):
            accepted, problems = submissions.find(files, lessons)
        assert problems == []
        assert sorted((s.student, s.lesson) for s in accepted) == sorted(
            (student, lesson) for student in students for lesson in lessons
        )
    write_file(tmp_path, f"in/bob/{NAME}.ipynb")
    with open_submissions(tmp_path / "in") as (files, _):
        accepted, problems = submissions.find(files, lessons)
    assert [s.student for s in accepted] == ["bob"] and len(problems) == 2


def test_user_names_are_read_from_blackboards_text_file(tmp_path):
    for user in ("ann_lee", "bob_lee"):
        write_file(tmp_path, f"L1_{user}_attempt_2026-05-01-10-20-30_{NAME}.ipynb")
    accepted, problems = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert accepted == [] and len(problems) == 2
    assert "two students who are both named 'lee'" in problems[0].reason
    for user in ("ann_lee", "bob_lee"):
        write_file(
            tmp_path, f"L1_{user}_attempt_2026-05-01-10-20-30.txt", f"Name: X ({user})\nDate: x"
        )
    accepted, problems = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert {s.student for s in accepted} == {"ann_lee", "bob_lee"} and problems == []


@pytest.mark.parametrize(
    "name",
    [
        f"{NAME}.ipynb:Zone.Identifier",
        f".virtual_documents/{NAME}.ipynb",
        f".{NAME}.ipynb.icloud",
        f"{NAME}.ipynb~",
        f"{NAME}.ipynb.bak",
        "desktop.ini",
        "Thumbs.db",
        "__pycache__/x.pyc",
    ],
)
def test_files_of_operating_systems_and_tools_are_ignored(name, tmp_path):
    write_file(tmp_path, f"ann/{NAME}.ipynb")
    write_file(tmp_path, f"ann/{name}")
    write_file(tmp_path, "index.html")
    (submission,), problems = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert submission.name == f"ann/{NAME}.ipynb" and problems == []


def test_blank_copy_is_never_preferred_to_work(built, submitted, release, tmp_path):
    lessons = submissions.released_lessons(built / "grading" / "workspace")
    filled_in = write_file(tmp_path / "in", f"ann/{NAME}_final.ipynb", nbformat.writes(submitted))
    os.utime(filled_in, (1_000_000, 1_000_000))
    write_file(tmp_path / "in", f"ann/{NAME}.ipynb", nbformat.writes(release))
    write_file(tmp_path / "in", f"bob/{NAME}.ipynb", nbformat.writes(release))
    accepted, (problem,) = submissions.find(tmp_path / "in", lessons)
    assert {s.name for s in accepted} == {f"ann/{NAME}_final.ipynb", f"bob/{NAME}.ipynb"}
    assert "the only one that contains work" in problem.reason
