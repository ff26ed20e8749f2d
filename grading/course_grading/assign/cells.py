"""The cells of a built lesson: what each part of a source becomes, with nbgrader's metadata.

Cell ids derive from names and contents, so that two builds are equal to the byte.
"""

import hashlib
from collections import Counter

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_grading.assign.lesson import Ask, Code, Exercise, Lesson, Prose
from course_lib.quiz.question import Question

BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"

_SETUP = """\
# @title Run this cell first. In Colab it installs the course; elsewhere the course is already there.
import importlib.util, os, subprocess, sys

if importlib.util.find_spec("course_lib") is None:
    source = os.environ.get("COURSE_SOURCE", "{address}")
    if not source:
        sys.exit(
            "The course is not installed in this kernel. On your machine, choose the kernel of its .venv. In Colab, "
            'set os.environ["COURSE_SOURCE"] to its repository (git+https://...) or to a wheel, and run again.'
        )
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source], check=True)
from course_lib import quiz
{begin}"""


def notebook(lesson: Lesson, *, graded: bool = False, repository: str = ""):
    """The instructor's notebook of a lesson, answers and hidden tests included.

    Args:
        lesson: what was read from the source.
        graded: the classroom's version, in which answers are recorded and nothing is given away.
        repository: the public address of the repository, for Colab; empty when there is none yet.
    """
    made = _Cells()
    for number, part in enumerate(lesson.parts):
        match part:
            case Prose():
                source = part.source
                if number == 0 and repository.startswith("https://github.com/"):
                    source += "\n\n" + _badge(lesson.name, repository)
                made.markdown(source)
            case Code():
                made.code(part.source)
            case Ask():
                _question(made, part.question, graded)
            case Exercise():
                _exercise(made, part)
        if number == 0:
            begin = "" if graded else f'\nquiz.begin("{lesson.name}")'
            address = f"git+{repository}" if repository else ""
            made.code(
                _SETUP.format(address=address, begin=begin).rstrip(), id="setup", cellView="form"
            )
    result = new_notebook(cells=made.cells)
    result.metadata = {
        "course": {"lesson": lesson.name},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    result.nbformat_minor = 5
    return result


def digest(source: str) -> str:
    """The id of a cell without a name: it changes when somebody edits the cell."""
    return hashlib.sha256(source.encode()).hexdigest()[:12]


class _Cells:
    """Collects cells and gives each its id: its name, or a digest of what it says."""

    def __init__(self):
        self.cells = []
        self._seen = Counter()

    def _id(self, source: str, id: str | None) -> str:
        name = id or digest(source)
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name}-{self._seen[name]}"

    def markdown(self, source: str, id: str | None = None, **metadata) -> None:
        self.cells.append(new_markdown_cell(source, id=self._id(source, id), metadata=metadata))

    def code(self, source: str, id: str | None = None, **metadata) -> None:
        self.cells.append(new_code_cell(source, id=self._id(source, id), metadata=metadata))


def _nbgrader(grade_id: str, *, solution: bool = False, points: float | None = None) -> dict:
    about = {
        "schema_version": 3,
        "grade_id": grade_id,
        "solution": solution,
        "locked": not solution,
        "task": False,
    }
    return {**about, "grade": points is not None, **({} if points is None else {"points": points})}


def _question(made: _Cells, question: Question, graded: bool) -> None:
    name, letters = question.name, "".join(question.letters)
    kind = "one or more answers" if question.multiple else "one answer"
    options = "\n".join(
        f"- **{letter}** · {o.text}" for letter, o in zip(letters, question.options, strict=True)
    )
    made.markdown(
        f"**Question** `{name}` · {_points(question.points)} · {kind}\n\n{question.text}\n\n{options}",
        id=f"{name}-question",
        nbgrader=_nbgrader(f"{name}-question"),
    )
    if question.multiple:
        form = '{type:"string", placeholder:"letters, e.g. AC"}'
    else:
        form = "[" + ", ".join(f'"{letter}"' for letter in ["", *letters]) + "]"
    choose = f', choose="{"any" if question.multiple else "one"} of {letters}"' if graded else ""
    made.code(
        f'answer = "{"".join(question.right)}"  # @param {form}\nquiz.answer("{name}", answer{choose})',
        id=f"{name}-answer",
        cellView="form",
        nbgrader=_nbgrader(f"{name}-answer", solution=True),
    )
    right, wrong = "".join(question.right), "".join(question.wrong)
    made.code(
        f'quiz.recorded("{name}")  # graded here: nothing to do\n'
        f"{BEGIN_HIDDEN}\n"
        f'quiz.score("{name}", right="{right}", wrong="{wrong}", points={question.points})\n'
        f"{END_HIDDEN}",
        id=name,
        jupyter={"source_hidden": True},
        cellView="form",
        nbgrader=_nbgrader(name, points=question.points),
    )


def _exercise(made: _Cells, exercise: Exercise) -> None:
    name = exercise.name
    # The reference goes without its marks: nbgrader would clear them here too.
    rows = exercise.solution.split("\n")
    reference = "\n".join(
        row for row in rows if row.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION")
    )
    made.code(
        f"# Exercise: {name} ({_points(exercise.points)})\n{exercise.solution}",
        id=f"{name}-code",
        nbgrader=_nbgrader(f"{name}-code", solution=True),
    )
    made.code(
        f"# Check: {name} (run this cell)\n{exercise.visible}\n"
        f'quiz.passed("{name}")\n'
        f"{BEGIN_HIDDEN}\n"
        f"{exercise.hidden}\n\n"
        "from course_grading.autograde.compare import score_cases\n\n"
        f"score_cases({exercise.function!r}, reference={reference!r}, cases=cases, "
        f"{exercise.compares}={exercise.compares}, points={exercise.points}, names=globals())\n"
        f"{END_HIDDEN}",
        id=name,
        nbgrader=_nbgrader(name, points=exercise.points),
    )


def _points(points: float) -> str:
    return f"{points:g} point{'' if points == 1 else 's'}"


def _badge(name: str, repository: str) -> str:
    page = repository.removeprefix("https://github.com/").rstrip("/").removesuffix(".git")
    link = f"https://colab.research.google.com/github/{page}/blob/main/notebooks/{name}.ipynb"
    return f"[![Open this lesson in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({link})"
