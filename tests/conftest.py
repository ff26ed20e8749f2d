"""What several test files share: the checkout's root, a small course to build and grade, models and
a scene.
"""

import os
import shutil
from pathlib import Path

# Two test processes on two cores: one thread each, before torch is imported anywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from torch import nn

from tests.support.checkout import ROOT, SAMPLE

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    """The models of the five levels with random weights, ready to predict."""
    from course_lib.vision.tasks import LEVELS

    torch.manual_seed(0)
    return {name: level.model().eval() for name, level in LEVELS.items()}


@pytest.fixture(scope="session")
def three():
    """A scene of three objects."""
    from course_lib.data.scenes import scene

    return scene(0, objects=(3, 3), split="new-backgrounds")


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
    from course_grading.assign.build import build

    folder = _miniature(tmp_path_factory.mktemp("built"))
    build(folder)
    return folder


@pytest.fixture
def built(_built: Path, tmp_path: Path) -> Path:
    """The miniature, built: its own copy for each test."""
    return shutil.copytree(_built, tmp_path / "course")


@pytest.fixture
def course(built: Path) -> Path:
    """The miniature before it is built. Its gradebook is there: to make one takes nbgrader
    seconds.
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
