"""Every lesson, executed: as solution every check passes, as release it stops nowhere but at the
exercises.
"""

import re

import nbformat
import pytest
from course_grading.assign import cells
from course_grading.assign.source import read
from nbclient import NotebookClient

from tests.support.checkout import LESSONS, ROOT


def execute(notebook, folder):
    NotebookClient(
        notebook, timeout=600, allow_errors=True, resources={"metadata": {"path": str(folder)}}
    ).execute()
    return {cell["id"]: cell for cell in notebook.cells if cell.cell_type == "code"}


def errors(executed):
    return {
        id: o["evalue"] for id, c in executed.items() for o in c.outputs if o.output_type == "error"
    }


def results(cell):
    return [o["data"]["text/plain"] for o in cell.outputs if o.output_type == "execute_result"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["grading", "quick"])
@pytest.mark.parametrize("name", LESSONS)
def test_solution_passes_every_check(name, mode, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MODE", mode)
    lesson = read(ROOT / "solutions" / f"{name}.md")
    executed = execute(cells.notebook(lesson), tmp_path)
    assert errors(executed) == {}
    for item in [*lesson.questions, *lesson.exercises]:
        (earned,) = results(executed[item.name])
        assert float(earned) == item.points, item.name
    stderr = {
        id: o["text"] for id, c in executed.items() for o in c.outputs if o.get("name") == "stderr"
    }
    assert stderr == {}
    if mode != "grading":
        pictures_are_described(executed)


@pytest.mark.slow
@pytest.mark.parametrize("name", LESSONS)
def test_release_stops_nowhere_but_at_exercises(name, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MODE", "quick")
    lesson = read(ROOT / "solutions" / f"{name}.md")
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    assert set(errors(execute(notebook, tmp_path))) <= {
        exercise.name for exercise in lesson.exercises
    }


def pictures_are_described(executed):
    """No output is a bare picture: each stands in HTML with alt text."""
    shown = 0
    for id, cell in executed.items():
        for output in cell.outputs:
            data = output.get("data", {})
            assert not [kind for kind in data if kind.startswith("image/")], (
                f"cell {id} shows a picture without alt text"
            )
            for image in re.findall(r"<img\b[^>]*>", data.get("text/html", "")):
                assert re.search(r'\balt="[^"]{15,}"', image), (id, image[:80])
                shown += 1
    assert shown >= 4


def test_committed_notebooks_are_what_the_sources_say():
    from course_grading.assign.build import check

    assert check(ROOT).problems == []


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_asks_enough(name):
    lesson = read(ROOT / "solutions" / f"{name}.md")
    assert 5 <= len(lesson.questions) <= 8
    assert sum(question.multiple for question in lesson.questions) >= 2
    assert lesson.exercises
    text = lesson.path.read_text()
    for heading in ("## What the notes say, measured", "## Sources"):
        assert heading in text
    minutes = re.search(
        r"^\*\*Time:\*\* about (\d+) minutes of reading and doing", text, re.MULTILINE
    )[1]
    assert re.search(
        rf"notebooks/{name}\.ipynb\) \| {minutes} \|", (ROOT / "README.md").read_text()
    )


def test_the_notes_question_stands_word_for_word():
    lesson = read(ROOT / "solutions" / "01_why_not_fully_connected.md")
    (question,) = [question for question in lesson.questions if question.name == "why-not-fc"]
    assert (
        question.text
        == "Why are fully connected layers unsuitable for processing images? (multiple answers)"
    )
    assert [option.text for option in question.options] == [
        "Fully connected layers can't use colors.",
        "Fully connected layers can't capture relationships between neighboring pixels.",
        "Fully connected layers treat all pixels equally, ignoring spatial structure.",
        "Fully connected layers are not computationally expensive for high-resolution images.",
    ]
    assert "".join(question.right) == "BC"
