"""A small course to mark: its key, and notebooks in which somebody has worked."""

import nbformat
import pytest
from course_grading.autograde import answer_keys
from course_grading.autograde.grade import Task

NAME = "01_sample"


@pytest.fixture
def workspace(built):
    """nbgrader's course directory of the sample course."""
    return built / "grading" / "workspace"


@pytest.fixture
def key(workspace):
    """What marks the sample lesson."""
    return answer_keys.read(workspace, NAME)


@pytest.fixture
def work(key):
    """Makes a submission's bytes: the release, with other sources for some of its cells, found by
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
    """Makes a task of a submission's bytes."""

    def make(data: bytes, student: str = "ada", secret: bytes = b"secret") -> Task:
        return Task(
            student, NAME, f"{student}.ipynb", data, answer_keys.seeds(secret, key, student)
        )

    return make
