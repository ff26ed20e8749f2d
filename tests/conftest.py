"""What several test files share: the checkout's root, a small course to build and grade, models and a scene."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = Path(__file__).parent / "sample" / "01_sample.md"


class Says(nn.Module):
    """A model that answers the same whatever it is shown."""

    def __init__(self, *answer):
        super().__init__()
        self.answer = answer
        self.place = nn.Parameter(torch.zeros(0))  # it says which device the model is on

    def forward(self, images):
        return self.answer


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    """The models of the five levels with random weights, ready to predict."""
    from course_lib.vision.levels import LEVELS

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
