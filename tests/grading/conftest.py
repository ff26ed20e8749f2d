"""The answer key of the sample course, and factories of submissions and grading tasks."""

import nbformat
import pytest
from course_grading.autograde import answer_keys, processes
from course_grading.autograde.grade import GradingTask

from tests.support.same_process import SameProcess, close_sandbox

NAME = "01_sample"


@pytest.fixture(scope="session")
def _same_process():
    yield SameProcess
    close_sandbox()


@pytest.fixture
def same_process(_same_process, monkeypatch):
    """Runs grade in this process, with one sandbox for all tests of a session."""
    monkeypatch.setattr(processes, "pool", _same_process)


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
    """Makes a submission's bytes: the release, with sources replaced by cell id."""

    def make(**sources: str) -> bytes:
        notebook = nbformat.reads(key.release, as_version=4)
        for cell in notebook.cells:
            cell.source = sources.get(cell["id"].replace("-", "_"), cell.source)
        return nbformat.writes(notebook).encode()

    return make


@pytest.fixture
def task(key):
    """Makes a grading task from a submission's bytes."""

    def make(data: bytes, student: str = "ada", secret: bytes = b"secret") -> GradingTask:
        seeds = answer_keys.seeds(secret, key, student)
        return GradingTask(student, NAME, f"{student}.ipynb", data, seeds)

    return make
