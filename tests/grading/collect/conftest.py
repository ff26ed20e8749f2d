"""The sample lesson's released notebook, blank and filled in."""

import nbformat
import pytest

from tests.support.submissions import NAME


@pytest.fixture
def release(built):
    return nbformat.read(built / "notebooks" / f"{NAME}.ipynb", as_version=4)


@pytest.fixture
def submitted(release):
    """The release with one answer and the exercise filled in."""
    notebook = nbformat.from_dict(release)
    for cell in notebook.cells:
        if cell["id"] == "which-letters-answer":
            cell.source = cell.source.replace('answer = ""', 'answer = "AC"')
        if cell["id"] == "double-code":
            cell.source = "# Exercise: double (2 points)\ndef double(x):\n    return x + x"
    return notebook
