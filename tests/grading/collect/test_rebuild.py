"""Rebuilding takes the learner's work, and nothing else, from a notebook changed in any way."""

import time

import nbformat
import pytest
from course_grading.collect import rebuild as rebuilding
from course_grading.collect.rebuild import rebuild
from course_grading.sandbox.guest.cell_code import kernel_names, parse_cell
from nbformat.v4 import new_code_cell

from tests.support.submissions import sources_by_id


def rebuilt_sources(release, *, added=(), **edits):
    """The rebuilt sources by id, after a learner wrote ``edits`` into cells and appended the cells
    ``added``.
    """
    submitted = nbformat.from_dict(release)
    for cell in submitted.cells:
        cell.source = edits.get(cell["id"].replace("-", "_"), cell.source)
    submitted.cells += [new_code_cell(source) for source in added]
    notebook, missing = rebuild(submitted, release)
    assert missing == []
    return sources_by_id(notebook)


def double_of_three(source):
    names = dict(kernel_names())
    exec(compile(parse_cell(source), "<cell>", "exec"), names)
    return names["double"](3)


def test_only_answers_and_exercises_are_taken(release, submitted):
    submitted.cells.insert(0, new_code_cell("import os"))
    for cell in submitted.cells:
        if cell.get("id") == "double":
            cell.source = "pass"
    notebook, missing = rebuild(submitted, release)
    assert missing == [] and "import os" not in sources_by_id(notebook).values()
    assert sources_by_id(notebook)["double"] == sources_by_id(release)["double"]
    assert 'answer = "AC"' in sources_by_id(notebook)["which-letters-answer"]
    assert "return x + x" in sources_by_id(notebook)["double-code"]


def remove_nbgrader_metadata(notebook):
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)


def remove_metadata_and_ids(notebook):
    """Only sources are left, as some tools save: then the marker comments identify the cells."""
    for number, cell in enumerate(notebook.cells):
        cell.metadata.clear()
        cell["id"] = f"cell-{number}"


def reverse_cells(notebook):
    notebook.cells.reverse()


@pytest.mark.parametrize(
    "damage", [remove_nbgrader_metadata, remove_metadata_and_ids, reverse_cells]
)
def test_damaged_notebook_is_rebuilt(damage, release, submitted):
    expected, _ = rebuild(submitted, release)
    damage(submitted)
    notebook, missing = rebuild(submitted, release)
    assert sources_by_id(notebook) == sources_by_id(expected) and missing == []


def test_deleted_cell_is_missing_and_blank(release, submitted):
    submitted.cells = [cell for cell in submitted.cells if cell["id"] != "double-code"]
    notebook, missing = rebuild(submitted, release)
    assert missing == ["double-code"]
    assert sources_by_id(notebook)["double-code"] == sources_by_id(release)["double-code"]


def test_answer_without_its_quiz_call_counts(release, submitted):
    for cell in submitted.cells:
        if cell["id"] == "which-letters-answer":
            cell.source = 'answer = "AC"'
    notebook, _ = rebuild(submitted, release)
    assert sources_by_id(notebook)["which-letters-answer"].startswith('answer = "AC"  # @param')
    assert 'quiz.answer("which-letters"' in sources_by_id(notebook)["which-letters-answer"]


def test_edited_copy_is_preferred_to_a_blank_one(release, submitted):
    blank = [cell for cell in nbformat.from_dict(release).cells if cell["id"] == "double-code"]
    submitted.cells[:0] = blank
    notebook, _ = rebuild(submitted, release)
    assert "return x + x" in sources_by_id(notebook)["double-code"]


def test_definitions_in_added_cells_that_the_exercise_needs_are_kept(release):
    code = "# Exercise: double (2 points)\ndef double(x):\n    return twice(x)"
    added = ["half = 1 / 2", "import operator as o", "def twice(x):\n    return o.add(x, x)"]
    source = rebuilt_sources(release, double_code=code, added=added)["double-code"]
    assert double_of_three(source) == 6 and "half" not in source


def test_magics_do_not_break_an_exercise(release):
    code = (
        "%matplotlib inline\n!ls\n# Exercise: double (2 points)\n"
        "def double(x):\n    %time y = x\n    return x + x"
    )
    assert double_of_three(rebuilt_sources(release, double_code=code)["double-code"]) == 6


def test_exercise_in_an_added_cell_counts(release):
    source = rebuilt_sources(release, added=["def double(x):\n    return x + x"])["double-code"]
    assert double_of_three(source) == 6


def test_check_merged_into_an_exercise_is_removed(release):
    code = "# Exercise: double (2 points)\ndef double(x):\n    return x + x\n\n"
    code += "# Check: double (run this cell)\nassert 0"
    assert double_of_three(rebuilt_sources(release, double_code=code)["double-code"]) == 6


def test_answer_is_the_value_passed_to_its_quiz_call(release):
    text = 'answer = "AC"\nquiz.answer("which-letters", answer)\nanswer = "B"'
    source = rebuilt_sources(release, which_letters_answer=text)["which-letters-answer"]
    assert source.startswith('answer = "AC"  # @param')


@pytest.mark.parametrize(
    "text", ['answer = "A" + "C"', 'quiz.answer("which-letters", "AC")', "AC", 'answer = ["A"]']
)
def test_answer_without_a_literal_is_left_for_manual_grading(text, release):
    assert rebuilt_sources(release, which_letters_answer=text)["which-letters-answer"] == text


def test_blank_answers_equal_the_release(release):
    blank = rebuilt_sources(
        release, which_letters_answer='quiz.answer("which-letters", answer)', how_many_answer=""
    )
    assert blank == sources_by_id(release)


def test_long_line_is_read_quickly(release, submitted):
    """A regular expression with quadratic backtracking needs hours for a megabyte."""
    for cell in submitted.cells:
        if cell["id"] == "which-letters-answer":
            cell.source = 'quiz.answer("which-letters", ' + "answer " * 140_000
    start = time.process_time()
    rebuild(submitted, release)
    assert time.process_time() - start < 10


# ---- code that a learner added ----


CODE = "# Exercise: double (2 points)\ndef double(x):\n    return {}"


@pytest.mark.parametrize(
    ("body", "place", "text"),
    [
        ("math.floor(2) * x", "double", "import math"),  # the check's cell
        ("math.floor(TWO) * x", "double", "import math\nTWO = 2.5\nTWO = TWO + missing()"),
        ("twice(x)", "double", "def twice(x):\n    return x + x\n\nplot(twice(3))"),
        ("floor(2) * x", "imports", "from math import *"),
        ("math.floor(2) * x", "imports", "import math\nraise ValueError"),
    ],
)
def test_definitions_in_the_lessons_own_cells_are_kept(release, body, place, text):
    """Other statements of these cells are dropped."""
    submitted = nbformat.from_dict(release)
    for cell in submitted.cells:
        if cell["id"] == "double-code":
            cell.source = CODE.format(body)
        elif cell["id"] == place or (place == "imports" and cell.source == "import numpy as np"):
            cell.source += f"\n{text}"
    notebook, missing = rebuild(submitted, release)
    source = sources_by_id(notebook)["double-code"]
    assert missing == [] and double_of_three(source) == 6
    assert "plot" not in source and "raise" not in source


@pytest.mark.parametrize(
    "cell",
    [
        "def twice(x):\n    return x + x\ntwice?",
        "files = !ls\ndef twice(x):\n    return x + x",
        "%%time\ndef twice(x):\n    return x + x",
        "from operator import *\ndef twice(x):\n    return add(x, x)",
        ">>> def twice(x):\n...     return x + x",
        "this line is not Python\ndef twice(x):\n    return x + x",
        "def twice(x):\n    return x + x\nshow(twice(undefined))",
    ],
)
def test_functions_of_a_cell_with_an_invalid_line_are_defined(release, cell):
    rebuilt = rebuilt_sources(release, double_code=CODE.format("twice(x)"), added=[cell])
    assert double_of_three(rebuilt["double-code"]) == 6


def test_added_cells_do_not_override_names_of_the_lesson_or_the_exercise(release):
    added = ["import math as np", "def double(x):\n    return 0", "np.pi = 3"]
    code = CODE.format("x + x")
    assert rebuilt_sources(release, double_code=code, added=added)["double-code"] == code


def test_magics_in_the_exercise_and_in_a_helper(release):
    code = "%matplotlib inline\n" + CODE.format("twice(x)")
    added = ["def twice(x):\n    %time y = x + x\n    return y"]
    rebuilt = rebuilt_sources(release, double_code=code, added=added)["double-code"]
    assert double_of_three(rebuilt) == 6


@pytest.mark.parametrize(
    "cell",
    [
        "\n".join(f"a{n} = a{n - 1} + b{n}" for n in range(1, 900)),
        "a1 = " + " + ".join(f"b{n}" for n in range(2_000)),
        "a1 = " + "lambda: " * 90 + "b1",
        "\n".join(f"!ls {n}" for n in range(60)),
    ],
    ids=["chain", "deep", "scopes", "magics"],
)
@pytest.mark.extended
def test_many_added_cells_are_read_quickly(cell, release, monkeypatch):
    """Without the time limit, the cells with magics alone would take more than a minute."""
    monkeypatch.setattr(rebuilding, "_REBUILDING_TIME_LIMIT", 1.0)
    added = [f"{cell}\nc{number} = 1" for number in range(300)]
    start = time.process_time()
    rebuilt_sources(release, double_code=CODE.format("a899 + a1"), added=added)
    assert time.process_time() - start < 30
