"""Shared fixtures: the checkout, a small course to build and grade, models, and a scene."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import settings

from tests.support.checkout import ROOT, SAMPLE
from tests.support.order import LONGEST

if TYPE_CHECKING:
    from torch import nn

# One thread per test process, so that parallel tests do not compete; set before torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"
# Tests start hundreds of Python processes. Without cached bytecode (container images often switch
# the cache off), each process would compile torch and nbgrader again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# No deadline: on a busy machine any example may be slow.
settings.register_profile("course", deadline=None)
settings.load_profile("course")

# Files, or "file::test", whose tests run students' code.
SANDBOXED = {
    "test_batch.py",
    "test_killed.py",
    "test_consistency.py",
    "test_unknown_times.py",
    "test_grading_day.py::test_commands_of_a_grading_day",
    "test_watch.py::test_command_grades_arriving_files_until_control_c",
    "test_class.py",
    "test_github_classroom.py::test_push_is_graded_and_commented",
    "test_groups.py::test_one_file_counts_for_the_group_everywhere",
    "test_class_of_40.py",
    "test_grade.py",
    "test_releases.py::test_submission_to_an_earlier_release_is_graded",
    "test_releases.py::test_former_function_name_is_graded_end_to_end",
    "test_cli.py::test_grade_names_what_is_missing",
    "test_cli.py::test_grade_shows_progress_and_problems",
    "test_formgrader.py::test_formgrader_shows_scores_and_saves_a_manual_score",
    "test_lesson_one.py::test_lesson_one_end_to_end",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slowest files; ``--no-loadscope-reorder`` keeps this order among workers."""
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(autouse=True)
def unchanged_environment():
    """Restore the environment variables after each test; nbgrader_config.py sets COURSE_MODE."""
    with mock.patch.dict(os.environ):
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need the sandbox if it is missing; the reason says what to install."""
    if {item.path.name, f"{item.path.name}::{item.name}"} & SANDBOXED:
        from course_grading.sandbox import host

        if reason := host.unavailable_reason():
            pytest.skip(reason)


@pytest.fixture(scope="module")
def models() -> "dict[str, nn.Module]":
    """The models of the five levels with random weights, in eval mode."""
    import torch

    from course_lib.vision.tasks import LEVELS

    torch.manual_seed(0)
    return {name: task.make_model().eval() for name, task in LEVELS.items()}


@pytest.fixture(scope="session")
def three_objects():
    """A scene with three objects."""
    from course_lib.data.scenes import scene

    return scene(0, objects=(3, 3), split="new-backgrounds")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


def _make_small_course(folder: Path) -> Path:
    """A minimal checkout with one lesson that imports neither torch nor matplotlib."""
    for name in ("solutions", "notebooks", "course_lib/quiz/bank"):
        (folder / name).mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
    shutil.copy(SAMPLE, folder / "solutions")
    return folder


@pytest.fixture(scope="session")
def quick_gradebooks() -> None:
    """Switch off SQLite's synchronous writes: tests need no durability."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def switch_synchronisation_off(connection, record) -> None:
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def _built(tmp_path_factory, quick_gradebooks) -> Path:
    from course_grading.assign.build import build

    folder = _make_small_course(tmp_path_factory.mktemp("built"))
    build(folder)
    return folder


@pytest.fixture
def built(_built: Path, tmp_path: Path) -> Path:
    """The small course after ``course build``, a fresh copy per test."""
    return shutil.copytree(_built, tmp_path / "course")


@pytest.fixture
def course(built: Path) -> Path:
    """The small course before ``course build``, except that its gradebook exists.

    Creating a gradebook takes nbgrader seconds.
    """
    for name in (
        "notebooks",
        "course_lib/quiz/bank",
        "grading/workspace/source",
        "grading/workspace/release",
    ):
        shutil.rmtree(built / name)
    for name in ("notebooks", "course_lib/quiz/bank"):
        (built / name).mkdir(parents=True)
    return built
