"""The authoring format is parsed completely, and every mistake is reported with file and line."""

import re
from pathlib import Path

import pytest
from course_grading.assign.cells import build_notebook
from course_grading.assign.lesson import CodeCell, Exercise, Lesson, MarkdownCell, QuestionPart
from course_grading.assign.source import read_lesson
from course_grading.errors import SourceError

from tests.support.checkout import SAMPLE


def lesson_with(tmp_path: Path, old: str, new: str) -> Path:
    """The sample lesson with one change."""
    text = SAMPLE.read_text()
    assert old in text
    path = tmp_path / "01_sample.md"
    path.write_text(text.replace(old, new, 1))
    return path


def test_parts_in_order():
    lesson = read_lesson(SAMPLE)
    assert lesson.name == "01_sample" and lesson.title == "Lesson 1 · A sample"
    assert [type(part) for part in lesson.parts] == [
        MarkdownCell,
        MarkdownCell,
        QuestionPart,
        MarkdownCell,
        QuestionPart,
        CodeCell,
        Exercise,
        MarkdownCell,
    ]
    assert lesson.points == 6


def test_questions_are_parsed_completely():
    multiple_answer, single_choice = read_lesson(SAMPLE).questions
    assert multiple_answer.multiple and not single_choice.multiple
    assert multiple_answer.right == "AC" and multiple_answer.wrong == "BD"
    explanation = multiple_answer.options[3].explanation
    assert explanation == "Another consonant, with an explanation of two lines."


def test_check_is_split_into_visible_and_hidden():
    (exercise,) = read_lesson(SAMPLE).exercises
    assert (
        exercise.function == "double"
        and exercise.points == 2
        and exercise.comparison == "tolerance"
    )
    assert "assert double(2)" in exercise.visible_check and "cases" not in exercise.visible_check
    assert (
        exercise.hidden_tests.startswith("def cases(rng):")
        and "tolerance = 1e-9" in exercise.hidden_tests
    )


def test_every_part_has_its_line_number():
    text = SAMPLE.read_text().splitlines()
    for part in read_lesson(SAMPLE).parts:
        first = text[part.line - 1]
        if isinstance(part, QuestionPart):
            assert first.startswith("```{question} " + part.question.name)
        else:
            source = part.solution if isinstance(part, Exercise) else part.source
            assert first == source.split("\n")[0]


MISTAKES = {
    "two questions with one name": (
        "{question} how-many",
        "{question} which-letters",
        "```{question} which",
        "is used by line",
    ),
    "a question named as an exercise": (
        "{question} how-many",
        "{question} double",
        "def double",
        "is used by line",
    ),
    "no right option": ("- [x] four", "- [ ] four", "```{question} how-many", "right"),
    "no wrong option": ("- [ ] three", "- [x] three", "```{question} how-many", "wrong"),
    "no points": (":points: 1\n", "", "```{question} how-many", "points"),
    "points that are not a number": (
        ":points: 1\n",
        ":points: many\n",
        "```{question} how-many",
        "points",
    ),
    "zero points": (":points: 1\n", ":points: 0\n", "```{question} how-many", "points"),
    "an unknown setting": (
        ":points: 1\n",
        ":points: 1\n:level: 3\n",
        "```{question} how-many",
        ":level:",
    ),
    "no explanation": ("- [ ] three | Count again.", "- [ ] three", "- [ ] three", "explanation"),
    "a malformed option": ("- [x] four", "- [y] four", "- [y] four", "write an option as"),
    "text after the options": (
        "- [x] four | As on your fingers.",
        "- [x] four | Yes.\nMore.",
        "More.",
        "after the",
    ),
    "no text": ("How many is two and two?\n", "", "```{question} how-many", "no text"),
    "an invalid name": (
        "{question} how-many",
        "{question} How_Many",
        "```{question} How_Many",
        "name of a-z",
    ),
    "an exercise without a name": (":name: double\n", "", "def double", "name"),
    "an exercise without points": (
        ":name: double\n:points: 2",
        ":name: double",
        "def double",
        "points",
    ),
    "an exercise without a check": (":tags: [check]\n", "", "def double", "no check"),
    "a check without an exercise": (
        ":tags: [exercise]\n:name: double\n:points: 2\n",
        "",
        "def double",
        "outside",
    ),
    "an exercise without a function": (
        "def double(x):",
        "class double:",
        "class double",
        "no function",
    ),
    "an exercise without a solution": (
        "    ### END SOLUTION\n",
        "",
        "def double",
        "### END SOLUTION",
    ),
    "no cases": ("def cases(rng)", "def other(rng)", "assert double", "def cases"),
    "no tolerance": ("tolerance = 1e-9", "", "assert double", "tolerance"),
    "both comparisons": (
        "tolerance = 1e-9",
        "tolerance = 0\ndef agrees(a, b): ...",
        "assert double",
        "exactly one of them",
    ),
    "no visible assert": (
        'assert double(2) == 4, "Twice two is four: multiply by 2."',
        "",
        None,
        "visible",
    ),
    "an assert without a message": (
        ', "Twice two is four: multiply by 2."',
        "",
        "assert double",
        "message",
    ),
    "a comment that would be visible": (
        "def cases(rng)",
        "assert True\ndef cases(rng)",
        "assert True",
        "message",
    ),
    "an assert after the cases": (
        "tolerance = 1e-9",
        'tolerance = 0\nassert 1, "x"',
        None,
        "before 'def cases'",
    ),
    "a mistyped directive": (
        "```{question} how-many",
        "```{questions} how-many",
        "```{questions}",
        "{question} name",
    ),
    "two bars in an option": (
        "three | Count again.",
        "P(A | B) | Count again.",
        "- [ ] P(A",
        "one ' | '",
    ),
    "another bullet": ("- [ ] three", "* [ ] three", "* [ ] three", "write an option as"),
    "tags that are not a list": (":tags: [check]", ":tags: check", None, ":tags: [check]"),
    "nbgrader's own markers": (
        "The end.",
        "### BEGIN HIDDEN TESTS",
        "### BEGIN",
        "adds nbgrader's markers",
    ),
    "the set-up cell's name": (
        "{question} how-many",
        "{question} setup",
        "```{question} setup",
        "is used by the set-up cell",
    ),
    "a syntax error": (
        "assert double(2) == 4,",
        "assert double(2 == 4,",
        "assert double",
        "invalid Python",
    ),
    "no title": ("# Lesson 1 · A sample", "A sample", None, "begins with"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_reported_with_file_and_line(mistake, tmp_path):
    old, new, row_start, expected = MISTAKES[mistake]
    path = lesson_with(tmp_path, old, new)
    with pytest.raises(SourceError) as error:
        read_lesson(path)
    file, line, message = re.fullmatch(r"(.*):(\d+): (.*)", str(error.value), re.DOTALL).groups()
    assert file == str(path) and expected in message
    if row_start:
        row = path.read_text().splitlines()[int(line) - 1]
        assert row.startswith(row_start), (line, message)


def test_helpers_of_the_cases_are_hidden(tmp_path):
    path = lesson_with(tmp_path, "def cases(rng):", "# a secret\nsides = [1, 2]\n\ndef cases(rng):")
    (exercise,) = read_lesson(path).exercises
    assert "secret" in exercise.hidden_tests and "secret" not in exercise.visible_check


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{question} which-letters", "{question} bits-of-a-code"),
        ("{question} how-many", "{question} the-answer"),
        ("{question} how-many", "{question} double-code"),  # the cell of the exercise below
        (":name: double", ":name: double-code"),
    ],
)
def test_names_of_cells_are_refused(tmp_path, old, new):
    """A question named like an exercise's cell, EXERCISE-code, would be taken for it."""
    with pytest.raises(SourceError, match=f"can't be named '{new.split()[-1]}'"):
        read_lesson(lesson_with(tmp_path, old, new))


def test_source_must_be_utf_8(tmp_path):
    path = tmp_path / "01_sample.md"
    path.write_bytes(SAMPLE.read_text().encode("utf-16"))
    with pytest.raises(SourceError, match="UTF-8"):
        read_lesson(path)


def test_source_must_be_named_like_a_lesson(tmp_path):
    path = tmp_path / "sample.md"
    path.write_text(SAMPLE.read_text())
    with pytest.raises(SourceError, match="NN_name"):
        read_lesson(path)


def test_source_survives_opening_and_saving_with_jupytext(tmp_path):
    """The lesson stays the same when an author opens and saves its source in JupyterLab."""
    import jupytext

    path = tmp_path / "01_sample.md"
    jupytext.write(jupytext.read(SAMPLE, fmt="md:myst"), path, fmt="md:myst")
    original = read_lesson(SAMPLE)
    saved = read_lesson(path)
    without_lines = [
        [repr(part).split(", line=")[0] for part in lesson.parts] for lesson in (original, saved)
    ]
    assert without_lines[0] == without_lines[1]


@pytest.mark.parametrize(
    ("source", "folded"),
    [
        ("from course_lib.figures import show\n\nshow(image, alt='A', caption='B')", True),
        ("show(a, alt='A')\nshow(b, alt='B')", True),
        ("import torch", False),
        ("edges = sobel(image)\nshow(edges, alt='A')", False),
        ("print(show(image, alt='A'))", False),
        ("%matplotlib inline\nshow(image, alt='A')", False),
    ],
)
def test_only_cells_that_compute_nothing_are_folded(source, folded):
    cell = CodeCell(source, line=1)
    assert cell.only_shows_figures() is folded
    parts = [MarkdownCell("# Title", line=1), cell]
    notebook = build_notebook(Lesson("01_folded", "Title", SAMPLE.with_name("01_folded.md"), parts))
    assert notebook.cells[-1].metadata.get("jupyter", {}).get("source_hidden", False) is folded
