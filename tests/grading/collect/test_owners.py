"""The owner of a file comes from the platform's outermost name, never from the student's names."""

import zipfile

import pytest
from course_grading.collect import submissions
from course_grading.collect.archives import open_submissions
from course_grading.collect.look_alikes import skeleton

from tests.support.submissions import ITEMS_BY_LESSON, NAME, write_file

STAMP = "2026-11-01 10:00:00 UTC"


def find(path, roster=None):
    """The graded file of each student, and the problems by file."""
    with open_submissions(path) as (files, problems):
        accepted, more = submissions.find(files, ITEMS_BY_LESSON, roster)
    return {s.student: s.name for s in accepted}, {p.file: p.reason for p in problems + more}


def pack(path, *names):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, STAMP if name.endswith(".txt") else "{}")
    return path


@pytest.mark.parametrize(
    "hostile",
    [
        [f"ada01_{NAME}.ipynb"],
        [f"ada_01_{NAME}.ipynb"],
        [f"ada_101_9001_{NAME}.ipynb"],
        [f"ada/{NAME}.ipynb"],
        [f"submitted/ada/{NAME}.ipynb"],
        [f"Ada_77_assignsubmission_file_/{NAME}.ipynb"],
        [f"ada+{NAME}+2026-11-01 10:00:00.000000 UTC+x/{NAME}.ipynb"],
        [f"old_{NAME}.ipynb", f"final_{NAME}.ipynb"],
        [f"ada/{NAME}.ipynb", f"bob/{NAME}.ipynb"],
    ],
)
@pytest.mark.parametrize("archive", ["", "hw.zip", f"ada_{NAME}.zip", "submissions.zip"])
def test_names_inside_a_students_folder_do_not_set_the_owner(hostile, archive, tmp_path):
    for student in ("ada", "bob"):
        write_file(tmp_path, f"{student}/{NAME}.ipynb")
    if archive:
        pack(tmp_path / "mallory" / archive, *hostile)
    for name in [] if archive else hostile:
        write_file(tmp_path, f"mallory/{name}")
    students, _ = find(tmp_path)
    assert students.pop("mallory").startswith("mallory/")
    assert students == {"ada": f"ada/{NAME}.ipynb", "bob": f"bob/{NAME}.ipynb"}


@pytest.mark.parametrize("inner", [f"ada_{NAME}.ipynb", f"ada/{NAME}.ipynb", f"ada/x/{NAME}.ipynb"])
@pytest.mark.parametrize("zip_name", [f"mallory_{NAME}.zip", "mallory.zip"])
def test_names_inside_a_students_zip_do_not_set_the_owner(inner, zip_name, tmp_path):
    pack(tmp_path / "in" / zip_name, inner)
    assert find(tmp_path / "in")[0] == {"mallory": f"{zip_name}/{inner}"}
    write_file(tmp_path, f"in/ada_{NAME}.ipynb")
    assert find(tmp_path / "in")[0] == {
        "mallory": f"{zip_name}/{inner}",
        "ada": f"ada_{NAME}.ipynb",
    }


@pytest.mark.parametrize("zip_name", ["mallory.zip", f"mallory_{NAME}.zip", "mallory_1_2_hw.zip"])
def test_zip_of_one_student_is_not_treated_as_a_class(zip_name, tmp_path):
    students, problems = find(pack(tmp_path / zip_name, f"ada/{NAME}.ipynb"))
    assert students == {}
    assert "'ada'" in problems[zip_name] and "ambiguous" in problems[zip_name]


def test_folder_of_ambiguous_level_is_refused_with_its_content(tmp_path):
    write_file(tmp_path, f"mallory/ada/{NAME}.ipynb")
    students, problems = find(tmp_path)
    assert students == {}
    assert "it contains 'ada'" in problems["mallory"] and "ambiguous" in problems["mallory"]
    assert find(tmp_path / "mallory")[0] == {"ada": f"ada/{NAME}.ipynb"}  # as the message says
    (tmp_path / "mallory").rename(tmp_path / "submitted")
    assert [*find(tmp_path)[0]] == ["ada"]


def test_sections_with_unknown_names_are_refused(tmp_path):
    for path in ("A/ada", "A/bob", "B/eve", "B/kim"):
        write_file(tmp_path, f"{path}/{NAME}.ipynb")
    students, problems = find(tmp_path)
    assert students == {} and [*problems] == ["A", "B"]


def test_collections_beside_students_are_refused(tmp_path):
    write_file(tmp_path, f"late/ada/{NAME}.ipynb")
    write_file(tmp_path, f"bob/{NAME}.ipynb")
    write_file(tmp_path, f"lab 3/{NAME}.ipynb")  # could be a student's name
    students, problems = find(tmp_path)
    assert [*students] == ["bob", "lab_3"] and "grade it separately" in problems["late"]


def test_timestamp_is_read_only_where_the_platform_writes_it(tmp_path):
    for student in ("ada", "bob"):
        write_file(tmp_path, f"{student}/{NAME}/{NAME}.ipynb")
    write_file(tmp_path, f"ada/{NAME}/timestamp.txt", STAMP)
    pack(tmp_path / "mallory" / "hw.zip", f"{NAME}.ipynb", "timestamp.txt")
    pack(tmp_path / "eve.zip", f"{NAME}/{NAME}.ipynb", f"{NAME}/timestamp.txt", "timestamp.txt")
    write_file(tmp_path, f"kim/deep/{NAME}/{NAME}.ipynb")
    write_file(tmp_path, f"kim/deep/{NAME}/timestamp.txt", STAMP)
    write_file(tmp_path, f"Lu_7_assignsubmission_file_/{NAME}.ipynb")
    write_file(tmp_path, "Lu_7_assignsubmission_file_/timestamp.txt", STAMP)
    with open_submissions(tmp_path) as (files, _):
        accepted, _ = submissions.find(files, ITEMS_BY_LESSON)
    assert {s.student: s.timestamp for s in accepted} == {
        "ada": "2026-11-01 10:00:00.000000 UTC",
        "bob": None,
        "mallory": None,
        "eve": None,
        "kim": None,
        "Lu_7": None,
    }


@pytest.mark.parametrize("other", ["ADA", "\u0430da", "a\u200bda", "ａｄａ", "ada\u00ad"])
def test_look_alike_names_are_refused_and_both_are_named(other, tmp_path):
    for student in ("ada", other, "bob"):
        write_file(tmp_path, f"{student}/{NAME}.ipynb")
    students, problems = find(tmp_path)
    assert [*students] == ["bob"] and len(problems) == 2
    for reason in problems.values():
        assert "'ada'" in reason and ascii(other) in reason and "rename" in reason
    students, problems = find(tmp_path, roster=["ada", "bob"])
    assert {*students} == {"ada", "bob"} and [*problems] == [f"{other}/{NAME}.ipynb"]


def test_different_names_have_different_skeletons():
    names = ["ada", "eda", "कि", "की", "Ольга", "Олег", "λ", "李", "李雷", "a1", "al"]
    assert len({skeleton(name) for name in names}) == len(names)


def test_students_who_are_not_on_the_roster_are_not_graded(tmp_path):
    write_file(tmp_path, f"ada/{NAME}.ipynb")
    write_file(tmp_path, f"leeann_101_9001_{NAME}.ipynb")
    write_file(tmp_path, f"mallory/ada/{NAME}.ipynb")
    write_file(tmp_path, f"Ad\u00e1/{NAME}.ipynb")
    students, problems = find(tmp_path, roster={"ada", "101", "kim"})
    assert {*students} == {"ada", "leeann_101"}
    assert {*problems} == {f"mallory/ada/{NAME}.ipynb", f"Ad\u00e1/{NAME}.ipynb"}
    assert all("not on the roster" in reason for reason in problems.values())


def test_many_bad_notebooks_of_one_student_are_summarised(tmp_path):
    write_file(tmp_path, f"ada/{NAME}.ipynb")
    for number in range(300):
        write_file(tmp_path, f"mallory/x{number}.ipynb", "{")
    accepted, problems = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert [s.student for s in accepted] == ["ada"]
    assert [p.student for p in problems] == ["mallory"] * 5
    assert "and 99 more" in problems[0].reason and "and 196 more" in problems[-1].reason


def test_replaced_file_is_not_read(tmp_path):
    path = write_file(tmp_path, f"ada/{NAME}.ipynb")
    key = write_file(tmp_path.parent, f"{tmp_path.name}-key.ipynb", '{"cells": ["key"]}')
    (submission,), _ = submissions.find(tmp_path, ITEMS_BY_LESSON)
    assert submission.read() == b"{}"
    path.unlink()
    path.symlink_to(key)
    with pytest.raises(ValueError, match="it is a link"):
        submission.read()
    path.parent.rename(tmp_path / "away")
    (key.parent / f"{tmp_path.name}-keys").mkdir()
    key.rename(key.parent / f"{tmp_path.name}-keys" / f"{NAME}.ipynb")
    path.parent.symlink_to(key.parent / f"{tmp_path.name}-keys")
    with pytest.raises(ValueError, match="replaced by another file"):
        submission.read()
