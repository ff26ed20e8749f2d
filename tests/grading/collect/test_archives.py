"""Zips are unpacked: in a folder, nested, within limits, and never outside their own folder."""

import struct
import zipfile

import pytest
from course_grading.collect import archives, submissions
from course_grading.collect.archives import open_submissions
from course_grading.errors import IntakeError

from tests.support.submissions import ITEMS_BY_LESSON, NAME, write_file


def write_zip(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
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
def test_zips_in_a_folder_are_opened(paths, students, tmp_path):
    for path in paths:
        write_zip(tmp_path / path, {f"{NAME}.ipynb": "{}"})
    with open_submissions(tmp_path) as (files, problems):
        accepted, find_problems = submissions.find(files, ITEMS_BY_LESSON)
        assert {submission.student for submission in accepted} == students
        assert problems + find_problems == []
        names = [submission.name for submission in accepted]
        assert names == [f"{path}/{NAME}.ipynb" for path in sorted(paths)]
    assert all((tmp_path / path).is_file() for path in paths)


def test_quota_of_one_student_does_not_reduce_those_of_others(tmp_path, monkeypatch):
    """The limit holds for each student, over all their zips, and in the zip of a class too."""
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1000)
    for number in range(5):
        write_zip(tmp_path / "in" / "ada" / f"{number}.zip", {f"{NAME}.ipynb": "x" * 600})
    write_zip(tmp_path / "in" / "bob" / "a.zip", {f"{NAME}.ipynb": "x" * 600})
    with open_submissions(tmp_path / "in") as (files, problems):
        assert f"bob/a.zip/{NAME}.ipynb" in files
        assert [f"ada/{n}.zip/{NAME}.ipynb" in files for n in range(5)] == [True] + [False] * 4
    assert [problem.file for problem in problems] == [f"ada/{n}.zip" for n in range(1, 5)]
    entries = {f"ada/{number}.ipynb": "x" * 600 for number in range(5)}
    path = write_zip(tmp_path / "class.zip", {**entries, f"bob/{NAME}.ipynb": "x" * 600})
    with open_submissions(path) as (files, problems):
        assert f"bob/{NAME}.ipynb" in files and "ada/0.ipynb" not in files
    (problem,) = problems
    assert problem.file == "ada/0.ipynb" and "too many files" in problem.reason


def test_each_submission_has_its_own_quota(tmp_path, monkeypatch):
    """A zip and the zips inside it share a quota of bytes and of files."""
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1000)
    monkeypatch.setattr(archives, "MAX_FILES", 5)
    inner = write_zip(tmp_path / "inner.zip", {"a": "x" * 500}).read_bytes()
    many = write_zip(tmp_path / "inner.zip", {str(n): "" for n in range(4)}).read_bytes()
    (tmp_path / "inner.zip").unlink()
    write_zip(tmp_path / "ada" / "a.zip", {f"{n}.zip": inner for n in range(4)})
    write_zip(tmp_path / "bob" / "b.zip", {f"{n}.zip": many for n in range(2)})
    write_zip(tmp_path / "eve" / "e.zip", {f"{NAME}.ipynb": "x" * 900})
    with open_submissions(tmp_path) as (files, problems):
        assert f"eve/e.zip/{NAME}.ipynb" in files and "ada/a.zip/0.zip/a" in files
    assert {problem.file for problem in problems} >= {"ada/a.zip/3.zip", "bob/b.zip/1.zip"}
    assert all("with the archives inside it" in problem.reason for problem in problems)


def test_time_for_unpacking_is_limited_for_each_student(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "UNPACKING_TIME_LIMIT", 0.0)
    for student in ("ada", "bob"):
        write_zip(tmp_path / student / "a.zip", {f"{NAME}.ipynb": "{}"})
    with open_submissions(tmp_path) as (files, problems):
        assert not any(name.endswith(".ipynb") for name in files)
    assert [problem.file for problem in problems] == ["ada/a.zip", "bob/a.zip"]
    assert all("seconds" in problem.reason for problem in problems)


def test_only_the_entry_with_a_too_long_name_is_skipped(tmp_path):
    long = "照" * 90 + ".png"
    path = write_zip(tmp_path / "in" / "ada" / "a.zip", {long: "x", f"{NAME}.ipynb": "{}"})
    with open_submissions(tmp_path / "in") as (files, problems):
        assert f"ada/a.zip/{NAME}.ipynb" in files and len(files) == 3
    (problem,) = problems
    assert problem.file == f"ada/a.zip/{long}" and "longer than 255 bytes" in problem.reason
    path = write_zip(tmp_path / "class.zip", {f"ada/{long}": "x", f"bob/{NAME}.ipynb": "{}"})
    with open_submissions(path) as (files, problems):
        (submission,), _ = submissions.find(files, ITEMS_BY_LESSON)
        assert submission.student == "bob" and len(problems) == 1


def test_names_without_the_utf8_flag_are_read_as_utf8_first(tmp_path):
    """The Finder of macOS omits the flag."""
    path = tmp_path / "class.zip"
    name = "Jürgen Groß".encode()
    write_zip(path, {f"{'x' * len(name)}/{NAME}.ipynb": "{}", f"bob/{NAME}.ipynb": "{}"})
    path.write_bytes(path.read_bytes().replace(b"x" * len(name), name))
    with open_submissions(path) as (files, problems):
        accepted, _ = submissions.find(files, ITEMS_BY_LESSON)
        assert {s.student for s in accepted} == {"Jürgen_Groß", "bob"} and problems == []
    path.write_bytes(path.read_bytes().replace(name, "Jürgen Groß00".encode("latin-1")))
    with open_submissions(path) as (_, problems):
        (problem,) = problems
        assert "not in UTF-8" in problem.reason


@pytest.mark.extended
def test_many_entries_of_one_name_take_linear_time(tmp_path):
    """Each gets a unique name. A quadratic search for it took hours."""
    path = tmp_path / "ada" / "a.zip"
    path.parent.mkdir()
    with (
        zipfile.ZipFile(path, "w") as file,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        for _ in range(3000):
            file.writestr(f"{NAME}.ipynb", "{}")
    names = [f"ada/a.zip/{NAME}.ipynb"] + [f"ada/a.zip/{NAME} ({n}).ipynb" for n in range(2, 3001)]
    with open_submissions(tmp_path) as (files, problems):
        assert set(names) <= set(files) and problems == []
        accepted, problems = submissions.find(files, ITEMS_BY_LESSON)
    assert [submission.student for submission in accepted] == ["ada"] and len(problems) <= 12


def test_zip_bomb_is_refused(tmp_path):
    bomb = write_zip(tmp_path / "class.zip", {f"{n}.ipynb": bytes(60 * 2**20) for n in range(2)})
    with (
        pytest.raises(IntakeError, match="times its size: it may be an archive bomb"),
        open_submissions(bomb),
    ):
        pass


def test_size_of_the_central_directory_is_checked_before_it_is_read(tmp_path):
    path = write_zip(tmp_path / "class.zip", {f"ada/{NAME}.ipynb": "{}"})
    raw = bytearray(path.read_bytes())
    struct.pack_into("<L", raw, raw.rfind(b"PK\x05\x06") + 12, 2**31)
    path.write_bytes(raw)
    with pytest.raises(IntakeError, match="more than 1000000 files"), open_submissions(path):
        pass


def test_two_entries_with_the_same_name_are_both_extracted(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "class.zip", "w") as file,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        file.writestr(f"ada/{NAME}.ipynb", "{}")
        file.writestr(f"ada/{NAME}.ipynb", "[]")
    with open_submissions(tmp_path / "class.zip") as (files, _):
        (submission,), (problem,) = submissions.find(files, ITEMS_BY_LESSON)
        assert {submission.name, problem.file} == {f"ada/{NAME}.ipynb", f"ada/{NAME} (2).ipynb"}


def test_zip_entry_cannot_leave_its_folder(tmp_path):
    path = write_zip(
        tmp_path / "class.zip",
        {f"ada/{NAME}.ipynb": "{}", f"../../escaped/{NAME}.ipynb": "{}"},
    )
    with open_submissions(path) as (files, problems):
        accepted, _ = submissions.find(files, [NAME])
        assert {submission.student for submission in accepted} == {"ada"}
        assert accepted[0].path.exists()
    assert [(problem.file, problem.reason.split(": ")[1]) for problem in problems] == [
        (f"../../escaped/{NAME}.ipynb", "its path leads out of the archive")
    ]
    assert not (tmp_path.parent / "escaped").exists()
    assert not accepted[0].path.exists()  # unpacked files last as long as the context


def test_newest_file_in_a_zip_is_graded(tmp_path):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as file:
        for year, name in ((2026, f"ada/{NAME}.ipynb"), (2020, f"ada/{NAME} (1).ipynb")):
            file.writestr(zipfile.ZipInfo(name, (year, 1, 2, 3, 4, 6)), "{}")
    with open_submissions(path) as (files, _):
        (submission,), _ = submissions.find(files, [NAME])
        assert submission.name == f"ada/{NAME}.ipynb"


def test_damaged_zip_entry_is_reported(tmp_path):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as file:  # not compressed
        file.writestr(f"ada/{NAME}.ipynb", "{}")
        file.writestr(f"bob/{NAME}.ipynb", "unmistakable")
    path.write_bytes(path.read_bytes().replace(b"unmistakable", b"altered bits"))
    with open_submissions(path) as (files, problems):
        accepted, find_problems = submissions.find(files, [NAME])
        assert [submission.student for submission in accepted] == ["ada"]
        assert [problem.file for problem in find_problems] == ["bob"]
    assert [(problem.file, problem.reason.split(":")[0]) for problem in problems] == [
        (f"bob/{NAME}.ipynb", "it could not be unpacked")
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.txt", "neither a folder nor a zip"),
        ("a.tar.gz", "this archive can't be opened .*Unpack it yourself and give the folder"),
        ("a.tar", "unpack it yourself and give the folder"),
        (f"{NAME}.ipynb", "put it into a folder named after the student"),
    ],
)
def test_only_a_folder_or_a_zip_is_accepted(name, reason, tmp_path):
    with pytest.raises(IntakeError, match=reason), open_submissions(write_file(tmp_path, name)):
        pass
