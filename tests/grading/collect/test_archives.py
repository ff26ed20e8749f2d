"""Zips in folders and zips, several files of one student, cells that were split, merged or written
elsewhere.
"""

import json
import os
import struct
import zipfile

import nbformat
import pytest
from course_grading.collect import archives, submissions
from course_grading.collect.problems import IntakeError
from nbformat.v4 import new_code_cell

NAME = "01_sample"
LESSONS = {NAME: {"which-letters", "how-many", "double"}}


def put(folder, path, content="{}"):
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
    return target


def archive(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("paths", "students"),
    [
        (["ada/homework.zip"], {"ada"}),
        (["class/ada/homework.zip", "class/bob/homework.zip"], {"ada", "bob"}),
        (["ada_77.zip", "bob_78.zip"], {"ada_77", "bob_78"}),
        ([f"ada_77_{NAME}.zip", f"bob_78_{NAME}.ZIP"], {"ada_77", "bob_78"}),
        ([f"ada/{NAME}.zip", f"bob/{NAME}.zip"], {"ada", "bob"}),
    ],
)
def test_a_zip_in_a_folder_is_opened(paths, students, tmp_path):
    for path in paths:
        archive(tmp_path / path, {f"{NAME}.ipynb": "{}"})
    with submissions.opened(tmp_path) as (files, problems):
        found, more = submissions.find(files, LESSONS)
        assert {s.student for s in found} == students and problems + more == []
        assert all(
            s.name == f"{path}/{NAME}.ipynb" for s, path in zip(found, sorted(paths), strict=True)
        )
    assert all((tmp_path / path).is_file() for path in paths)


def test_every_zip_counts_against_one_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1000)
    for student in ("ada", "bob"):
        archive(tmp_path / student / "a.zip", {f"{NAME}.ipynb": "x" * 600})
    with submissions.opened(tmp_path) as (files, problems):
        assert f"ada/a.zip/{NAME}.ipynb" in files and f"bob/a.zip/{NAME}.ipynb" not in files
    (problem,) = problems
    assert problem.file == "bob/a.zip" and "more than a run may" in problem.reason


def test_nobody_takes_the_room_of_the_others(tmp_path, monkeypatch):
    """A zip with the zips inside it has its own limit, of bytes and of files."""
    monkeypatch.setattr(archives, "MAX_OF_ONE", 1000)
    monkeypatch.setattr(archives, "MAX_FILES", 5)
    inner = archive(tmp_path / "inner.zip", {"a": "x" * 500}).read_bytes()
    many = archive(tmp_path / "inner.zip", {str(n): "" for n in range(4)}).read_bytes()
    (tmp_path / "inner.zip").unlink()
    archive(tmp_path / "ada" / "a.zip", {f"{n}.zip": inner for n in range(4)})
    archive(tmp_path / "bob" / "b.zip", {f"{n}.zip": many for n in range(2)})
    archive(tmp_path / "eve" / "e.zip", {f"{NAME}.ipynb": "x" * 900})
    with submissions.opened(tmp_path) as (files, problems):
        assert f"eve/e.zip/{NAME}.ipynb" in files and "ada/a.zip/0.zip/a" in files
    assert {problem.file for problem in problems} >= {"ada/a.zip/3.zip", "bob/b.zip/1.zip"}
    assert all("with the zips inside it" in problem.reason for problem in problems)


def test_a_bomb_for_the_whole_class_is_refused(tmp_path):
    bomb = archive(tmp_path / "class.zip", {f"{n}.ipynb": bytes(60 * 2**20) for n in range(2)})
    with (
        pytest.raises(IntakeError, match="times its size, as no honest zip does"),
        submissions.opened(bomb),
    ):
        pass


def test_the_table_of_contents_is_weighed_before_it_is_read(tmp_path):
    path = archive(tmp_path / "class.zip", {f"ada/{NAME}.ipynb": "{}"})
    raw = bytearray(path.read_bytes())
    struct.pack_into("<L", raw, raw.rfind(b"PK\x05\x06") + 12, 2**31)
    path.write_bytes(raw)
    with pytest.raises(IntakeError, match="more than 50000 files"), submissions.opened(path):
        pass


def test_two_entries_of_one_name_are_both_kept(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "class.zip", "w") as made,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        made.writestr(f"ada/{NAME}.ipynb", "{}")
        made.writestr(f"ada/{NAME}.ipynb", "[]")
    with submissions.opened(tmp_path / "class.zip") as (files, _):
        (found,), (problem,) = submissions.find(files, LESSONS)
        assert {found.name, problem.file} == {f"ada/{NAME}.ipynb", f"ada/{NAME} (2).ipynb"}


def test_a_timestamp_says_which_file_is_newer(tmp_path):
    for place, day in (("first", 2), ("second", 1)):
        path = put(tmp_path, f"class/ada/{place}/{NAME}.ipynb", '{"cells": []}')
        path.with_name("timestamp.txt").write_text(f"2026-11-0{day} 10:00:00 UTC")
        os.utime(path, (1_000_000 * (3 - day),) * 2)
    put(tmp_path, f"class/bob/{NAME}.ipynb")
    found, (problem,) = submissions.find(tmp_path, LESSONS)
    assert {s.name for s in found} == {f"class/ada/first/{NAME}.ipynb", f"class/bob/{NAME}.ipynb"}
    assert problem.file == f"class/ada/second/{NAME}.ipynb"
    assert f"ada/first/{NAME}.ipynb, which is newer by its timestamp.txt" in problem.reason


def test_times_that_are_none_decide_nothing(tmp_path):
    """Whatever stands in cells and time stamps, one of two files counts and nothing is raised or
    waited for.
    """
    stamp = tmp_path / "class" / "ada" / "timestamp.txt"
    odd = {
        "execution": {"a": 1, "b": "0001-01-01T00:00:00+14:00"},
        "executionInfo": {"timestamp": 10**400},
    }
    for name in (f"{NAME}.ipynb", f"{NAME} (1).ipynb"):
        put(tmp_path / "class", f"ada/{name}", json.dumps({"cells": [{"metadata": odd}]}))
    os.mkfifo(stamp)
    for _ in range(2):
        (found,), (problem,) = submissions.find(tmp_path, LESSONS)
        assert found.student == "ada" and "not graded: the same student" in problem.reason
        assert submissions.stamp(found.path) is None
        stamp.unlink()
        stamp.symlink_to("/dev/zero")


def test_a_broken_newer_file_does_not_hide_the_whole_older_one(tmp_path):
    old = put(tmp_path, f"ada/{NAME}.ipynb", '{"cells": []}')
    os.utime(old, (1_000_000, 1_000_000))
    put(tmp_path, f"ada/{NAME} (1).ipynb", '{"cells": [')
    (found,), (problem,) = submissions.find(tmp_path, LESSONS)
    assert found.path == old and "the only one that can be read" in problem.reason


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
def test_any_name_can_be_written_down(folder, student, tmp_path):
    """What is no text, and what would clear a terminal or be an option, ends in a name that any
    table takes.
    """
    put(tmp_path / "class" / os.fsdecode(folder), f"{NAME}.ipynb")
    put(tmp_path / "class", f"other/{NAME}.ipynb")
    found, problems = submissions.find(tmp_path / "class", LESSONS)
    assert {s.student for s in found} == {student, "other"} and problems == []
    assert all(s.name.encode() and s.name.isprintable() for s in found)


def test_a_name_that_grows_too_long_is_listed(tmp_path):
    """What is one character on the disk may be two in the form in which names are compared."""
    put(tmp_path, "\u0958" * 80 + f"/{NAME}.ipynb"), put(tmp_path, f"ada/{NAME}.ipynb")
    (found,), (problem,) = submissions.find(tmp_path, LESSONS)
    assert found.student == "ada" and "too long" in problem.reason


def test_no_student_is_named_like_a_formula(tmp_path):
    put(tmp_path, f"=1+1/{NAME}.ipynb"), put(tmp_path, f"@ada/{NAME}.ipynb")
    found, _ = submissions.find(tmp_path, LESSONS)
    assert {s.student for s in found} == {"1+1", "ada"}


@pytest.fixture
def release(built):
    return nbformat.read(built / "notebooks" / f"{NAME}.ipynb", as_version=4)


def rebuilt(release, *, added=(), **sources):
    """The rebuilt sources by id, after a learner wrote ``sources`` into cells and added cells at
    the end.
    """
    submitted = nbformat.from_dict(release)
    for cell in submitted.cells:
        cell.source = sources.get(cell["id"].replace("-", "_"), cell.source)
    submitted.cells += [new_code_cell(source) for source in added]
    result, missing = submissions.rebuild(submitted, release)
    assert missing == []
    return {cell["id"]: cell.source for cell in result.cells}


def runs(source):
    names = {}
    exec(source, names)
    return names["double"](3)


def test_an_exercise_brings_what_it_needs_and_no_more(release):
    code = "# Exercise: double (2 points)\ndef double(x):\n    return twice(x)"
    added = ["half = 1 / 2", "import operator as o", "def twice(x):\n    return o.add(x, x)"]
    source = rebuilt(release, double_code=code, added=added)["double-code"]
    assert runs(source) == 6 and "half" not in source


def test_magics_do_not_stop_an_exercise(release):
    code = "%matplotlib inline\n!ls\n# Exercise: double (2 points)\ndef double(x):\n    %time y = x\n    return x + x"
    assert runs(rebuilt(release, double_code=code)["double-code"]) == 6


def test_an_exercise_written_in_a_cell_of_ones_own_counts(release):
    assert runs(rebuilt(release, added=["def double(x):\n    return x + x"])["double-code"]) == 6


def test_an_exercise_merged_with_its_check_leaves_the_check_behind(release):
    code = "# Exercise: double (2 points)\ndef double(x):\n    return x + x\n\n"
    code += "# Check: double (run this cell)\nassert 0"
    assert runs(rebuilt(release, double_code=code)["double-code"]) == 6


def test_of_an_answer_what_its_call_saw_counts(release):
    text = 'answer = "AC"\nquiz.answer("which-letters", answer)\nanswer = "B"'
    assert rebuilt(release, which_letters_answer=text)["which-letters-answer"].startswith(
        'answer = "AC"  # @param'
    )


@pytest.mark.parametrize(
    "text", ['answer = "A" + "C"', 'quiz.answer("which-letters", "AC")', "AC", 'answer = ["A"]']
)
def test_what_is_no_literal_stays_for_a_person(text, release):
    assert rebuilt(release, which_letters_answer=text)["which-letters-answer"] == text


def test_a_blank_stays_as_released(release):
    released = {cell["id"]: cell.source for cell in release.cells}
    blank = rebuilt(
        release, which_letters_answer='quiz.answer("which-letters", answer)', how_many_answer=""
    )
    assert blank == released
