"""Resuming at a cell, and the links of ``course_lib.progress()``, in a real JupyterLab."""

import shutil
from collections.abc import Iterator

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from playwright.sync_api import Page, expect

from course_lib.learner import files
from course_lib.quiz import question_bank
from tests.support.checkout import ROOT
from tests.support.live_jupyter import Jupyter
from tests.support.notebook_page import close_notebook, open_notebook, run_cell

pytestmark = pytest.mark.browser

LESSON = files.lessons()[0]
# The lesson's first two single-choice questions; the second is answered wrongly.
BANK = question_bank.load(LESSON)
UNANSWERED, WRONG = [name for name, question in BANK.items() if question.kind == "one"][:2]


@pytest.fixture
def page(shared_page: Page) -> Page:
    return shared_page


@pytest.fixture(scope="module")
def lesson(jupyter: Jupyter) -> Iterator[str]:
    """The path of a small lesson's notebook. Its last question has a wrong answer; the text above
    links to the glossary.
    """
    glossary = jupyter.folder / "docs" / "glossary.md"
    glossary.parent.mkdir(exist_ok=True)
    shutil.copy(ROOT / "docs" / "glossary.md", glossary)
    page_of_text = "A line.\n\n" * 30
    (jupyter.folder / "notebooks").mkdir(exist_ok=True)
    path = jupyter.notebook(f"notebooks/{LESSON}.ipynb", f'quiz.begin("{LESSON}")')
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, new_markdown_cell("# Lesson 1 · A small one"))
    link = "A [map](../docs/glossary.md#feature-map)."
    for name, title in ((UNANSWERED, "1 · Why"), (WRONG, "2 · How it grows")):
        text = f"{link}\n\n{page_of_text}" if name == WRONG else page_of_text
        notebook.cells += [new_markdown_cell(f"## {title}"), new_markdown_cell(text)]
        literal = BANK[name].wrong[0] if name == WRONG else ""
        source = f'answer = "{literal}"\nquiz.answer("{name}", answer)'
        notebook.cells.append(new_code_cell(source, id=f"{name}-answer"))
    notebook.cells += [new_markdown_cell(page_of_text), new_code_cell("1")]
    nbformat.write(notebook, path)
    yield f"notebooks/{LESSON}.ipynb"
    path.unlink()


@pytest.mark.extended
def test_url_with_a_cell_id_scrolls_to_the_cell(page: Page, jupyter: Jupyter, lesson: str) -> None:
    page.goto(f"{jupyter.url}/lab/tree/{lesson}#cell-id={WRONG}-answer")
    cell = page.locator(".jp-CodeCell", has_text=f'quiz.answer("{WRONG}"')
    expect(cell).to_be_in_viewport()


@pytest.mark.extended
def test_progress_table_links_to_the_cell_and_its_term_to_the_glossary(
    page: Page, jupyter: Jupyter, lesson: str
) -> None:
    if page.url != "about:blank":
        close_notebook(page)
    code = "import course_lib\ncourse_lib.progress()"
    mine = jupyter.notebook("notebooks/mine.ipynb", code)
    panel = open_notebook(page, f"{jupyter.url}/lab/tree", "notebooks/mine.ipynb")
    cell = panel.locator(".jp-CodeCell").first
    run_cell(page, cell)
    expect(cell.get_by_role("table", name="Your progress, as saved in notebooks")).to_be_visible()
    cell.get_by_role("link", name="Lesson 1, “2 · How it grows”").first.click()
    answer = page.locator(".jp-CodeCell.jp-mod-selected", has_text=f'quiz.answer("{WRONG}"')
    expect(answer).to_have_count(1)
    mine.unlink()

    page.get_by_role("link", name="map", exact=True).click()
    heading = page.locator(".jp-MarkdownViewer").get_by_role("heading", name="feature map")
    expect(heading).to_be_in_viewport()
