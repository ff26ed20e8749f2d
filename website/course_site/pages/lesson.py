"""An executed lesson as a notebook that Sphinx can read.

Solutions and hidden checks are removed: an exercise shows the stub from nbgrader, as in learners'
notebooks.
"""

import html
import re

from course_grading.assign.lesson import CodeCell, Exercise, Lesson, MarkdownCell, QuestionPart
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_site.pages import glossary, outputs, questions
from course_site.pages.outputs import Figures

_TIME = re.compile(r"^\*\*Time:\*\* about (\d+) minutes", re.MULTILINE)
_FOLDED_FIGURE = {
    "tags": ["hide-input"],
    "mystnb": {
        "code_prompt_show": "Show the code of this figure",
        "code_prompt_hide": "Hide the code of this figure",
    },
}


def make_page(lesson: Lesson, executed: NotebookNode, figures: Figures, notebook: str) -> str:
    """The text of the lesson's notebook for Sphinx.

    Args:
        lesson: the lesson, read from its source.
        executed: what :func:`course_site.execute.execute` returned for it.
        figures: of this page.
        notebook: the address of "do it in the notebook", as seen from the page.

    Raises:
        SiteError: if an output shows a picture without alt text.
    """
    import nbformat

    results = {(c.metadata.course.part, c.metadata.course.kind): c for c in executed.cells}
    cells: list[NotebookNode] = []
    asked = 0
    for number, part in enumerate(lesson.parts):
        match part:
            case MarkdownCell():
                cells.append(new_markdown_cell(glossary.relink(part.source)))
            case CodeCell():
                shown = outputs.clean(results[number, "code"], figures)
                folded = _FOLDED_FIGURE if part.only_shows_figures() else {}
                cells.append(new_code_cell(part.source, outputs=shown, metadata=folded))
            case QuestionPart():
                question = part.question
                asked += 1
                form = questions.render(
                    lesson.name, question.name, question, _to_html(question.text), asked
                )
                cells.append(_html_cell(form))
            case Exercise():
                cells += _exercise_cells(part, notebook)
    for index, cell in enumerate(cells):
        cell.id = f"cell-{index}"  # nbformat draws ids at random: builds would differ
    page = new_notebook(cells=cells)
    page.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    return nbformat.writes(page)


def minutes(lesson: Lesson) -> int | None:
    """How long the lesson takes, from its own line "Time"; None if it has none."""
    for part in lesson.parts:
        if isinstance(part, MarkdownCell) and (match := _TIME.search(part.source)):
            return int(match[1])
    return None


def stub(exercise: Exercise) -> str:
    """An exercise's code as learners get it, with nbgrader's stub in place of the solution."""
    from nbgrader.preprocessors import ClearSolutions

    metadata = {
        "nbgrader": {
            "schema_version": 3,
            "grade_id": exercise.name,
            "solution": True,
            "grade": False,
            "locked": False,
            "task": False,
        }
    }
    cell = new_code_cell(exercise.solution, metadata=metadata)
    cleared, _ = ClearSolutions().preprocess_cell(cell, {"language": "python"}, 0)
    return cleared.source


def _exercise_cells(exercise: Exercise, notebook: str) -> list[NotebookNode]:
    points = f"{exercise.points:g} point{'' if exercise.points == 1 else 's'}"
    heading = (
        f'<div class="course-exercise" id="exercise-{html.escape(exercise.name)}">'
        f"<p><strong>Exercise</strong> · {points}</p>"
        f'<p><a href="{html.escape(notebook)}">Do it in the notebook</a></p></div>'
    )
    check = {
        "tags": ["hide-input"],
        "mystnb": {"code_prompt_show": "Show the checks", "code_prompt_hide": "Hide the checks"},
    }
    return [
        _html_cell(heading),
        new_code_cell(stub(exercise), metadata={"tags": ["exercise"]}),
        new_code_cell(exercise.visible_check, metadata=check),
    ]


def _html_cell(text: str) -> NotebookNode:
    """HTML as a cell output, which is not changed; in Markdown a blank line would end the block."""
    output = new_output("display_data", {"text/html": text})
    # MyST-NB drops cells without source; "remove-input" hides this one.
    return new_code_cell("...", outputs=[output], metadata={"tags": ["remove-input"]})


def _to_html(text: str) -> str:
    """A question's text as HTML; :mod:`course_site.formulas` will find its formulas."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    dollarmath_plugin(markdown, renderer=_formula)
    return markdown.render(text)


def _formula(tex: str, options: dict) -> str:
    left, right = (r"\[", r"\]") if options.get("display_mode") else (r"\(", r"\)")
    return f"{left}{html.escape(tex)}{right}"
