"""The small course as a learner's working folder."""

from pathlib import Path

import pytest

from course_lib.assets import paths
from course_lib.quiz import question_bank


@pytest.fixture
def learner(built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small course's notebooks/; the small course replaces the real one."""
    monkeypatch.setattr(question_bank, "FOLDER", built / "course_lib" / "quiz" / "bank")
    monkeypatch.setattr(paths, "checkout", lambda: built)
    monkeypatch.chdir(built)
    return built / "notebooks"


@pytest.fixture
def notebook(learner: Path) -> Path:
    """The learner's notebook of the small course's only lesson."""
    return learner / "01_sample.ipynb"
