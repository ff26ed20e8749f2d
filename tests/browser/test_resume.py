"""``course lab`` where the learner stopped, and ``course_lib.progress()``, in a real JupyterLab."""

import shutil

import pytest
from playwright.sync_api import Page, expect

from tests.support.checkout import ROOT
from tests.support.live_jupyter import Jupyter
from tests.support.notebook_page import run_cell

pytestmark = pytest.mark.browser

LESSON = "01_why_not_fully_connected"
CELL = "doubling-the-side"
PATIENCE = 120_000  # ms; the page scrolls when JupyterLab and the whole lesson are there


@pytest.fixture
def lesson(page: Page, jupyter: Jupyter) -> str:
    """A lesson and the glossary on the server; returns the notebook's path there."""
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    for name in (f"notebooks/{LESSON}.ipynb", "docs/glossary.md"):
        target = jupyter.folder / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    return f"notebooks/{LESSON}.ipynb"


def test_the_address_of_a_cell_scrolls_to_it(page: Page, jupyter: Jupyter, lesson: str) -> None:
    page.goto(f"{jupyter.url}/lab/tree/{lesson}#cell-id={CELL}-answer")
    cell = page.locator(".jp-CodeCell", has_text=f'quiz.answer("{CELL}"')
    expect(cell).to_be_in_viewport()


def test_the_table_is_shown_and_its_link_leads_to_the_cell(
    page: Page, jupyter: Jupyter, lesson: str
) -> None:
    path = jupyter.folder / lesson
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('answer = \\"\\"', 'answer = \\"B\\"'), encoding="utf-8")
    code = "import course_lib\ncourse_lib.progress()"
    jupyter.notebook("notebooks/mine.ipynb", code)
    page.goto(f"{jupyter.url}/lab/tree/notebooks/mine.ipynb?reset")
    cell = page.locator(".jp-Notebook .jp-CodeCell").first
    run_cell(page, cell)
    expect(cell.get_by_role("table", name="Your progress, as saved in notebooks")).to_be_visible()
    cell.get_by_role("link", name="Lesson 1, “4 · How it grows”").first.click()
    answer = page.locator(".jp-CodeCell.jp-mod-selected", has_text=f'quiz.answer("{CELL}"')
    expect(answer).to_have_count(1)
    path.unlink()


def test_a_link_to_a_term_opens_the_glossary_there(
    page: Page, jupyter: Jupyter, lesson: str
) -> None:
    path = jupyter.folder / lesson
    link = "A [map](../docs/glossary.md#feature-map)."
    text = path.read_text(encoding="utf-8").replace("After this lesson you can", link, 1)
    path.write_text(text, encoding="utf-8")
    page.goto(f"{jupyter.url}/lab/tree/{lesson}?reset")
    page.get_by_role("link", name="map", exact=True).click()
    heading = page.locator(".jp-MarkdownViewer").get_by_role("heading", name="feature map")
    expect(heading).to_be_in_viewport()
    path.unlink()
