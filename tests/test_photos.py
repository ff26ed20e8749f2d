"""The embedded photos: what comes back, that they are intact, and that each one's licence is told."""

import pytest
import torch

from course_lib import checksums, paths
from course_lib.data import photos


@pytest.mark.parametrize("name", photos.names())
@pytest.mark.parametrize("grey", [False, True])
def test_a_photo_is_a_tensor_between_0_and_1(name, grey):
    picture = photos.photo(name, grey=grey)
    assert picture.dtype == torch.float32 and picture.shape[0] == (1 if grey else 3)
    assert min(picture.shape[1:]) >= 256
    assert picture.min() >= 0 and picture.max() <= 1 and picture.std() > 0.05


def test_a_size_gives_the_middle_square():
    whole, square = photos.photo("coffee"), photos.photo("coffee", 400)
    assert whole.shape == (3, 400, 600)
    torch.testing.assert_close(square, whole[:, :, 100:500])
    assert photos.photo("coffee", 64).shape == (3, 64, 64)


def test_a_photo_can_be_changed_without_harm():
    photos.photo("camera", 32).zero_()
    assert photos.photo("camera", 32).max() > 0


def test_bad_names_and_sizes_are_told():
    with pytest.raises(ValueError, match="choose one of astronaut"):
        photos.photo("motorcycle")
    with pytest.raises(ValueError, match="positive number of pixels"):
        photos.photo("camera", 0)


def test_photos_are_few_and_small():
    files = list(paths.data("photos").iterdir())
    assert {file.suffix for file in files} == {".png"}
    assert sum(file.stat().st_size for file in files) <= 2.5e6


def test_every_embedded_file_has_a_line_in_the_table_of_licences():
    table = paths.data("LICENSES.md").read_text(encoding="utf-8")
    for name in photos.names():
        (line,) = [line for line in table.splitlines() if f"`photos/{name}.png`" in line]
        assert "CC0" in line or "public domain" in line
    for checkpoint in paths.data("checkpoints").glob("*.safetensors"):
        assert f"`checkpoints/{checkpoint.name}`" in table


def test_embedded_files_are_intact():
    assert checksums.verify() == []


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """A small data folder with its checksums written."""
    (tmp_path / "data" / "photos").mkdir(parents=True)
    (tmp_path / "solutions").mkdir()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "data" / "photos" / "a.png").write_bytes(b"a")
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "course_lib")
    checksums.write()
    return tmp_path / "data"


def test_checksums_see_what_changed_is_missing_or_new(embedded):
    assert checksums.verify() == []
    picture = embedded / "photos" / "a.png"
    picture.write_bytes(b"b")
    assert "has changed: git checkout -- data/photos/a.png" in checksums.verify()[0]
    picture.unlink()
    assert "is missing" in checksums.verify()[0]
    picture.write_bytes(b"a")
    (embedded / "photos" / "b.png").write_bytes(b"b")
    assert checksums.verify() == ["photos/b.png is not in checksums.json. Run: python -m course_lib.checksums"]


def test_missing_checksums_are_told(embedded):
    (embedded / "checksums.json").unlink()
    assert "checksums.json is missing" in checksums.verify()[0]
