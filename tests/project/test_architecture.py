"""The functions and folders in docs/architecture.md exist, and its image shows the same ones."""

import functools
import importlib
import re
import runpy

import pytest

from tests.support.checkout import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FUNCTIONS = re.findall(r"`((?:course_lib|course_grading)(?:\.\w+){2,})`", PAGE)


def resolve(dotted: str) -> object:
    """The object of a dotted name: an attribute of a module or of a class in it."""
    parts = dotted.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(getattr, parts[length:], module)
    raise ModuleNotFoundError(dotted)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_named_function_exists(name):
    assert callable(resolve(name))


def test_image_shows_the_functions_of_the_page():
    paths = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))["PATHS"]
    assert [name for path in paths.values() for name, _ in path] == FUNCTIONS
    image = re.search(r"!\[([^\]]+)\]\(architecture\.png\)", PAGE)
    for name in FUNCTIONS:
        assert name.rpartition(".")[2] in image[1], name


@pytest.mark.parametrize("package", ["course_lib", "grading/course_grading"])
def test_table_lists_every_folder(package):
    table = PAGE.split(f"| `{package}/` |")[1].split("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    names = set(re.findall(r"`([\w.]+/?)`", " ".join(cells)))
    folders = {
        f"{path.name}/"
        for path in (ROOT / package).iterdir()
        if path.is_dir() and not path.name.startswith("_")
    }
    assert folders == {name for name in names if name.endswith("/")}
    assert all((ROOT / package / name).exists() for name in names)
