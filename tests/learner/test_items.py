"""The state of each question and exercise, and the message for each that is not correct."""

import json

import pytest

from course_lib.learner import files, record, summary
from course_lib.learner.items import LessonProgress
from course_lib.quiz import question_bank, scoring
from tests.support import learner as work
from tests.support.checkout import LESSONS, ROOT


def lesson(folder) -> LessonProgress:
    (only,) = summary.read(folder).lessons
    return only


def item(folder, name: str):
    return next(entry for entry in lesson(folder).items if entry.name == name)


def test_items_of_an_untouched_lesson_are_open(learner):
    progress = lesson(learner)
    assert [entry.name for entry in progress.items] == ["which-letters", "how-many", "double"]
    assert {entry.state for entry in progress.items} == {"open"}
    assert (progress.points, progress.earned, progress.started) == (6, 0, False)
    assert progress.title == "Lesson 1 · A sample"
    first = progress.items[0]
    assert first.title == "Which of these are vowels?" and first.section == "A section"
    assert first.cell == "which-letters-answer"


def test_notebook_without_a_heading_has_its_lessons_name_as_title(learner, notebook):
    content = json.loads(notebook.read_text(encoding="utf-8"))
    content["cells"][0]["source"] = "Text without a heading."
    notebook.write_text(json.dumps(content), encoding="utf-8")
    assert lesson(learner).title == "01_sample"


@pytest.mark.parametrize(
    "letters, state, earned",
    [("AC", "right", 3), ("c, a", "right", 3), ("A", "partly", 1.5), ("BD", "wrong", 0)],
)
def test_answer_earns_the_score_shown_in_the_notebook(learner, notebook, letters, state, earned):
    work.answer(notebook, "which-letters", letters)
    found = item(learner, "which-letters")
    assert (found.state, found.earned, found.place) == (state, earned, "notebook")
    bank = question_bank.load(work.LESSON, question_bank.FOLDER)["which-letters"]
    assert earned == scoring.grade(letters, bank.right, bank.wrong, bank.points)


@pytest.mark.parametrize(
    "source, words",
    [
        ('answer = "X"', "not one of the letters"),
        ("answer = A", "not a string literal"),
        ("answer = ", "not Python"),
        ("pass", "does not assign answer"),
    ],
)
def test_unreadable_answer_gives_the_reason(learner, notebook, source, words):
    work.edit(notebook, how_many_answer=f'{source}\nquiz.answer("how-many", answer)')
    found = item(learner, "how-many")
    assert found.state == "wrong" and words in found.message
    assert found.earned == 0


def test_states_of_an_exercise_from_stub_to_passing_check(learner, notebook):
    assert item(learner, "double").state == "open"
    work.run_check(notebook, passes=False)
    assert item(learner, "double").state == "open"  # the check was run on the stub
    work.solve(notebook, work.WRONG)
    work.edit(notebook, double={"outputs": [], "execution_count": None})
    found = item(learner, "double")
    assert (found.state, found.pending) == ("written", 2) and "has not been run" in found.message
    work.run_check(notebook, passes=False)
    found = item(learner, "double")
    assert found.state == "wrong" and "Twice two is four." in found.message
    work.run_check(notebook, passes=True)
    found = item(learner, "double")
    assert (found.state, found.earned, found.pending) == ("passing", 0, 2)


def test_check_that_ran_before_the_code_does_not_count(learner, notebook):
    work.solve(notebook, work.RIGHT)
    work.run_check(notebook, passes=True, count=3)
    work.edit(notebook, double_code={"execution_count": 4})
    assert item(learner, "double").state == "written"


def test_stub_without_metadata_is_open(learner, notebook):
    document = work.load(notebook)
    for cell in document["cells"]:
        cell["metadata"].pop("nbgrader", None)
    notebook.write_text(json.dumps(document))
    assert item(learner, "double").state == "open"
    work.solve(notebook, work.RIGHT)
    assert item(learner, "double").state == "written"
    assert item(learner, "double").points == 2


def save_hidden_check_result(
    notebook, points: float, message: str = "In 4 cases the result is wrong."
):
    found = files.read(notebook)
    record.save(
        notebook.parent,
        record.Record(
            exercises={
                work.LESSON: {
                    "double": record.CheckedExercise(
                        files.digest(found, "double"),
                        summary.source_digest(work.LESSON),
                        points,
                        2,
                        message,
                    )
                }
            }
        ),
    )


def test_hidden_checks_count_until_the_code_changes(learner, notebook):
    work.solve(notebook, work.RIGHT)
    save_hidden_check_result(notebook, 2)
    assert (item(learner, "double").state, item(learner, "double").earned) == ("right", 2)
    work.answer(notebook, "how-many", "B")  # another cell
    assert item(learner, "double").state == "right"
    work.solve(notebook, work.WRONG)
    assert item(learner, "double").state == "written"
    save_hidden_check_result(notebook, 0)
    assert "the result is wrong" in item(learner, "double").message


def test_hidden_checks_do_not_count_for_a_different_version_of_the_lesson(learner, notebook):
    work.solve(notebook, work.RIGHT)
    save_hidden_check_result(notebook, 2)
    source = learner.parent / "solutions" / "01_sample.md"
    source.write_text(source.read_text() + "\nMore.\n")
    assert item(learner, "double").state == "written"


def test_helper_in_an_added_cell_belongs_to_the_exercise(notebook):
    work.solve(notebook, "def double(x):\n    return helper(x)")
    before = files.digest(files.read(notebook), "double")
    document = work.load(notebook)
    helper = {
        "cell_type": "code",
        "id": "mine",
        "metadata": {},
        "outputs": [],
        "source": "def helper(x): return 2 * x",
    }
    document["cells"].insert(3, helper)
    notebook.write_text(json.dumps(document))
    with_helper = files.digest(files.read(notebook), "double")
    work.edit(notebook, mine="def helper(x): return 3 * x")
    assert len({before, with_helper, files.digest(files.read(notebook), "double")}) == 3


@pytest.mark.parametrize("name", LESSONS)
def test_released_cells_are_recognised(name):
    """Every released cell is recognised, so that running the lesson does not change the digest."""
    found = files.read(ROOT / "notebooks" / f"{name}.ipynb")
    cells = [cell for cell in found.cells if cell.is_code and not (cell.answers or cell.solves)]
    unknown = [cell.id for cell in cells if not files._is_released(cell)]
    assert not unknown
    assert not any(cell.has_work for cell in found.cells)


@pytest.fixture(scope="module")
def course_progress() -> dict[str, LessonProgress]:
    """Lesson name -> progress of a learner who has done nothing."""
    return {lesson.name: lesson for lesson in summary.read(ROOT / "notebooks").lessons}


@pytest.fixture(scope="module")
def course_notebooks() -> dict:
    """Lesson name -> the course's own notebooks."""
    return files.find(ROOT / "notebooks")[0]


@pytest.mark.parametrize("name", LESSONS)
def test_every_item_of_the_course_is_found_with_its_points_and_its_section(
    name, course_notebooks, course_progress
):
    found, progress = course_notebooks, course_progress[name]
    bank = question_bank.load(name)
    assert name in found and not progress.notes
    assert {entry.name for entry in progress.of("question")} == set(bank)
    assert progress.of("exercise")
    for entry in progress.items:
        assert entry.points > 0 and entry.section and entry.title and entry.cell, entry
        assert len(entry.title) <= 92 and "`" not in entry.title


def test_classroom_release_is_excluded(learner, notebook):
    text = notebook.read_text().replace(
        'quiz.answer(\\"how-many\\", answer)', 'quiz.answer(\\"how-many\\", answer, choose=\\"x\\")'
    )
    notebook.write_text(text)
    progress = summary.read(learner)
    assert "classroom" in progress.notes[0]
    assert progress.lessons[0].file == "" and progress.lessons[0].points == 4


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": [1]}', '{"cells": [{}]}'])
def test_damaged_notebook_is_excluded_with_the_reason(learner, notebook, text):
    notebook.write_text(text)
    progress = summary.read(learner)
    assert "01_sample.ipynb does not count: it can't be read" in progress.notes[0]
