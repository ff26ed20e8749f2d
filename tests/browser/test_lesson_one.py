"""Lesson 1 end to end: answered by clicks in JupyterLab, saved, reopened, submitted and graded."""

import shutil
from pathlib import Path

import nbformat
import pytest
from course_grading.assign.build import generate_release
from course_grading.batch import grade_batch
from playwright.sync_api import Locator, Page, expect

from tests.support.lessons import course_lesson
from tests.support.live_jupyter import Jupyter
from tests.support.notebook_page import run_cell, save

pytestmark = pytest.mark.browser

NAME = "01_why_not_fully_connected"
ANSWERS = {"bytes-of-a-colour-layer": "A", "why-not-fc": "BC"}


def code_cell(page: Page, text: str) -> Locator:
    return page.locator(".jp-Notebook .jp-CodeCell").filter(has_text=text)


@pytest.mark.slow  # test_lab.py clicks and reopens, tests/grading grades
def test_lesson_one_end_to_end(page: Page, jupyter: Jupyter, root: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(root / "notebooks" / f"{NAME}.ipynb", jupyter.folder))
    page.goto(f"{jupyter.url}/lab/tree/{NAME}.ipynb")
    expect(page.locator(".jp-Notebook h1").first).to_contain_text("Lesson 1")
    run_cell(page, page.locator(".jp-Notebook .jp-CodeCell").first)  # the set-up, folded
    for name, letters in ANSWERS.items():
        cell = code_cell(page, f'quiz.answer("{name}", answer)')
        cell.scroll_into_view_if_needed()
        run_cell(page, cell)
        for letter in letters:
            cell.locator(f".course-quiz input[value={letter}]").click()
        expect(cell.get_by_role("status")).to_contain_text(f"Recorded: {letters}.")
    save(page, path)

    page.reload()
    for name, letters in ANSWERS.items():
        cell = code_cell(page, f'quiz.answer("{name}", answer)')
        cell.scroll_into_view_if_needed()
        for letter in "ABCD":
            box = cell.locator(f".course-quiz input[value={letter}]")
            expect(box).to_be_checked(checked=letter in letters)

    lesson = course_lesson(NAME)
    generate_release([lesson], tmp_path / "workspace")
    submission = tmp_path / "class" / "ada" / f"{NAME}.ipynb"
    submission.parent.mkdir(parents=True)
    shutil.copy(path, submission)
    assert nbformat.read(submission, as_version=4)
    batch = grade_batch(tmp_path / "class", tmp_path / "workspace")
    assert batch.problems == []
    points = {question.name: question.points for question in lesson.questions}
    assert {item.name: item.score for item in batch.items if item.score} == {
        name: points[name] for name in ANSWERS
    }
