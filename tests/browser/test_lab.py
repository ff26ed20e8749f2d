"""Answer cells in a real JupyterLab and Notebook 7."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.live_jupyter import Jupyter
from tests.support.notebook_page import close_notebook, open_notebook, run_cell, save

pytestmark = pytest.mark.browser

SETUP = 'from course_lib import quiz\nquiz.begin("01_test")'
MULTIPLE = """\
answer = ""  # @param {type:"string", placeholder:"letters, e.g. AC"}
quiz.answer("why-not-fc", answer)"""
SINGLE = """\
answer = ""  # @param ["", "A", "B", "C"]
quiz.answer("growth", answer)"""
CLASSROOM = """\
answer = "D"  # @param {type:"string"}
quiz.answer("why-not-fc", answer, choose="any of ABCD")"""


class AnswerCell:
    """An answer cell on the page: its editor, checkboxes, status and feedback."""

    def __init__(self, page: Page, index: int) -> None:
        self.cell: Locator = page.locator(".jp-Notebook .jp-Cell").nth(index)
        self.editor = self.cell.locator(".cm-content")
        self.status = self.cell.get_by_role("status")
        self.explanations = self.cell.locator(".course-quiz-feedback")
        self.check = self.cell.get_by_role("button", name="Check answer")

    def box(self, letter: str) -> Locator:
        return self.cell.locator(f".course-quiz input[value={letter}]")

    def expect(self, letters: str) -> None:
        """Expect exactly these letters in the source and among the checked boxes."""
        expect(self.editor).to_contain_text(f'answer = "{letters}"')
        for letter in "ABC":
            expect(self.box(letter)).to_be_checked(checked=letter in letters)


def open_and_run(page: Page, address: str, count: int) -> None:
    """Open a notebook and run its ``count`` cells one by one."""
    page.goto(address)
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    expect(cells).to_have_count(count)
    for index in range(count):
        run_cell(page, cells.nth(index))


def test_clicks_rewrite_the_cell_and_reopening_restores_the_boxes(
    page: Page, jupyter: Jupyter
) -> None:
    path = jupyter.notebook("click.ipynb", SETUP, MULTIPLE, SINGLE, CLASSROOM)
    open_and_run(page, f"{jupyter.url}/doc/tree/click.ipynb", 4)
    multiple, single, classroom = (AnswerCell(page, index) for index in (1, 2, 3))
    expect(multiple.status).to_have_text("No answer yet. Choose, then check your answer.")

    multiple.box("C").click()
    multiple.expect("C")
    # the editor merges edits within half a second into one undo step
    page.wait_for_timeout(600)
    multiple.box("A").click()
    multiple.expect("AC")
    expect(multiple.status).to_have_text('Recorded: AC. Press "Check answer" for feedback.')
    page.keyboard.press("Control+z")
    multiple.expect("C")
    page.keyboard.press("Control+Shift+z")
    multiple.expect("AC")

    single.box("C").click()
    single.box("B").click()
    single.expect("B")

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
        MULTIPLE.replace('""', '"AC"', 1),
        SINGLE.replace('""', '"B"', 1),
        CLASSROOM.replace('"D"', '"B"', 1),
    ]

    # The saved outputs have the kernel's last state (blank), but the source is authoritative.
    close_notebook(page)
    jupyter.end_sessions()
    open_notebook(page, f"{jupyter.url}/doc/tree", path.name)
    multiple.expect("AC")
    single.expect("B")
    classroom.expect("B")

    # Typing in the editor updates the boxes too.
    multiple.editor.click()
    page.keyboard.press("Control+Home")
    for _ in range(len('answer = "')):
        page.keyboard.press("ArrowRight")
    page.keyboard.type("b")
    for letter in "ABC":
        expect(multiple.box(letter)).to_be_checked()


@pytest.mark.slow
def test_keyboard_only(page: Page, jupyter: Jupyter) -> None:
    jupyter.notebook("keys.ipynb", SETUP, MULTIPLE, SINGLE)
    open_and_run(page, f"{jupyter.url}/doc/tree/keys.ipynb", 3)
    multiple, single = AnswerCell(page, 1), AnswerCell(page, 2)

    multiple.box("A").focus()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.keyboard.press("x")
    page.keyboard.press("b")
    expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(3)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    multiple.expect("B")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(multiple.check).to_be_focused()
    page.keyboard.press("Enter")
    expect(multiple.status).to_have_text("Recorded: B. 1 of 2 points.")
    expect(multiple.status).to_be_focused()
    expect(multiple.explanations).to_have_count(4)
    expect(multiple.explanations.nth(2)).to_contain_text("You missed it")
    expect(multiple.explanations.nth(2)).to_contain_text("One for every pair")
    expect(multiple.explanations.nth(0)).to_contain_text("You left it out")
    expect(multiple.explanations.nth(0)).to_contain_text("They can: colour is just more inputs.")

    # A changed answer hides the feedback on the previous one.
    multiple.box("C").focus()
    page.keyboard.press("Space")
    expect(multiple.explanations.first).to_be_hidden()
    page.keyboard.press("Enter")
    expect(multiple.status).to_have_text("Recorded: BC. 2 of 2 points.")
    expect(multiple.status).to_be_focused()

    single.box("A").focus()
    page.keyboard.press("Space")
    single.expect("A")
    page.keyboard.press("ArrowRight")
    single.expect("B")
    page.keyboard.press("Enter")
    expect(single.status).to_have_text("Recorded: B. 1 of 1 point.")
    expect(single.cell.get_by_role("radio", name="A Like side<sup>2</sup> & slowly")).to_have_count(
        1
    )
    expect(
        multiple.cell.get_by_role("checkbox", name="A They can't use RGB colours.")
    ).to_have_count(1)


@pytest.mark.slow
def test_notebook_7(page: Page, jupyter: Jupyter) -> None:
    path = jupyter.notebook("seven.ipynb", SETUP, MULTIPLE)
    open_and_run(page, f"{jupyter.url}/notebooks/seven.ipynb", 2)
    multiple = AnswerCell(page, 1)
    multiple.box("B").click()
    multiple.box("C").click()
    multiple.expect("BC")
    page.keyboard.press("d")
    page.keyboard.press("d")
    expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(2)
    page.keyboard.press("Enter")
    expect(multiple.status).to_have_text("Recorded: BC. 2 of 2 points.")
    expect(multiple.status).to_be_focused()
    assert save(page, path)[1] == MULTIPLE.replace('""', '"BC"', 1)


@pytest.mark.slow
def test_without_the_extension_the_status_says_what_to_type(page: Page, jupyter: Jupyter) -> None:
    jupyter.notebook("plain.ipynb", SETUP, MULTIPLE)
    jupyter.configure(**{"pixels-to-diffusion-quiz:plugin": True})
    try:
        open_and_run(page, f"{jupyter.url}/doc/tree/plain.ipynb", 2)
    finally:
        jupyter.configure()
    multiple = AnswerCell(page, 1)
    hint = (
        'To record this, write answer = "AC" in the cell above (in Colab: in its form), '
        "then run the cell."
    )
    multiple.box("A").click()
    multiple.box("C").click()
    expect(multiple.status).to_have_text(hint)
    multiple.check.click()
    expect(multiple.status).to_have_text(hint)
    expect(multiple.editor).to_contain_text('answer = ""')
