"""The authoring format: what is read, and every mistake refused with file and line."""

import re
from pathlib import Path

import pytest
from course_grading.assign.lesson import Ask, Code, Exercise, Prose
from course_grading.assign.source import SourceError, read

from tests.support.checkout import SAMPLE


def lesson_with(tmp_path: Path, old: str, new: str) -> Path:
    """The sample lesson with one change."""
    text = SAMPLE.read_text()
    assert old in text
    path = tmp_path / "01_sample.md"
    path.write_text(text.replace(old, new, 1))
    return path


def test_parts_in_order():
    lesson = read(SAMPLE)
    assert lesson.name == "01_sample" and lesson.title == "Lesson 1 · A sample"
    assert [type(part) for part in lesson.parts] == [
        Prose,
        Prose,
        Ask,
        Prose,
        Ask,
        Code,
        Exercise,
        Prose,
    ]
    assert lesson.points == 6


def test_question_is_read_whole():
    many, one = read(SAMPLE).questions
    assert many.multiple and not one.multiple
    assert "".join(many.right) == "AC" and "".join(many.wrong) == "BD"
    assert many.options[3].explanation == "Another consonant, with an explanation of two lines."


def test_check_is_split_into_visible_and_hidden():
    (exercise,) = read(SAMPLE).exercises
    assert (
        exercise.function == "double" and exercise.points == 2 and exercise.compares == "tolerance"
    )
    assert "assert double(2)" in exercise.visible and "cases" not in exercise.visible
    assert exercise.hidden.startswith("def cases(rng):") and "tolerance = 1e-9" in exercise.hidden


def test_every_part_knows_its_line():
    text = SAMPLE.read_text().splitlines()
    for part in read(SAMPLE).parts:
        first = text[part.line - 1]
        if isinstance(part, Ask):
            assert first.startswith("```{question} " + part.question.name)
        else:
            source = part.solution if isinstance(part, Exercise) else part.source
            assert first == source.split("\n")[0]


MISTAKES = {
    "two questions with one name": (
        "{question} how-many",
        "{question} which-letters",
        "```{question} which",
        "was used",
    ),
    "a question named as an exercise": (
        "{question} how-many",
        "{question} double",
        "def double",
        "was used",
    ),
    "no right option": ("- [x] four", "- [ ] four", "```{question} how-many", "right"),
    "no wrong option": ("- [ ] three", "- [x] three", "```{question} how-many", "wrong"),
    "no points": (":points: 1\n", "", "```{question} how-many", "points"),
    "points that are no number": (
        ":points: 1\n",
        ":points: many\n",
        "```{question} how-many",
        "points",
    ),
    "points of nothing": (":points: 1\n", ":points: 0\n", "```{question} how-many", "points"),
    "an unknown setting": (
        ":points: 1\n",
        ":points: 1\n:level: 3\n",
        "```{question} how-many",
        ":level:",
    ),
    "no explanation": ("- [ ] three | Count again.", "- [ ] three", "- [ ] three", "explanation"),
    "a malformed option": ("- [x] four", "- [y] four", "- [y] four", "option is written"),
    "text after the options": (
        "- [x] four | As on your fingers.",
        "- [x] four | Yes.\nMore.",
        "More.",
        "after the",
    ),
    "no text": ("How many is two and two?\n", "", "```{question} how-many", "no text"),
    "a bad name": (
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
    "both ways to compare": (
        "tolerance = 1e-9",
        "tolerance = 0\ndef agrees(a, b): ...",
        "assert double",
        "one of them",
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
    "another bullet": ("- [ ] three", "* [ ] three", "* [ ] three", "option is written"),
    "tags that are no list": (":tags: [check]", ":tags: check", None, ":tags: [check]"),
    "nbgrader's own marks": (
        "The end.",
        "### BEGIN HIDDEN TESTS",
        "### BEGIN",
        "made by the build",
    ),
    "a name that another cell has": (
        "{question} how-many",
        "{question} double-code",
        "def double",
        "was used",
    ),
    "a syntax error": (
        "assert double(2) == 4,",
        "assert double(2 == 4,",
        "assert double",
        "not Python",
    ),
    "no title": ("# Lesson 1 · A sample", "A sample", None, "begins with"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_with_file_and_line(mistake, tmp_path):
    old, new, marked, said = MISTAKES[mistake]
    path = lesson_with(tmp_path, old, new)
    with pytest.raises(SourceError) as error:
        read(path)
    message = str(error.value)
    file, line, said_there = re.fullmatch(r"(.*):(\d+): (.*)", message, re.DOTALL).groups()
    assert file == str(path) and said in said_there
    if marked:
        line = int(line)
        assert path.read_text().splitlines()[line - 1].startswith(marked), (line, message)


def test_what_helps_the_cases_is_hidden_with_them(tmp_path):
    path = lesson_with(tmp_path, "def cases(rng):", "# a secret\nsides = [1, 2]\n\ndef cases(rng):")
    (exercise,) = read(path).exercises
    assert "secret" in exercise.hidden and "secret" not in exercise.visible


def test_a_source_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / "01_sample.md"
    path.write_bytes(SAMPLE.read_text().encode("utf-16"))
    with pytest.raises(SourceError, match="UTF-8"):
        read(path)


def test_a_badly_named_file_is_refused(tmp_path):
    path = tmp_path / "sample.md"
    path.write_text(SAMPLE.read_text())
    with pytest.raises(SourceError, match="NN_name"):
        read(path)


def test_authors_can_open_and_save_a_source_through_jupytext(tmp_path):
    """Opening in JupyterLab and saving loses nothing that the build reads."""
    import jupytext

    path = tmp_path / "01_sample.md"
    jupytext.write(jupytext.read(SAMPLE, fmt="md:myst"), path, fmt="md:myst")
    before, after = read(SAMPLE), read(path)
    assert [repr(p).split(", line=")[0] for p in before.parts] == [
        repr(p).split(", line=")[0] for p in after.parts
    ]
