"""Every file has a licence, and all statements of the licences agree."""

import json
import re

import pytest
import yaml

from course_lib.assets import licences
from tests.support.checkout import ROOT

OWN = {"MIT", "CC-BY-4.0"}


def spdx(licence: str) -> set[str]:
    """The SPDX identifiers for a cell of data/LICENSES.md."""
    names = re.split(r" and |, ", licence)
    return {"LicenseRef-public-domain" if name == "public domain" else name for name in names}


@pytest.fixture(scope="module")
def report(run_tool):
    """The report of ``reuse lint`` on the repository."""
    return json.loads(run_tool("reuse", "lint", "--json"))


def test_every_file_has_a_licence(report):
    assert report["summary"]["compliant"]


def test_reuse_annotations_agree_with_the_table_of_bundled_data(report):
    declared = {
        file["path"]: {name for e in file["spdx_expressions"] for name in e["value"].split(" AND ")}
        for file in report["files"]
    }
    for credit in licences.read_credits():
        path = f"data/{credit.file}"
        if (ROOT / path).exists():
            own = credit.licence == "as this course"
            assert declared[path] <= OWN if own else declared[path] == spdx(credit.licence), path


def test_package_metadata_lists_every_licence(project):
    texts = {path.stem for path in (ROOT / "LICENSES").glob("*.txt")}
    assert set(project["project"]["license"].split(" AND ")) == texts
    for pattern in project["project"]["license-files"]:
        assert list(ROOT.glob(pattern)), pattern


def test_citation_is_valid_and_agrees_with_the_package(run_tool, project):
    run_tool("cffconvert", "--validate")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == project["project"]["version"]
    assert set(citation["license"]) == OWN
