"""Checksums of the embedded files."""

import runpy
import sys

import pytest

from course_lib.assets import checksums, paths


def test_embedded_files_are_intact():
    assert checksums.verify() == []


@pytest.fixture
def photo(data_folder):
    """An embedded photo whose checksum is written."""
    path = data_folder / "photos" / "a.png"
    path.parent.mkdir()
    path.write_bytes(b"a")
    checksums.write()
    return path


def test_checksums_report_changed_missing_and_new_files(photo):
    assert checksums.verify() == []
    photo.write_bytes(b"b")
    assert "has changed: git checkout -- data/photos/a.png" in checksums.verify()[0]
    photo.unlink()
    assert "is missing" in checksums.verify()[0]
    photo.write_bytes(b"a")
    photo.with_name("b.png").write_bytes(b"b")
    assert checksums.verify() == [
        "photos/b.png is not in checksums.json. Run: python -m course_lib.assets.checksums"
    ]


def test_missing_checksum_file_is_reported(photo):
    paths.data_path("checksums.json").unlink()
    assert "checksums.json is missing" in checksums.verify()[0]


def test_module_is_a_command(photo, monkeypatch, capsys):
    checksum_file = paths.data_path("checksums.json")
    expected = checksum_file.read_bytes()
    checksum_file.unlink()
    monkeypatch.delitem(sys.modules, "course_lib.assets.checksums")
    runpy.run_module("course_lib.assets.checksums", run_name="__main__")
    assert checksum_file.read_bytes() == expected
    assert capsys.readouterr().out == f"wrote {checksum_file}\n"
