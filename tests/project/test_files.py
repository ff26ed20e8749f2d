"""Rules for every file: size, style, no host names of package registries."""

import pytest

from tests.support.checkout import ROOT
from tests.support.order import LONGEST

# in two parts, so that this file passes its own test
REGISTRIES = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry.npmjs" + ".org",
    "registry.yarnpkg" + ".com",
    "deb.debian" + ".org",
]
LOCK_FILES = ("uv.lock", "poetry.lock", "package-lock.json")
LOCK_FILE_WITHOUT_URLS = ROOT / "website" / "web" / "package-lock.json"  # hashes only


def test_no_file_contains_the_host_of_a_package_registry(tracked):
    for path in tracked:
        text = path.read_bytes().decode(errors="ignore")
        assert not [host for host in REGISTRIES if host in text], path
        if path == LOCK_FILE_WITHOUT_URLS:
            assert "://" not in text
        else:
            assert path.name not in LOCK_FILES


def test_files_and_repository_are_small(tracked):
    sizes = {path: path.stat().st_size for path in tracked}
    assert max(sizes.values()) <= 15 * 2**20, max(sizes, key=sizes.get)
    # 62 MiB before the autoencoder of the text-to-image model was no longer that of lesson 4
    assert sum(sizes.values()) <= 68 * 2**20


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["check", "format"])
def test_ruff(run_tool, command):
    run_tool("ruff", *command, ".")


def test_slowest_test_files_exist():
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []
