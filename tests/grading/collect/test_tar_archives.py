"""tar.gz is accepted as zip is: opened in a folder, in another archive, within the same limits."""

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


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


def refused(path: Path) -> str:
    """Why the only archive of a student is refused."""
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
def test_the_tar_of_a_class_is_opened_with_the_archives_in_it(name, tmp_path):
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
        ("link.ipynb", special(tarfile.SYMTYPE, "/etc/passwd"), "it is a link, not a file"),
        ("hard.ipynb", special(tarfile.LNKTYPE, f"{NAME}.ipynb"), "it is a link, not a file"),
        ("pipe.ipynb", special(tarfile.FIFOTYPE), "it is not a file, but a device or a pipe"),
        (f"{'x' * 256}.ipynb", b"{}", "its name is longer than 255 bytes"),
    ],
    ids=["outside", "absolute", "link", "hard link", "pipe", "long name"],
)
def test_what_is_no_file_of_the_archive_is_refused(name, content, reason, tmp_path):
    entries = {name: content, "folder": special(tarfile.DIRTYPE), f"{NAME}.ipynb": b"{}"}
    write_tar(tmp_path / "ada" / "a.tar.gz", entries)
    with open_submissions(tmp_path) as (files, problems):
        opened = [file for file, path in files.items() if path.is_file()]
        assert opened == [f"ada/a.tar.gz/{NAME}.ipynb"]
    assert [problem.reason.split(": ", 1)[1] for problem in problems] == [reason]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS_SIZE", 2**20)
    monkeypatch.setattr(archive_formats, "_HEADERS", 2**20)
    path = write_tar(tmp_path / "ada" / "a.tgz", {f"{NAME}.ipynb": bytes(30 * 2**20)})
    assert "it unpacks to more than" in refused(path)
    # one that declares nothing: zeros after the end
    path.write_bytes(gzip.compress(bytes(30 * 2**20)))
    assert "it unpacks to more than" in refused(path)


def test_headers_and_entries_are_limited(tmp_path, monkeypatch):
    path = tmp_path / "ada" / "a.tgz"
    name = tarfile.TarInfo("x")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 2 * 2**20
    path.parent.mkdir()
    path.write_bytes(gzip.compress(name.tobuf() + bytes(3 * 2**20)))
    assert "one of its headers is too long" in refused(path)
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    write_tar(path, {str(number): b"" for number in range(3)})
    assert refused(path) == "this archive holds more than 2 files"


def test_a_quota_is_shared_with_zips(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1000)
    for number in range(2):
        write_tar(tmp_path / "ada" / f"{number}.tgz", {f"{NAME}.ipynb": b"x" * 600})
    with open_submissions(tmp_path) as (files, (problem,)):
        assert f"ada/0.tgz/{NAME}.ipynb" in files and problem.file == "ada/1.tgz"
    assert "with the archives inside it" in problem.reason


@pytest.mark.parametrize("damage", ["cut", "header", "checksum", "no gzip", "empty"])
def test_a_damaged_tar_is_listed_and_nothing_in_it_is_lost_in_silence(damage, tmp_path):
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
    assert "this archive can't be opened" in refused(path)
    with pytest.raises(IntakeError, match="can't be opened"), open_submissions(path):
        pass


def test_a_student_whose_tar_can_not_be_opened_is_named(tmp_path):
    path = tmp_path / "ada" / "a.tar.gz"
    path.parent.mkdir()
    path.write_bytes(b"no gzip")
    with open_submissions(tmp_path) as (files, problems):
        assert submissions.find(files, [NAME])[0] == [] and "ada/a.tar.gz" in files
        assert [problem.file for problem in problems] == ["ada/a.tar.gz"]
