"""What several test files share: the checkout's root, and a small course to build and grade."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = Path(__file__).parent / "sample" / "01_sample.md"


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


def _miniature(folder: Path) -> Path:
    """A checkout in miniature, with one lesson that imports neither torch nor matplotlib."""
    for name in ("solutions", "notebooks", "course_lib/quiz/bank"):
        (folder / name).mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
    shutil.copy(SAMPLE, folder / "solutions")
    return folder


@pytest.fixture(scope="session")
def _built(tmp_path_factory) -> Path:
    from course_lib.grading.build import build

    folder = _miniature(tmp_path_factory.mktemp("built"))
    build(folder)
    return folder


@pytest.fixture
def built(_built: Path, tmp_path: Path) -> Path:
    """The miniature, built: its own copy for each test."""
    return shutil.copytree(_built, tmp_path / "course")


@pytest.fixture
def course(built: Path) -> Path:
    """The miniature before it is built. Its gradebook is there: to make one takes nbgrader seconds."""
    for name in ("notebooks", "course_lib/quiz/bank", "grading/workspace/source", "grading/workspace/release"):
        shutil.rmtree(built / name)
    for name in ("notebooks", "course_lib/quiz/bank"):
        (built / name).mkdir(parents=True)
    return built
