"""Evaluates the claims of a lesson's text in a new run of the lesson."""

from collections.abc import Sequence
from pathlib import Path

import nbformat
from course_grading.assign import cells
from nbclient import NotebookClient

from tests.support.lessons import course_lesson


def false_claims(lesson: str, claims: Sequence[str], folder: Path, setup: str = "") -> list[str]:
    """Run a lesson with its solutions, in the mode of COURSE_MODE; the claims that are not true.

    Args:
        lesson: its name.
        claims: Python expressions that use the lesson's names.
        folder: the working directory.
        setup: code that defines further names, after the lesson's last cell.
    """
    notebook = cells.build_notebook(course_lesson(lesson))
    evaluation = "".join(f"print(bool({claim}))\n" for claim in claims)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in (setup, evaluation)]
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=1200, resources=resources).execute()
    output = "".join(each.get("text", "") for each in notebook.cells[-1].outputs)
    results = output.split()
    return [claim for claim, result in zip(claims, results, strict=True) if result != "True"]
