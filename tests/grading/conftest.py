"""A small course to grade: its answer key, and submissions to it."""

import nbformat
import pytest
from course_grading.autograde import answer_keys
from course_grading.autograde.grade import GradingTask

NAME = "01_sample"


@pytest.fixture
def workspace(built):
    """nbgrader's course directory of the sample course."""
    return built / "grading" / "workspace"


@pytest.fixture
def key(workspace):
    """The answer key of the sample lesson."""
    return answer_keys.read(workspace, NAME)


@pytest.fixture
def submission(key):
    """Makes a submission's bytes: the release, with the given sources for some of its cells, by
    their ids.
    """

    def make(**sources: str) -> bytes:
        notebook = nbformat.reads(key.release, as_version=4)
        for cell in notebook.cells:
            cell.source = sources.get(cell["id"].replace("-", "_"), cell.source)
        return nbformat.writes(notebook).encode()

    return make


@pytest.fixture
def task(key):
    """Makes a grading task of a submission's bytes."""

    def make(data: bytes, student: str = "ada", secret: bytes = b"secret") -> GradingTask:
        seeds = answer_keys.seeds(secret, key, student)
        return GradingTask(student, NAME, f"{student}.ipynb", data, seeds)

    return make
