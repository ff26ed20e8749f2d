"""The cells of a built lesson: what each part of a source becomes, with nbgrader's metadata.

Cell ids are derived from names and contents, so builds are reproducible byte for byte.
"""

import base64
import hashlib
from collections import Counter

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_grading.assign import glossary
from course_grading.assign.lesson import CodeCell, Exercise, Lesson, MarkdownCell, QuestionPart
from course_lib.quiz.answers import Key
from course_lib.quiz.question import Question

BEGIN_HIDDEN = "### BEGIN HIDDEN TESTS"
END_HIDDEN = "### END HIDDEN TESTS"

_SETUP = """\
# @title Run this cell first. In Colab it installs the course; elsewhere it only imports it.
import importlib.util, os, subprocess, sys

if importlib.util.find_spec("course_lib") is None:
    source = os.environ.get("COURSE_SOURCE", "{address}")
    if not source:
        sys.exit(
            "The course is not installed in this kernel. On your computer, choose the kernel of "
            'its .venv. In Colab, set os.environ["COURSE_SOURCE"] to its repository '
            "(git+https://...) or to a wheel, and run this cell again."
        )
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source], check=True)
from course_lib import quiz

quiz.pass_over()
{begin}"""


def build_notebook(
    lesson: Lesson, *, graded: bool = False, repository: str = "", colab_badge: bool = True
):
    """The instructor's notebook of a lesson, with answers and hidden tests.

    Args:
        lesson: the lesson, read from its source.
        graded: build the classroom version, which records answers and gives no feedback.
        repository: the repository's public URL, for Colab; empty if there is none yet.
        colab_badge: link the public notebook, if the repository is on GitHub. Not for a seeded
            release: its questions differ from the public ones.
    """
    cells = _CellList()
    terms = glossary.read_beside(lesson.path.parent)
    question_number = 0
    for index, part in enumerate(lesson.parts):
        match part:
            case MarkdownCell():
                source = glossary.add_definitions(part.source, terms)
                on_github = repository.startswith("https://github.com/")
                if index == 0 and on_github and colab_badge:
                    source += "\n\n" + _colab_badge(lesson.name, repository)
                cells.add_markdown(source)
            case CodeCell() if part.only_shows_figures():
                cells.add_code(part.source, cellView="form", jupyter={"source_hidden": True})
            case CodeCell():
                cells.add_code(part.source)
            case QuestionPart():
                question_number += 1
                _add_question(cells, part.question, question_number, graded)
            case Exercise():
                _add_exercise(cells, part)
        if index == 0:
            begin = "" if graded else f'quiz.begin("{lesson.name}")'
            address = f"git+{repository}" if repository else ""
            setup = _SETUP.format(address=address, begin=begin).rstrip()
            cells.add_code(setup, id="setup", cellView="form", jupyter={"source_hidden": True})
    notebook = new_notebook(cells=cells.cells)
    notebook.metadata = {
        "course": {"lesson": lesson.name},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat_minor = 5
    return notebook


def digest(source: str) -> str:
    """The id of a cell without a name; it changes when the cell is edited."""
    return hashlib.sha256(source.encode()).hexdigest()[:12]


class _CellList:
    """Collects cells and gives each its id: its name, or a digest of its source."""

    def __init__(self):
        self.cells = []
        self._id_counts = Counter()

    def _unique_id(self, source: str, id: str | None) -> str:
        name = id or digest(source)
        self._id_counts[name] += 1
        count = self._id_counts[name]
        return name if count == 1 else f"{name}-{count}"

    def add_markdown(self, source: str, id: str | None = None, **metadata) -> None:
        id = self._unique_id(source, id)
        self.cells.append(new_markdown_cell(source, id=id, metadata=metadata))

    def add_code(self, source: str, id: str | None = None, **metadata) -> None:
        id = self._unique_id(source, id)
        self.cells.append(new_code_cell(source, id=id, metadata=metadata))


def _nbgrader(grade_id: str, *, solution: bool = False, points: float | None = None) -> dict:
    metadata = {
        "schema_version": 3,
        "grade_id": grade_id,
        "solution": solution,
        "locked": not solution,
        "task": False,
        "grade": points is not None,
    }
    return metadata if points is None else {**metadata, "points": points}


def _add_question(cells: _CellList, question: Question, number: int, graded: bool) -> None:
    """A locked cell with the text, an answer cell, and a check cell with the hidden test."""
    name, key = question.name, question.key
    format = key.format
    options = "\n".join(
        f"- **{letter}** · {option.text}"
        for letter, option in zip(question.letters, question.options, strict=False)
    )
    figure = question.figure
    image = (
        f"![{figure.alt}](data:image/png;base64,{base64.b64encode(figure.png).decode()})"
        if figure
        else ""
    )
    heading = f"**Question {number}** · {_format_points(question.points)} · {_describe_format(key)}"
    cells.add_markdown(
        "\n\n".join(part for part in (heading, question.text, image, options) if part),
        id=f"{name}-question",
        nbgrader=_nbgrader(f"{name}-question"),
    )
    if format.kind == "one":
        form = "[" + ", ".join(f'"{letter}"' for letter in ["", *format.letters]) + "]"
    else:
        form = f'{{type:"string", placeholder:"{format.example}"}}'
    choose = f', choose="{format.to_text()}"' if graded else ""
    cells.add_code(
        f'answer = "{question.example_answer}"  # @param {form}\n'
        f'quiz.answer("{name}", answer{choose})',
        id=f"{name}-answer",
        cellView="form",
        nbgrader=_nbgrader(f"{name}-answer", solution=True),
    )
    rule = ""
    if question.kind != "choice":
        rule = f', choose="{format.to_text()}"'
        rule += f', tolerance="{key.tolerance}"' if key.tolerance else ""
    cells.add_code(
        f"# @title Question {number} is graded here: nothing to do in this cell\n"
        f'quiz.recorded("{name}")\n'
        f"{BEGIN_HIDDEN}\n"
        f'quiz.score("{name}", right="{key.right}", wrong="{key.wrong}", '
        f"points={question.points}{rule})\n"
        f"{END_HIDDEN}",
        id=name,
        jupyter={"source_hidden": True},
        cellView="form",
        nbgrader=_nbgrader(name, points=question.points),
    )


def _describe_format(key: Key) -> str:
    """The form of the answer in words, for the heading of a question."""
    format = key.format
    if format.kind == "number":
        unit = f" in {format.unit}" if format.unit else ""
        exact = key.tolerance in ("", "0")
        return f"a number{unit}" + ("" if exact else f", to within {key.tolerance}")
    words = {
        "any": "one or more answers",
        "one": "one answer",
        "order": "put the steps in order",
        "point": "point at the place in the figure",
    }
    return words[format.kind]


def _add_exercise(cells: _CellList, exercise: Exercise) -> None:
    name = exercise.name
    # Without the solution markers: nbgrader would clear the reference between them too.
    markers = ("### BEGIN SOLUTION", "### END SOLUTION")
    lines = exercise.solution.split("\n")
    reference = "\n".join(line for line in lines if line.strip() not in markers)
    formerly = f"formerly={exercise.formerly!r}, " if exercise.formerly else ""
    cells.add_code(
        f"# Exercise: {name} ({_format_points(exercise.points)})\n{exercise.solution}",
        id=f"{name}-code",
        nbgrader=_nbgrader(f"{name}-code", solution=True),
    )
    cells.add_code(
        f"# Check: {name} (run this cell)\n{exercise.visible_check}\n"
        f'quiz.passed("{name}")\n'
        f"{BEGIN_HIDDEN}\n"
        f"{exercise.hidden_tests}\n\n"
        "from course_grading.autograde.compare import score_cases\n\n"
        f"score_cases({exercise.function!r}, reference={reference!r}, cases=cases, "
        f"{exercise.comparison}={exercise.comparison}, points={exercise.points}, {formerly}"
        "names=globals())\n"
        f"{END_HIDDEN}",
        id=name,
        nbgrader=_nbgrader(name, points=exercise.points),
    )


def _format_points(points: float) -> str:
    return f"{points:g} point{'' if points == 1 else 's'}"


def _colab_badge(name: str, repository: str) -> str:
    page = repository.removeprefix("https://github.com/").rstrip("/").removesuffix(".git")
    colab = "https://colab.research.google.com"
    link = f"{colab}/github/{page}/blob/main/notebooks/{name}.ipynb"
    return f"[![Open this lesson in Colab]({colab}/assets/colab-badge.svg)]({link})"
