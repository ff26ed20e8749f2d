"""Lesson 1 as a learner meets it: opened in JupyterLab, answered by clicks, saved, reopened, and
graded.
"""

import shutil
from pathlib import Path

import nbformat
import pytest
from course_grading.assign.build import lessons, release
from course_grading.batch import grade_batch
from playwright.sync_api import Locator, Page, expect
from test_lab import run, save

from tests.support.live_jupyter import Jupyter

pytestmark = pytest.mark.browser

NAME = "01_why_not_fully_connected"
CLICKED = {"why-not-fc": "BC", "doubling-the-side": "C"}


def code_cell(page: Page, text: str) -> Locator:
    return page.locator(".jp-Notebook .jp-CodeCell").filter(has_text=text)


def test_lesson_one_is_answered_saved_reopened_and_graded(
    page: Page, jupyter: Jupyter, root: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(root / "notebooks" / f"{NAME}.ipynb", jupyter.folder))
    page.goto(f"{jupyter.url}/lab/tree/{NAME}.ipynb")
    expect(page.locator(".jp-Notebook h1").first).to_contain_text("Lesson 1")
    run(page, code_cell(page, 'quiz.begin("'))
    for name, letters in CLICKED.items():
        cell = code_cell(page, f'quiz.answer("{name}", answer)')
        cell.scroll_into_view_if_needed()
        run(page, cell)
        for letter in letters:
            cell.locator(f".course-quiz input[value={letter}]").click()
        expect(cell.get_by_role("status")).to_contain_text(f"Recorded: {letters}.")
    save(page, path)

    page.reload()
    for name, letters in CLICKED.items():
        cell = code_cell(page, f'quiz.answer("{name}", answer)')
        cell.scroll_into_view_if_needed()
        for letter in "ABCD":
            box = cell.locator(f".course-quiz input[value={letter}]")
            expect(box).to_be_checked(checked=letter in letters)

    (lesson,) = [lesson for lesson in lessons(root / "solutions") if lesson.name == NAME]
    release([lesson], tmp_path / "workspace")
    handed_in = tmp_path / "class" / "ada" / f"{NAME}.ipynb"
    handed_in.parent.mkdir(parents=True)
    shutil.copy(path, handed_in)
    assert nbformat.read(handed_in, as_version=4)
    batch = grade_batch(tmp_path / "class", tmp_path / "workspace")
    assert batch.problems == []
    points = {question.name: question.points for question in lesson.questions}
    assert {item.item: item.score for item in batch.items if item.score} == {
        name: points[name] for name in CLICKED
    }
