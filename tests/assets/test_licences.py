"""Every bundled file has an author and an allowed licence in the table data/LICENSES.md."""

import json
import re
from collections import Counter

import pytest

from course_lib.assets import checksums, licences, paths
from course_lib.commands import doctor

# No other licence may be bundled: no GPL, ShareAlike or NonCommercial.
ALLOWED = {"public domain", "CC0-1.0", "CC-BY-4.0", "CC-BY-2.0", "MIT", "Apache-2.0", "OFL-1.1"}


def test_every_bundled_file_has_one_row_in_the_licence_table():
    rows = Counter(credit.file for credit in licences.read_credits())
    assert max(rows.values()) == 1
    for file in checksums.bundled_files():
        is_card = file.startswith("checkpoints/") and file.endswith(".json")
        assert rows[file] == (0 if is_card else 1), f"data/LICENSES.md: {file}"


def test_licence_table_has_no_row_for_missing_files():
    for credit in licences.read_credits():
        exists = paths.data_path().joinpath(credit.file).exists()
        assert exists or credit.file.startswith("checkpoints/"), credit.file


@pytest.mark.parametrize("credit", licences.read_credits(), ids=lambda credit: credit.file)
def test_every_licence_is_allowed(credit):
    assert credit.source and credit.author
    if credit.file.startswith("checkpoints/") or credit.file == "sprites/sprites.json":
        assert (credit.author, credit.licence) == ("this course", "as this course")
        return
    assert set(credit.licence.split(" and ")) <= ALLOWED
    assert re.match("https?://", credit.url)
    if "CC-BY" in credit.licence:
        # CC-BY requires a statement of what was changed.
        assert re.search("made smaller|cropped", credit.source)


def test_licence_table_has_required_texts_and_links():
    table = paths.data_path("LICENSES.md").read_text(encoding="utf-8")
    used = {
        licence for credit in licences.read_credits() for licence in credit.licence.split(" and ")
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


def test_doctor_lists_the_licences():
    (finding,) = [finding for finding in doctor.examine() if finding.name == "licences of the data"]
    assert finding.ok and "CC-BY-4.0" in finding.state and "data/LICENSES.md" in finding.state
    credits_by_file = {entry["file"]: entry for entry in json.loads(json.dumps(finding.details))}
    assert set(credits_by_file) == set(licences.files_to_credit())
    assert credits_by_file["photos/camera.png"]["author"] == "Lav Varshney"
    counts = [
        int(count) for count in re.findall(r"(\d+) (?=CC|public|as |MIT|Apache)", finding.state)
    ]
    assert sum(counts) == len(credits_by_file)


def test_doctor_reports_files_without_licence_row(monkeypatch):
    monkeypatch.setattr(licences, "files_to_credit", lambda: ["photos/new.png"])
    (finding,) = doctor._licences()
    assert not finding.ok and "photos/new.png" in finding.state and "LICENSES.md" in finding.fix


def test_malformed_licence_row_raises(data_folder):
    (data_folder / "LICENSES.md").write_text(
        "| file | origin |\n| --- | --- |\n| `photos/a.png` | somewhere |\n"
    )
    with pytest.raises(ValueError, match="five cells"):
        licences.read_credits()
