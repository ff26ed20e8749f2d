"""Finding submissions: every file is graded or reported with a reason."""

import json
import os

import nbformat
import pytest
from course_grading.collect import submissions

from tests.support.submissions import ITEMS_BY_LESSON, NAME, write_file


@pytest.mark.parametrize(
    ("path", "student"),
    [
        (f"ada/{NAME}.ipynb", "ada"),
        (f"submitted/ada/{NAME}/{NAME}.ipynb", "ada"),
        (f"ada_123_{NAME}.ipynb", "ada_123"),
        (f"ada/{NAME} (1).ipynb", "ada"),
        (f"Ada Lovelace_77_assignsubmission_file_/{NAME}.ipynb", "Ada_Lovelace_77"),
        (f"ada@school.org/{NAME}-2.ipynb", "ada@school.org"),
    ],
)
def test_students_are_found(path, student, tmp_path):
    write_file(tmp_path, path)
    accepted, problems = submissions.find(tmp_path, [NAME])
    assert [(s.student, s.lesson) for s in accepted] == [(student, NAME)]
    assert problems == []


def test_renamed_notebook_is_identified_by_its_metadata(submitted, tmp_path):
    write_file(tmp_path / "class", "ada/homework.ipynb", nbformat.writes(submitted))
    accepted, problems = submissions.find(tmp_path / "class", [NAME])
    assert [submission.lesson for submission in accepted] == [NAME] and problems == []


def test_checkpoints_are_ignored(tmp_path):
    write_file(tmp_path, f"ada/.ipynb_checkpoints/{NAME}-checkpoint.ipynb")
    write_file(tmp_path, f"__MACOSX/ada/._{NAME}.ipynb")
    accepted, problems = submissions.find(tmp_path, [NAME])
    assert accepted == []
    assert [(p.file, p.reason) for p in problems] == [("ada", "it contains no notebook")]


def test_files_that_cannot_be_graded_are_reported_with_a_reason(tmp_path):
    write_file(tmp_path, "ada/other.ipynb")
    write_file(tmp_path, f"{NAME}.ipynb")
    os.symlink("/etc/hostname", write_file(tmp_path, "eve/x").with_name(f"{NAME}.ipynb"))
    accepted, problems = submissions.find(tmp_path, [NAME])
    assert accepted == []
    assert sorted((p.file, p.reason.split(":")[0]) for p in problems) == [
        (f"{NAME}.ipynb", "no student is named"),
        ("ada/other.ipynb", "it is not one of the released lessons"),
        (f"eve/{NAME}.ipynb", "it is a link, not a file"),
    ]


def test_newest_of_two_files_counts_and_the_other_is_reported(tmp_path):
    old = write_file(tmp_path, f"ada/{NAME}.ipynb")
    new = write_file(tmp_path, f"ada/{NAME} (1).ipynb")
    os.utime(old, (1_000_000, 1_000_000))
    (submission,), (problem,) = submissions.find(tmp_path, [NAME])
    assert submission.path == new and problem.file == f"ada/{NAME}.ipynb"
    assert "newer" in problem.reason


@pytest.mark.parametrize(
    ("paths", "students"),
    [
        ([f"class/ada_1_{NAME}.ipynb", f"class/alan_2_{NAME}.ipynb"], {"ada_1", "alan_2"}),
        ([f"ada/attachments/{NAME}.ipynb", f"alan/attachments/{NAME}.ipynb"], {"ada", "alan"}),
        ([f"class/ada/{NAME}.ipynb", f"class/alan/{NAME}.ipynb"], {"ada", "alan"}),
        (
            [f"submitted/ada/{NAME}/{NAME}.ipynb", f"submitted/alan/{NAME}/{NAME}.ipynb"],
            {"ada", "alan"},
        ),
        ([f"Rene\u0301/{NAME}.ipynb"], {"Ren\u00e9"}),
        ([f"कि/{NAME}.ipynb", f"की/{NAME}.ipynb"], {"कि", "की"}),
        ([f"ada/{NAME}.IPYNB"], {"ada"}),
    ],
)
def test_every_student_is_found(paths, students, tmp_path):
    for path in paths:
        write_file(tmp_path, path)
    accepted, problems = submissions.find(tmp_path, [NAME])
    assert {submission.student for submission in accepted} == students and problems == []


def test_two_names_that_become_the_same_are_both_reported(tmp_path):
    write_file(tmp_path, f"a b/{NAME}.ipynb")
    write_file(tmp_path, f"a_b/{NAME}.ipynb")
    accepted, problems = submissions.find(tmp_path, [NAME])
    assert accepted == [] and len(problems) == 2
    assert all("rename" in problem.reason for problem in problems)


def test_folders_and_files_without_a_notebook_are_reported(tmp_path):
    write_file(tmp_path, f"ada/{NAME}.ipynb")
    write_file(tmp_path, "ada/notes.txt")
    write_file(tmp_path, "bob/work.pdf")
    (tmp_path / "eve").mkdir()
    write_file(tmp_path, "loose.zip")
    accepted, problems = submissions.find(tmp_path, [NAME])
    assert [submission.student for submission in accepted] == ["ada"]
    assert [(p.file, p.reason) for p in problems] == [
        ("bob", "it contains no notebook, only bob/work.pdf"),
        ("eve", "it contains no notebook"),
        ("loose.zip", "it contains no notebook"),
    ]


def test_platform_timestamp_decides_which_file_is_newer(tmp_path):
    """The modification times of the files are ignored."""
    for day in (1, 2):
        path = write_file(tmp_path, f"ada+{NAME}+2026-11-0{day} 10:00:00.000000 UTC+x/{NAME}.ipynb")
        os.utime(path, (1_000_000 * (3 - day),) * 2)
    (submission,), (problem,) = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert submission.student == "ada" and "2026-11-02" in submission.name
    assert "newer by submission time" in problem.reason


def test_invalid_times_are_ignored(tmp_path):
    """One of two files is graded, without an error or a hang."""
    timestamp = tmp_path / "class" / "ada" / "timestamp.txt"
    metadata = {
        "execution": {"a": 1, "b": "0001-01-01T00:00:00+14:00"},
        "executionInfo": {"timestamp": 10**400},
    }
    for name in (f"{NAME}.ipynb", f"{NAME} (1).ipynb"):
        write_file(
            tmp_path / "class", f"ada/{name}", json.dumps({"cells": [{"metadata": metadata}]})
        )
    os.mkfifo(timestamp)
    for _ in range(2):
        (submission,), (problem,) = submissions.find(tmp_path, ITEMS_BY_LESSON)
        assert submission.student == "ada" and "not graded: the same student" in problem.reason
        assert submission.timestamp is None
        timestamp.unlink()
        timestamp.symlink_to("/dev/zero")


def test_readable_file_is_preferred_to_a_newer_unreadable_one(tmp_path):
    old = write_file(tmp_path, f"ada/{NAME}.ipynb", '{"cells": []}')
    os.utime(old, (1_000_000, 1_000_000))
    write_file(tmp_path, f"ada/{NAME} (1).ipynb", '{"cells": [')
    (submission,), (problem,) = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert submission.path == old and "the only one that can be read" in problem.reason


@pytest.mark.parametrize(
    ("folder", "student"),
    [
        (b"na\xefve", "na_xefve"),
        (b"-rf", "rf"),
        (b"..ada", "ada"),
        (b"a;b,c", "a;b,c"),
        (b"a\x1b[2J\r\nb", "a_x1b_2J_r_nb"),
        (b"%s%n{}", "%s%n{}"),
    ],
)
def test_student_names_are_made_safe(folder, student, tmp_path):
    """Undecodable bytes, terminal escapes and leading hyphens are replaced."""
    write_file(tmp_path / "class" / os.fsdecode(folder), f"{NAME}.ipynb")
    write_file(tmp_path / "class", f"other/{NAME}.ipynb")
    accepted, problems = submissions.find(tmp_path / "class", ITEMS_BY_LESSON)
    assert {submission.student for submission in accepted} == {student, "other"}
    assert problems == []
    assert all(submission.name.isprintable() for submission in accepted)
    assert all(submission.name.encode() for submission in accepted)


def test_name_that_is_too_long_after_normalisation_is_reported(tmp_path):
    """Normalisation may turn one character into two."""
    write_file(tmp_path, "\u0958" * 80 + f"/{NAME}.ipynb")
    write_file(tmp_path, f"ada/{NAME}.ipynb")
    (submission,), (problem,) = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert submission.student == "ada" and "too long" in problem.reason


def test_no_student_is_named_like_a_formula(tmp_path):
    write_file(tmp_path, f"=1+1/{NAME}.ipynb")
    write_file(tmp_path, f"@ada/{NAME}.ipynb")
    accepted, _ = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert {submission.student for submission in accepted} == {"1+1", "ada"}
