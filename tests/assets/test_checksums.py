"""Checksums of the bundled files."""

import ast
import runpy
import shutil
import subprocess

import pytest

from course_lib.assets import checksums, paths
from tests.support.checkout import ROOT


def test_bundled_files_are_intact():
    assert checksums.verify() == []


@pytest.fixture
def photo(data_folder):
    """A bundled photo with its checksum in checksums.json."""
    path = data_folder / "photos" / "a.png"
    path.parent.mkdir()
    path.write_bytes(b"a")
    checksums.write()
    return path


def test_checksums_report_changed_missing_and_new_files(photo):
    assert checksums.verify() == []
    photo.write_bytes(b"b")
    assert "has changed. Delete it, then restore it: " in checksums.verify()[0]
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


def test_module_is_a_command(photo, capsys):
    checksum_file = paths.data_path("checksums.json")
    expected = checksum_file.read_bytes()
    checksum_file.unlink()
    # By its path: run_module would write bytecode with the tests' shape checks into __pycache__,
    # which then fails outside the tests.
    runpy.run_path(checksums.__file__, run_name="__main__")
    assert checksum_file.read_bytes() == expected
    assert capsys.readouterr().out == f"wrote {checksum_file}\n"


def test_clone_by_git_for_windows_keeps_the_checksums(tmp_path):
    """.gitattributes overrides core.autocrlf=true, the default of Git for Windows, which would
    convert line endings in data/.
    """
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    texts = {"data/cards/a.json": b"{\n}\n", "data/LICENSES.md": b"# A\n\nB\n", "run.sh": b"a\nb\n"}
    for name, text in texts.items():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_bytes(text)
    shutil.copy(ROOT / ".gitattributes", origin)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    git(origin, "init", "-q")
    git(origin, "add", ".")
    git(origin, *author, "commit", "-qm", "a")
    git(tmp_path, "clone", "-q", "-c", "core.autocrlf=true", str(origin), str(clone))
    assert {name: (clone / name).read_bytes() for name in texts} == texts


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("package", ["course_lib", "website/course_site"])
def test_text_is_read_and_written_in_utf_8_on_every_system(package):
    """Every call that opens text names an encoding; Python's default on Windows is often cp1252."""
    violations = []
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and opens_text_without_encoding(node):
                violations.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert violations == []


def opens_text_without_encoding(call: ast.Call) -> bool:
    """Whether a call opens a file as text without naming an encoding."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    values = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    has_encoding = any(keyword.arg == "encoding" for keyword in call.keywords)
    has_encoding = has_encoding or not {"utf-8", "utf-8-sig"}.isdisjoint(values)
    if name in ("read_text", "write_text"):
        return not has_encoding
    return isinstance(call.func, ast.Name) and name == "open" and not has_encoding
