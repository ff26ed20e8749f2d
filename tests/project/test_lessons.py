"""Every lesson: its solutions pass its checks, and its release fails only in exercise cells."""

import dataclasses
import json
import re

import nbformat
import pytest
from course_grading.assign import build, cells, variants
from nbclient import NotebookClient

from tests.support.checkout import FINAL_QUIZ, LESSONS, ROOT
from tests.support.lessons import course_lesson

LESSON_NUMBERS = r"lessons? (\d)(?: and (\d))?"  # "lesson 4" and "lessons 4 and 6"


def execute(notebook, folder) -> dict:
    """Run a notebook to its end despite errors; returns cell id -> code cell."""
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, allow_errors=True, resources=resources).execute()
    return {cell["id"]: cell for cell in notebook.cells if cell.cell_type == "code"}


def errors(executed: dict) -> dict[str, str]:
    """Cell id -> error, for the cells that raised one."""
    return {
        id: output["evalue"]
        for id, cell in executed.items()
        for output in cell.outputs
        if output.output_type == "error"
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["grading", "quick"])
@pytest.mark.parametrize("name", LESSONS)
def test_solutions_pass_every_check(name, mode, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MODE", mode)
    lesson = course_lesson(name)
    executed = execute(cells.build_notebook(lesson), tmp_path)
    assert errors(executed) == {}
    for item in [*lesson.questions, *lesson.exercises]:
        outputs = executed[item.name].outputs
        (score,) = [o["data"]["text/plain"] for o in outputs if o.output_type == "execute_result"]
        assert float(score) == item.points, item.name
    for id, cell in executed.items():
        assert not [o["text"] for o in cell.outputs if o.get("name") == "stderr"], id
    if mode != "grading":
        assert_images_have_alt_text(executed)


@pytest.mark.slow
@pytest.mark.parametrize("name", LESSONS)
def test_release_fails_only_at_exercises(name, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MODE", "quick")
    lesson = course_lesson(name)
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    failed = set(errors(execute(notebook, tmp_path)))
    assert failed <= {exercise.name for exercise in lesson.exercises}


def assert_images_have_alt_text(executed: dict) -> None:
    """Check that every image is in HTML with alt text, and that there are at least 4."""
    count = 0
    for id, cell in executed.items():
        for output in cell.outputs:
            data = output.get("data", {})
            assert not [kind for kind in data if kind.startswith("image/")], (
                f"cell {id} shows an image without alt text"
            )
            for image in re.findall(r"<img\b[^>]*>", data.get("text/html", "")):
                assert re.search(r'\balt="[^"]{15,}"', image), (id, image[:80])
                count += 1
    assert count >= 4


def test_committed_notebooks_match_their_sources():
    assert build.check(ROOT).problems == []


@pytest.mark.parametrize("name", LESSONS)
def test_lesson_has_its_questions_exercises_and_sections(name):
    lesson = course_lesson(name)
    assert 9 <= len(lesson.questions) <= 18
    assert any(question.multiple for question in lesson.questions)
    assert lesson.exercises
    text = lesson.path.read_text(encoding="utf-8")
    assert "## Sources" in text
    # a section or a box
    assert "## What the notes say, measured" in text or "> **What the source notes say.**" in text
    time = r"^\*\*Time:\*\* about (\d+) minutes of reading and doing"
    minutes = re.search(time, text, re.MULTILINE)[1]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"notebooks/{name}\.ipynb\) \| {minutes} \|", readme)


def test_question_of_the_source_notes_is_quoted_verbatim():
    lesson = course_lesson("01_why_not_fully_connected")
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


def test_final_check_covers_every_lesson():
    """The check has twenty questions on all lessons, no exercises; a seeded release draws ten."""
    check = course_lesson(FINAL_QUIZ)
    assert len(check.questions) == 20 and not check.exercises
    texts = [json.dumps(dataclasses.asdict(question)) for question in check.questions]
    mentioned = {
        lesson for text in texts for lesson in re.findall(r"lessons? (\d)(?: and (\d))?", text)
    }
    assert {int(number) for pair in mentioned for number in pair if number} == set(range(1, 9))
    for seed in (b"2027", b"2028"):
        drawn = variants.choose(check, seed, "a test").questions
        assert [question.name for question in drawn] == [f"whole-{n}" for n in range(1, 11)]
