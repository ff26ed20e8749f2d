"""The embedded photos: what comes back, that they are intact, and that the licence of every
embedded file is told.
"""

import hashlib
import json
import re
from collections import Counter

import pytest
import torch

from course_lib.assets import checksums, licences, paths
from course_lib.commands import doctor
from course_lib.data import photos

MIB = 2**20
LARGE = [*photos.names("train"), *photos.names("held-out")]


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
    with pytest.raises(ValueError, match="choose one of acanthus"):
        photos.photo("motorcycle")
    with pytest.raises(ValueError, match="positive number of pixels"):
        photos.photo("camera", 0)


def test_there_are_enough_large_photos():
    assert len(LARGE) >= 14
    for name in LARGE:
        assert min(photos.picture(name).size) >= 512, name


def test_a_large_photo_is_the_same_as_tensor_and_as_picture():
    name = LARGE[0]
    pixels, picture = photos.photo(name), photos.picture(name)
    assert pixels.shape == (3, picture.height, picture.width)
    assert tuple((pixels[:, 7, 5] * 255).round().int()) == picture.getpixel((5, 7))


def test_the_held_out_photos_are_those_with_the_smallest_hashes():
    by_hash = sorted(LARGE, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert set(photos.names("held-out")) == set(by_hash[:5])


def test_no_photo_is_in_two_splits():
    every = [name for split in ("small", "train", "held-out") for name in photos.names(split)]
    assert len(every) == len(set(every))
    held_out = [photos.photo(name, 32) for name in photos.names("held-out")]
    for name in [*photos.names("small"), *photos.names("train")]:
        assert all((photos.photo(name, 32) - other).abs().mean() > 0.05 for other in held_out), name


def test_a_bad_split_is_told():
    with pytest.raises(ValueError, match="choose one of small, train, held-out"):
        photos.names("test")
    with pytest.raises(ValueError, match="choose one of acanthus"):
        photos.picture("motorcycle")


def test_the_packs_are_small():
    files = [
        path
        for pack in ("photos", "sprites")
        for path in paths.data(pack).rglob("*")
        if path.is_file()
    ]
    assert {path.suffix for path in files} == {".png", ".webp", ".json"}
    sizes = [path.stat().st_size for path in files]
    assert sum(sizes) <= 18 * MIB and max(sizes) <= 15 * MIB
    # the small ones
    assert sum(path.stat().st_size for path in paths.data("photos").glob("*.png")) <= 2.5e6


# Nothing else may be embedded: no GPL, ShareAlike or NonCommercial.
ALLOWED = {"public domain", "CC0-1.0", "CC-BY-4.0", "CC-BY-2.0", "MIT", "Apache-2.0", "OFL-1.1"}


def test_every_embedded_file_has_one_row_in_the_table_of_licences():
    rows = Counter(credit.file for credit in licences.credits())
    assert max(rows.values()) == 1
    for file in checksums._embedded(paths.data()):
        is_card = file.startswith("checkpoints/") and file.endswith(".json")
        assert rows[file] == (0 if is_card else 1), f"data/LICENSES.md: {file}"


def test_no_row_is_left_of_a_file_that_went():
    for credit in licences.credits():
        assert paths.data().joinpath(credit.file).exists() or credit.file.startswith(
            "checkpoints/"
        ), credit.file


@pytest.mark.parametrize("credit", licences.credits(), ids=lambda credit: credit.file)
def test_every_licence_is_a_permitted_one(credit):
    assert credit.origin and credit.author
    if credit.file.startswith("checkpoints/") or credit.file == "sprites/sprites.json":
        assert (credit.author, credit.licence) == ("this course", "as this course")
        return
    assert set(credit.licence.split(" and ")) <= ALLOWED
    assert re.match("https?://", credit.link)
    if "CC-BY" in credit.licence:
        assert re.search("made smaller|cropped", credit.origin), (
            "CC-BY asks to say what was changed"
        )


def test_licences_ask_for_their_texts_and_links():
    table = paths.data("LICENSES.md").read_text(encoding="utf-8")
    used = {
        licence for credit in licences.credits() for licence in credit.licence.split(" and ")
    } & ALLOWED
    links = {
        "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
        "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
        "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
        "OFL-1.1": "https://openfontlicense.org",
        "MIT": "Copyright (c) Microsoft Corporation.",
    }
    for licence in used - {"public domain"}:
        assert links[licence] in table
    assert "The above copyright notice and this permission notice shall be included" in table


def test_the_doctor_shows_the_licences():
    (finding,) = [finding for finding in doctor.examine() if finding.what == "licences of the data"]
    assert finding.ok and "CC-BY-4.0" in finding.here and "data/LICENSES.md" in finding.here
    told = {entry["file"]: entry for entry in json.loads(json.dumps(finding.details))}
    assert set(told) == set(licences.files())
    assert told["photos/camera.png"]["author"] == "Lav Varshney"
    counts = [
        int(count) for count in re.findall(r"(\d+) (?=CC|public|as |MIT|Apache)", finding.here)
    ]
    assert sum(counts) == len(told)


def test_a_file_without_a_row_is_told(monkeypatch):
    monkeypatch.setattr(licences, "files", lambda: ["photos/new.png"])
    (finding,) = doctor._licences()
    assert not finding.ok and "photos/new.png" in finding.here and "LICENSES.md" in finding.mend


def test_a_broken_row_is_told(embedded):
    (embedded / "LICENSES.md").write_text(
        "| file | origin |\n| --- | --- |\n| `photos/a.png` | somewhere |\n"
    )
    with pytest.raises(ValueError, match="five cells"):
        licences.credits()


def test_embedded_files_are_intact():
    assert checksums.verify() == []


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """A small data folder with its checksums written."""
    (tmp_path / "data" / "photos").mkdir(parents=True)
    (tmp_path / "solutions").mkdir()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "data" / "photos" / "a.png").write_bytes(b"a")
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "course_lib")
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
    assert checksums.verify() == [
        "photos/b.png is not in checksums.json. Run: python -m course_lib.assets.checksums"
    ]


def test_missing_checksums_are_told(embedded):
    (embedded / "checksums.json").unlink()
    assert "checksums.json is missing" in checksums.verify()[0]
