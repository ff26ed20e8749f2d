"""Number, ordering and hotspot questions are graded from the literal in the cell, like choices."""

import json

import nbformat
import pytest
from course_grading.assign.build import generate_release
from course_grading.assign.editions import Editions
from course_grading.assign.source import read_lesson
from course_grading.autograde import answer_keys
from course_grading.autograde.grade import GradingTask, grade_submission
from course_grading.collect.other_variant import differing_questions
from course_grading.reports import item_analysis

from tests.support.question_kinds import CHOICE, NUMBER, ORDER, POINT, write_lesson

PARTS = (NUMBER, ORDER, POINT, CHOICE)


def release(folder, *parts, graded=True):
    """Build a lesson without exercises; return the lesson and its answer key."""
    lesson = read_lesson(write_lesson(folder, *(parts or PARTS)))
    generate_release([lesson], folder / "workspace", graded=graded, gradebook=False)
    return lesson, answer_keys.read(folder / "workspace", lesson.name)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return release(tmp_path_factory.mktemp("kinds"))


def submit(key, answers: dict[str, str]) -> bytes:
    """The bytes of the released notebook with these answers."""
    notebook = nbformat.reads(key.release, as_version=4)
    for cell in notebook.cells:
        name = cell["id"].removesuffix("-answer")
        if name in answers and name != cell["id"]:
            literal = json.dumps(answers[name], ensure_ascii=False)
            cell.source = cell.source.replace('answer = ""', f"answer = {literal}", 1)
    return nbformat.writes(notebook).encode()


def grade(key, answers: dict[str, str]) -> dict:
    """Question name -> result."""
    data = submit(key, answers)
    task = GradingTask("ada", key.lesson, "a.ipynb", data, seeds={})
    return {item.name: item for item in grade_submission(task, key).items}


def test_answer_key_equals_the_source(released) -> None:
    lesson, key = released
    for question, known in zip(lesson.questions, key.questions, strict=True):
        assert known.key == question.key
    assert [known.choose for known in key.questions] == [
        *("number in MB", "order of ABCD", "point in 320x180", ""),
    ]


@pytest.mark.parametrize("graded", [False, True])
def test_correct_answers_earn_all_points(tmp_path, graded: bool) -> None:
    lesson, key = release(tmp_path, graded=graded)
    answers = {question.name: question.example_answer for question in lesson.questions}
    items = grade(key, answers)
    assert {item.score / item.points for item in items.values()} == {1}
    assert items["layer-size"].message == "Recorded: 400 MB."
    assert not any(item.manual for item in items.values())


@pytest.mark.parametrize(
    ("name", "answer", "fraction", "manual"),
    [
        ("layer-size", "4e2 MB", 1, False),
        ("layer-size", "100", 0, False),
        ("layer-size", "400,0", 0, True),
        ("layer-size", "0.4 GB", 0, True),
        ("layer-size", "about 400", 0, True),
        ("layer-size", "", 0, False),
        ("training-step", "ABC", 0, False),
        ("training-step", "AABC", 0, False),
        ("training-step", "first the loss", 0, True),
        ("where-is-the-corner", "(101; 41)", 1, False),
        ("where-is-the-corner", "200, 140", 0, False),
        ("where-is-the-corner", "999, 140", 0, True),
        ("where-is-the-corner", "top left", 0, True),
    ],
)
def test_wrong_answers_earn_nothing_and_unreadable_ones_need_manual_grading(
    released, name: str, answer: str, fraction: float, manual: bool
) -> None:
    item = grade(released[1], {name: answer})[name]
    assert (item.score / item.points, item.manual) == (fraction, manual)
    assert manual == ("Your instructor will look at it." in item.message)


def test_order_with_one_swapped_pair_earns_partial_credit(released) -> None:
    lesson, key = released
    right = lesson.questions[1].right
    swapped = right[1] + right[0] + right[2:]
    item = grade(key, {"training-step": swapped})["training-step"]
    assert item.score == pytest.approx(item.points * (2 * 5 / 6 - 1))
    assert grade(key, {"training-step": right[::-1]})["training-step"].score == 0


def test_relabelled_steps_are_graded_with_the_letters_in_the_submission(released, tmp_path) -> None:
    lesson, key = released
    data = submit(key, {"training-step": "ABCD"})
    notebook = nbformat.reads(data.decode(), as_version=4)
    cell = next(cell for cell in notebook.cells if cell["id"] == "training-step-question")
    head, *steps = cell.source.split("\n- **")
    texts = [step.split(" · ", 1)[1] for step in steps]
    in_order = [texts["ABCD".index(letter)] for letter in lesson.questions[1].right]
    rows = (f"\n- **{letter}** · {text}" for letter, text in zip("ABCD", in_order, strict=True))
    cell.source = head + "".join(rows)
    own = Editions(tmp_path, key).match(nbformat.writes(notebook).encode())
    (known,) = (question for question in own.key.questions if question.name == "training-step")
    assert known.right == "ABCD" and known.choose == "order of ABCD"
    assert "in another order" in own.notes[0]


def test_number_with_unknown_question_text_needs_manual_grading(released, tmp_path) -> None:
    _, key = released
    data = submit(key, {}).replace(b"100 x 100", b"300 x 300")
    match = Editions(tmp_path, key).match(data)
    assert match.manual == ("layer-size",) and "a text that no kept release has" in match.notes[0]
    assert differing_questions(data, key.release) == ["layer-size"]
    assert differing_questions(submit(key, {"layer-size": "3"}), key.release) == []


def test_item_analysis_counts_only_choice_questions(released) -> None:
    lesson, _ = released
    path = lesson.path.parent.parent / "workspace/source" / lesson.name / f"{lesson.name}.ipynb"
    sources = {
        cell["metadata"].get("nbgrader", {}).get("grade_id"): "".join(cell["source"])
        for cell in json.loads(path.read_text())["cells"]
    }
    found = item_analysis.parse_questions({k: v for k, v in sources.items() if k})
    assert list(found) == ["why-share"]
