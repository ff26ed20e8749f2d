"""The question cell as a learner meets it, in a real JupyterLab and Notebook 7."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.live_jupyter import Jupyter

pytestmark = pytest.mark.browser

SETUP = 'from course_lib import quiz\nquiz.begin("01_test")'
ANY = 'answer = ""  # @param {type:"string", placeholder:"letters, e.g. AC"}\nquiz.answer("why-not-fc", answer)'
ONE = 'answer = ""  # @param ["", "A", "B", "C"]\nquiz.answer("growth", answer)'
CLASSROOM = 'answer = "D"  # @param {type:"string"}\nquiz.answer("why-not-fc", answer, choose="any of ABCD")'


class Cell:
    """An answer cell on the page: its editor, its boxes and what they say."""

    def __init__(self, page: Page, index: int) -> None:
        self.cell: Locator = page.locator(".jp-Notebook .jp-Cell").nth(index)
        self.editor = self.cell.locator(".cm-content")
        self.status = self.cell.get_by_role("status")
        self.explanations = self.cell.locator(".course-quiz-feedback")
        self.check = self.cell.get_by_role("button", name="Check answer")

    def box(self, letter: str) -> Locator:
        return self.cell.locator(f".course-quiz input[value={letter}]")

    def expect(self, letters: str) -> None:
        """The source and the boxes both hold these letters."""
        expect(self.editor).to_contain_text(f'answer = "{letters}"')
        for letter in "ABC":
            expect(self.box(letter)).to_be_checked(checked=letter in letters)


def open_and_run(page: Page, address: str, count: int) -> None:
    """Open a notebook and run its ``count`` cells one by one."""
    page.goto(address)
    expect(page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "idle")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    expect(cells).to_have_count(count)
    for index in range(count):
        run(page, cells.nth(index))


def run(page: Page, cell: Locator) -> None:
    """Run a cell; again, while JupyterLab drops what it is given before it has connected to the
    kernel.
    """
    for patience in (3_000, 3_000, 3_000, 20_000):
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        with suppress(AssertionError):
            expect(cell.locator(".jp-InputPrompt")).to_have_text(
                re.compile(r"\[\d+\]:"), timeout=patience
            )
            return
    raise AssertionError("the cell does not run")


def save(page: Page, path: Path) -> list[str]:
    """Press Ctrl+S and return the sources on the disk once they have changed."""
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    for _ in range(200):
        page.wait_for_timeout(50)
        with suppress(json.JSONDecodeError):  # half written
            book = json.loads(path.read_text(encoding="utf-8"))
            if path.stat().st_mtime_ns != before:
                return ["".join(cell["source"]) for cell in book["cells"]]
    raise AssertionError("Ctrl+S did not save the notebook")


def test_a_click_rewrites_the_cell_and_reopening_restores_the_boxes(
    page: Page, jupyter: Jupyter
) -> None:
    path = jupyter.notebook("click.ipynb", SETUP, ANY, ONE, CLASSROOM)
    open_and_run(page, f"{jupyter.url}/doc/tree/click.ipynb", 4)
    several, one, classroom = (Cell(page, index) for index in (1, 2, 3))
    expect(several.status).to_have_text("No answer yet. Choose, then check your answer.")

    several.box("C").click()
    several.expect("C")
    # the editor takes edits within half a second for one step of its history
    page.wait_for_timeout(600)
    several.box("A").click()
    several.expect("AC")
    expect(several.status).to_have_text('Recorded: AC. Press "Check answer" to see why.')
    page.keyboard.press("Control+z")
    several.expect("C")
    page.keyboard.press("Control+Shift+z")
    several.expect("AC")

    one.box("C").click()
    one.box("B").click()
    one.expect("B")

    expect(classroom.status).to_have_text("Recorded: D.")
    classroom.box("D").click()
    expect(classroom.status).to_have_text("No answer yet.")
    classroom.box("B").click()
    classroom.expect("B")
    expect(classroom.status).to_have_text("Recorded: B.")
    expect(classroom.check).to_have_count(0)

    sources = save(page, path)
    assert sources == [
        SETUP,
        ANY.replace('""', '"AC"', 1),
        ONE.replace('""', '"B"', 1),
        CLASSROOM.replace('"D"', '"B"', 1),
    ]

    # The saved outputs still show what the kernel saw last (blank); the source is the truth.
    jupyter.end_sessions()
    page.reload()
    several.expect("AC")
    one.expect("B")
    classroom.expect("B")

    # Typing in the editor moves the boxes too.
    several.editor.click()
    page.keyboard.press("Control+Home")
    for _ in range(len('answer = "')):
        page.keyboard.press("ArrowRight")
    page.keyboard.type("b")
    for letter in "ABC":
        expect(several.box(letter)).to_be_checked()


def test_the_keyboard_alone_is_enough(page: Page, jupyter: Jupyter) -> None:
    jupyter.notebook("keys.ipynb", SETUP, ANY, ONE)
    open_and_run(page, f"{jupyter.url}/doc/tree/keys.ipynb", 3)
    several, one = Cell(page, 1), Cell(page, 2)

    several.box("A").focus()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.keyboard.press("x")
    page.keyboard.press("b")
    expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(3)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    several.expect("B")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(several.check).to_be_focused()
    page.keyboard.press("Enter")
    expect(several.status).to_have_text("Recorded: B. 1 of 2 points.")
    expect(several.status).to_be_focused()
    expect(several.explanations.get_by_role("listitem")).to_have_count(4)
    expect(several.explanations).to_contain_text("Right, but you left it out. One for every pair")
    expect(several.explanations).to_contain_text(
        "Wrong, and you left it out. They can: colour is just more inputs."
    )

    # Another try: what was explained belongs to the answer before, so it goes.
    several.box("C").focus()
    page.keyboard.press("Space")
    expect(several.explanations).to_be_hidden()
    page.keyboard.press("Enter")
    expect(several.status).to_have_text("Recorded: BC. 2 of 2 points.")
    expect(several.status).to_be_focused()

    one.box("A").focus()
    page.keyboard.press("Space")
    one.expect("A")
    page.keyboard.press("ArrowRight")
    one.expect("B")
    page.keyboard.press("Enter")
    expect(one.status).to_have_text("Recorded: B. 1 of 1 point.")
    expect(one.cell.get_by_role("radio", name="A: Like side<sup>2</sup> & slowly")).to_have_count(1)
    expect(
        several.cell.get_by_role("checkbox", name="A: They can't use RGB colours.")
    ).to_have_count(1)


def test_notebook_7(page: Page, jupyter: Jupyter) -> None:
    path = jupyter.notebook("seven.ipynb", SETUP, ANY)
    open_and_run(page, f"{jupyter.url}/notebooks/seven.ipynb", 2)
    several = Cell(page, 1)
    several.box("B").click()
    several.box("C").click()
    several.expect("BC")
    page.keyboard.press("d")
    page.keyboard.press("d")
    expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(2)
    page.keyboard.press("Enter")
    expect(several.status).to_have_text("Recorded: BC. 2 of 2 points.")
    expect(several.status).to_be_focused()
    assert save(page, path)[1] == ANY.replace('""', '"BC"', 1)


def test_without_the_extension_the_learner_reads_what_to_type(page: Page, jupyter: Jupyter) -> None:
    jupyter.notebook("plain.ipynb", SETUP, ANY)
    jupyter.configure(**{"pixels-to-diffusion-quiz:plugin": True})
    try:
        open_and_run(page, f"{jupyter.url}/doc/tree/plain.ipynb", 2)
    finally:
        jupyter.configure()
    several = Cell(page, 1)
    hint = 'To record this, write answer = "AC" in the cell above (in Colab: in its form), then run the cell.'
    several.box("A").click()
    several.box("C").click()
    expect(several.status).to_have_text(hint)
    several.check.click()
    expect(several.status).to_have_text(hint)
    expect(several.editor).to_contain_text('answer = ""')
