"""tar.gz archives are opened as zips are: in a folder, nested, within the same limits."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from course_grading.collect import archive_formats, archives, submissions
from course_grading.collect.archives import open_submissions
from course_grading.errors import IntakeError

NAME = "01_sample"


def write_tar(path: Path, entries: dict[str, bytes | tarfile.TarInfo]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as file:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                file.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(content), 1_700_000_000
                file.addfile(member, io.BytesIO(content))
    return path


def special_member(kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


def refusal(path: Path) -> str:
    """The reason for which the only archive of a student is refused."""
    with open_submissions(path.parent.parent) as (_, problems):
        (problem,) = problems
        assert problem.file == f"{path.parent.name}/{path.name}"
        return problem.reason


@pytest.mark.parametrize(
    ("paths", "students"),
    [
        (["ada/homework.tar.gz"], {"ada"}),
        (["ada/homework.TGZ", "bob/homework.tgz"], {"ada", "bob"}),
        ([f"ada_{NAME}.tar.gz", f"bob_{NAME}.tgz"], {"ada", "bob"}),
    ],
)
def test_tars_in_a_folder_are_opened(paths, students, tmp_path):
    for path in paths:
        write_tar(tmp_path / path, {f"{NAME}.ipynb": b"{}", "._x": b"x"})
    with open_submissions(tmp_path) as (files, problems):
        found, others = submissions.find(files, [NAME])
        assert {submission.student for submission in found} == students
        assert [submission.read() for submission in found] == [b"{}"] * len(students)
        assert found[0].path.stat().st_mtime == 1_700_000_000
        assert problems == others == []


@pytest.mark.parametrize("name", ["submissions.tar.gz", "class.tgz"])
def test_tar_of_a_class_and_the_archives_in_it_are_opened(name, tmp_path):
    inner = write_tar(tmp_path / "inner.tgz", {f"{NAME}.ipynb": b"[]"}).read_bytes()
    path = write_tar(tmp_path / name, {f"ada/{NAME}.ipynb": b"{}", "bob/work.tgz": inner})
    with open_submissions(path) as (files, problems):
        found, _ = submissions.find(files, [NAME])
        assert {s.student: s.read() for s in found} == {"ada": b"{}", "bob": b"[]"}
        assert problems == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("../../out.ipynb", b"{}", "its path leads out of the archive"),
        ("/etc/x.ipynb", b"{}", "its path leads out of the archive"),
        ("link.ipynb", special_member(tarfile.SYMTYPE, "/etc/passwd"), "it is a link, not a file"),
        (
            "hard.ipynb",
            special_member(tarfile.LNKTYPE, f"{NAME}.ipynb"),
            "it is a link, not a file",
        ),
        (
            "pipe.ipynb",
            special_member(tarfile.FIFOTYPE),
            "it is not a file, but a device or a pipe",
        ),
        (f"{'x' * 256}.ipynb", b"{}", "its name is longer than 255 bytes"),
    ],
    ids=["outside", "absolute", "link", "hard link", "pipe", "long name"],
)
def test_members_that_are_not_regular_files_inside_the_archive_are_refused(
    name, content, reason, tmp_path
):
    entries = {name: content, "folder": special_member(tarfile.DIRTYPE), f"{NAME}.ipynb": b"{}"}
    write_tar(tmp_path / "ada" / "a.tar.gz", entries)
    with open_submissions(tmp_path) as (files, problems):
        opened = [file for file, path in files.items() if path.is_file()]
        assert opened == [f"ada/a.tar.gz/{NAME}.ipynb"]
    assert [problem.reason.split(": ", 1)[1] for problem in problems] == [reason]


def test_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS_SIZE", 2**20)
    monkeypatch.setattr(archive_formats, "_HEADERS", 2**20)
    path = write_tar(tmp_path / "ada" / "a.tgz", {f"{NAME}.ipynb": bytes(30 * 2**20)})
    assert "it unpacks to more than" in refusal(path)
    # undeclared: zeros after the end-of-archive marker
    path.write_bytes(gzip.compress(bytes(30 * 2**20)))
    assert "it unpacks to more than" in refusal(path)


def test_header_size_and_number_of_entries_are_limited(tmp_path, monkeypatch):
    path = tmp_path / "ada" / "a.tgz"
    name = tarfile.TarInfo("x")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 2 * 2**20
    path.parent.mkdir()
    path.write_bytes(gzip.compress(name.tobuf() + bytes(3 * 2**20)))
    assert "one of its headers is too long" in refusal(path)
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    write_tar(path, {str(number): b"" for number in range(3)})
    assert refusal(path) == "this archive holds more than 2 files"


def test_archives_of_a_student_share_a_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1000)
    for number in range(2):
        write_tar(tmp_path / "ada" / f"{number}.tgz", {f"{NAME}.ipynb": b"x" * 600})
    with open_submissions(tmp_path) as (files, (problem,)):
        assert f"ada/0.tgz/{NAME}.ipynb" in files and problem.file == "ada/1.tgz"
    assert "with the archives inside it" in problem.reason


@pytest.mark.parametrize("damage", ["cut", "header", "checksum", "no gzip", "empty"])
def test_damaged_tar_is_reported(damage, tmp_path):
    path = write_tar(tmp_path / "ada" / "a.tgz", {"a.txt": b"a" * 5000, f"{NAME}.ipynb": b"{}"})
    packed = path.read_bytes()
    unpacked = bytearray(gzip.decompress(packed))
    unpacked[unpacked.index(NAME.encode()) + 150] ^= 1
    broken = {
        "cut": packed[:-20],
        "header": gzip.compress(bytes(unpacked)),
        "checksum": packed[:-8] + bytes(8),
        "no gzip": b"{}",
        "empty": b"",
    }
    path.write_bytes(broken[damage])
    assert "this archive can't be opened" in refusal(path)
    with pytest.raises(IntakeError, match="can't be opened"), open_submissions(path):
        pass


def test_student_whose_tar_cannot_be_opened_is_named(tmp_path):
    path = tmp_path / "ada" / "a.tar.gz"
    path.parent.mkdir()
    path.write_bytes(b"no gzip")
    with open_submissions(tmp_path) as (files, problems):
        assert submissions.find(files, [NAME])[0] == [] and "ada/a.tar.gz" in files
        assert [problem.file for problem in problems] == ["ada/a.tar.gz"]
