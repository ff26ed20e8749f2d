"""A submission whose questions differ from its release is detected."""

import nbformat
import pytest
from course_grading.collect import other_variant


@pytest.fixture
def notebook(workspace):
    """The released notebook of the sample lesson."""
    path = workspace / "release" / "01_sample" / "01_sample.ipynb"
    return nbformat.read(path, as_version=4)


def test_questions_of_the_release_are_recognised(notebook, key):
    for cell in notebook.cells:
        if cell["id"] == "how-many-question":
            cell.source += "  \n\nMy note: two and two."
    assert other_variant.describe(nbformat.writes(notebook).encode(), key.release) == ""


@pytest.mark.parametrize("metadata", ["kept", "lost", "in Colab"])
def test_different_options_are_detected(notebook, key, metadata):
    for cell in notebook.cells:
        if cell["id"] == "how-many-question":
            cell.source = cell.source.replace("four", "five")
            if metadata != "kept":
                cell.metadata = {"id": cell["id"]} if metadata == "in Colab" else {}
            if metadata == "in Colab":
                cell["id"] = "a1b2c3"
    data = nbformat.writes(notebook).encode()
    assert other_variant.differing_questions(data, key.release) == ["how-many"]
    assert "these questions differ from" in other_variant.describe(data, key.release)


def test_deleted_questions_and_damaged_files_are_ignored(notebook, key):
    notebook.cells = [cell for cell in notebook.cells if "question" not in cell["id"]]
    data = nbformat.writes(notebook).encode()
    for submitted in (data, b"{", b"[" * 100_000):
        assert other_variant.differing_questions(submitted, key.release) == []
