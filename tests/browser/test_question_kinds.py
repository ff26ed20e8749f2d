"""Number, ordering and hotspot questions in a real JupyterLab, in self-study and in a classroom
release; and *Run All* skips cells that need an unwritten exercise.
"""

import json
import re

import pytest
from course_grading.assign.build import generate_release
from course_grading.assign.source import read_lesson
from playwright.sync_api import Locator, Page, expect

from tests.support.live_jupyter import Jupyter
from tests.support.notebook_page import open_notebook, save
from tests.support.question_kinds import (
    CHOICE,
    EXERCISE,
    NUMBER,
    ORDER,
    POINT,
    write_lesson,
)

pytestmark = pytest.mark.browser

AFTER = """
```{code-cell} python
doubled = double(21)
```

```{code-cell} python
print("twice", doubled)
```

```{code-cell} python
print("the", "end")
```
"""


@pytest.fixture
def page(shared_page: Page) -> Page:
    return shared_page


class Kinds:
    """The lesson with every kind of question, opened; all its cells have run."""

    def __init__(self, page: Page, jupyter: Jupyter, folder, graded: bool) -> None:
        parts = (NUMBER, ORDER, POINT, CHOICE, EXERCISE, AFTER)
        lesson = read_lesson(write_lesson(folder, *parts))
        text = generate_release([lesson], folder / "workspace", graded=graded, gradebook=False)
        self.page = page
        self.path = jupyter.folder / f"kinds-{graded}.ipynb"
        self.path.write_text(text[lesson.name], encoding="utf-8")
        self.lesson = lesson
        self.panel = open_notebook(page, f"{jupyter.url}/doc/tree", self.path.name)
        page.locator(".lm-MenuBar-itemLabel", has_text="Run").click()
        page.get_by_text("Run All Cells", exact=True).click()
        end = self.panel.locator(".jp-CodeCell").last
        expect(end.locator(".jp-OutputArea-output")).to_have_text("the end")

    def answer(self, name: str) -> Locator:
        cells = self.panel.locator(".jp-Notebook .jp-CodeCell")
        return cells.filter(has_text=f'quiz.answer("{name}"')

    def expect_literal(self, name: str, literal: str) -> None:
        editor = self.answer(name).locator(".cm-content")
        expect(editor).to_contain_text(f'answer = "{literal}"')

    def sources(self) -> dict[str, str]:
        """Question name -> saved answer literal."""
        sources = save(self.page, self.path)
        literal = re.compile(r'^answer = "(.*?)".*\nquiz\.answer\("([a-z-]+)"')
        found = (literal.match(source) for source in sources)
        return {match[2]: match[1] for match in found if match}


def click_image(cell: Locator, x: float, y: float, size: tuple[int, int] = (320, 180)) -> None:
    """Click on the figure at image coordinates (x, y), whatever its size on the screen."""
    image = cell.locator(".course-quiz-figure img")
    image.scroll_into_view_if_needed()
    box = image.bounding_box()
    position = {"x": (x + 0.5) * box["width"] / size[0], "y": (y + 0.5) * box["height"] / size[1]}
    image.click(position=position)


@pytest.mark.extended
def test_all_kinds_and_run_all_in_self_study(page: Page, jupyter: Jupyter, tmp_path) -> None:
    page.set_viewport_size({"width": 520, "height": 900})  # the figure is smaller than its pixels
    kinds = Kinds(page, jupyter, tmp_path, graded=False)

    number = kinds.answer("layer-size")
    number.scroll_into_view_if_needed()
    field = number.get_by_role("textbox", name="Your number in MB")
    field.fill("100 MB")
    kinds.expect_literal("layer-size", "100 MB")
    field.press("Enter")
    expect(number.get_by_role("status")).to_have_text("Recorded: 100 MB. 0 of 2 points.")
    expect(number.locator(".course-quiz-feedback")).to_contain_text("That is the number of weights")
    expect(number.get_by_text("400 MB")).to_be_hidden()
    number.get_by_text("Show the right value").click()
    expect(number.get_by_text("400 MB")).to_be_visible()
    field = number.get_by_role("textbox", name="Your number in MB")
    field.fill("0,4")
    field.press("Enter")
    expect(number.get_by_role("status")).to_contain_text(
        "write 0.4 if the comma is a decimal point"
    )
    field = number.get_by_role("textbox", name="Your number in MB")
    field.fill("404")
    field.press("Enter")
    expect(number.get_by_role("status")).to_have_text("Recorded: 404 MB. 2 of 2 points.")

    order = kinds.answer("training-step")
    right = kinds.lesson.questions[1].right
    for letter in right[1] + right[0] + right[2:]:
        order.locator(f"input[value={letter}]").click()
    kinds.expect_literal("training-step", right[1] + right[0] + right[2:])
    order.get_by_role("button", name="Check answer").click()
    expect(order.get_by_role("status")).to_contain_text("1.33 of 2 points.")
    expect(order.locator(".course-quiz-feedback")).to_contain_text("5 of 6 pairs of steps")

    point = kinds.answer("where-is-the-corner")
    click_image(point, 205, 145)
    expect(point.get_by_label("x")).to_have_value(re.compile("20[3-7]"))
    point.get_by_role("button", name="Check answer").click()
    expect(point.locator(".course-quiz-feedback")).to_contain_text("the lower right corner")
    click_image(point, 101, 41)
    point.locator(".course-quiz-figure").focus()
    page.keyboard.press("ArrowLeft")
    point.get_by_role("button", name="Check answer").click()
    expect(point.get_by_role("status")).to_contain_text("1 of 1 point.")
    expect(point.locator(".course-quiz-area")).to_be_visible()

    choice = kinds.answer("why-share")
    expect(choice.locator("mjx-container").first).to_be_visible()  # a formula among the options
    answers = kinds.sources()
    assert answers["layer-size"] == "404"
    x, y = (int(part) for part in answers["where-is-the-corner"].split(", "))
    assert abs(x - 99) <= 3 and abs(y - 41) <= 2
    assert "No answer yet" not in outputs(kinds, "quiz.recorded")
    assert_cells_that_need_the_exercise_were_skipped(kinds)


def assert_cells_that_need_the_exercise_were_skipped(kinds: Kinds) -> None:
    """Check that the cells that need the unwritten exercise were skipped without a traceback."""
    assert "Passed over: `double` is not written yet" in outputs(kinds, "double(2) == 4")
    assert "Passed over: `double` is not written yet" in outputs(kinds, "doubled = double(21)")
    needs = "Passed over: it needs `doubled`, for which `double` is not written yet"
    assert needs in outputs(kinds, 'print("twice"')
    assert "Traceback" not in outputs(kinds, "double")


@pytest.mark.extended
def test_classroom_release_shows_option_texts_and_figure(
    page: Page, jupyter: Jupyter, tmp_path
) -> None:
    page.set_viewport_size({"width": 1100, "height": 900})
    kinds = Kinds(page, jupyter, tmp_path, graded=True)
    order, point, choice = (
        kinds.answer(name) for name in ("training-step", "where-is-the-corner", "why-share")
    )
    choice.scroll_into_view_if_needed()
    expect(choice.locator(".course-quiz-text").nth(1)).to_have_text(
        "The output becomes smaller than the input."
    )
    expect(choice.locator(".course-quiz-text em")).to_have_text("anywhere")
    expect(choice.locator("mjx-container").first).to_be_visible()
    expect(order.locator(".course-quiz-text code").first).to_be_visible()
    click_image(point, 101, 41)
    expect(point.get_by_role("img")).to_have_attribute("alt", re.compile("A white square"))
    expect(point.get_by_role("status")).to_contain_text("Recorded: 10")
    expect(point.locator(".course-quiz button")).to_have_count(0)
    choice.locator("input[value=A]").click()
    kinds.expect_literal("why-share", "A")
    x, y = (int(part) for part in kinds.sources()["where-is-the-corner"].split(", "))
    assert abs(x - 101) <= 1 and abs(y - 41) <= 1


def outputs(kinds: Kinds, call: str) -> str:
    """All outputs, as JSON, of the saved cells whose source contains ``call``."""
    cells = json.loads(kinds.path.read_text(encoding="utf-8"))["cells"]
    return json.dumps([cell["outputs"] for cell in cells if call in "".join(cell["source"])])
