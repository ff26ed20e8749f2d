"""axe finds nothing serious in JupyterLab's rendering of texts, answer cells, figures, widgets."""

import pytest
from course_grading.assign.build import generate_release
from course_grading.assign.source import read_lesson
from playwright.sync_api import Page, expect

from tests.support.live_jupyter import Jupyter
from tests.support.notebook_page import open_notebook
from tests.support.question_kinds import CHOICE, EXERCISE, NUMBER, ORDER, POINT, write_lesson
from tests.website.axe import SCRIPT, TAGS

pytestmark = [pytest.mark.browser, pytest.mark.extended]

OUTPUTS = """
## A table, a figure and a widget

| size | weights |
| --- | ---: |
| 3 x 3 | 9 |

```{code-cell} python
import matplotlib.pyplot as plt
from course_lib.figures import show

figure, axes = plt.subplots()
axes.plot([1, 2])
show(figure, alt="A rising line.", caption="It rises.")
```

```{code-cell} python
import ipywidgets as widgets
from course_lib.widgets import control_row, selection_slider, show_widget

side, photo = selection_slider(options=[8, 16], description="side"), widgets.Dropdown(
    options=["camera", "coins"], description="photo"
)
show_widget(control_row(widgets.Play(max=3), side, photo), b"", alt="Nothing.", caption="It is.")
```

```{code-cell} python
import course_lib

course_lib.progress()
```

```{code-cell} python
print("the", "end")
```
"""
# Only what the course puts into the notebook, not JupyterLab's own page around it.
RENDERED = [".jp-MarkdownOutput", ".jp-OutputArea-output"]
RUN = """async ([include, tags]) => {
  const found = await axe.run({ include: include.map((one) => [one]) },
    { preload: false, resultTypes: ["violations"], runOnly: { type: "tag", values: tags } });
  return found.violations.filter((rule) => ["serious", "critical"].includes(rule.impact))
    .flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 200)}`));
}"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_no_serious_violations(shared_page: Page, jupyter: Jupyter, tmp_path, theme: str) -> None:
    page = shared_page
    lesson = read_lesson(write_lesson(tmp_path, NUMBER, ORDER, POINT, CHOICE, EXERCISE, OUTPUTS))
    text = generate_release([lesson], tmp_path / "workspace", graded=False, gradebook=False)
    path = jupyter.folder / f"axe-{theme}.ipynb"
    path.write_text(text[lesson.name], encoding="utf-8")
    panel = open_notebook(page, f"{jupyter.url}/doc/tree", path.name)
    page.evaluate(
        "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
        f"JupyterLab {theme}",
    )
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    end = panel.locator(".jp-CodeCell").last
    expect(end.locator(".jp-OutputArea-output")).to_have_text("the end")
    panel.locator(".course-quiz input[value=A]").first.click()
    panel.get_by_role("button", name="Check answer").last.click()  # its feedback is checked too
    page.wait_for_timeout(1000)
    page.evaluate(SCRIPT.read_text(encoding="utf-8") + "; undefined")
    assert page.evaluate(RUN, [RENDERED, TAGS]) == []
