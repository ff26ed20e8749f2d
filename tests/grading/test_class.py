"""A class, end to end, through nbgrader's gradebook: whole marks, none, and every wrong option in
between.
"""

import csv
import subprocess
import sys

import nbformat
import pytest
from course_grading.assign.source import read
from course_grading.batch import Batch, Grade, grade_batch
from course_grading.collect.problems import Problem
from course_grading.gradebook.nbgrader_api import open_desk
from course_grading.reports import tables

from course_lib.quiz.scoring import score
from tests.support.checkout import LESSONS

NAME = "01_sample"


def hand_in(folder, student, notebook, name=NAME):
    target = folder / student / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def answer(notebook, question, letters):
    """Type an answer as a learner without any extension would."""
    (cell,) = [cell for cell in notebook.cells if cell["id"] == f"{question}-answer"]
    assert cell.source.startswith('answer = ""')
    cell.source = cell.source.replace('answer = ""', f'answer = "{letters}"', 1)
    return notebook


def a_class(built, folder, name=NAME):
    """A solution, a blank, and for every option of every question one student who ticks only that.

    Returns:
        What each student must have, by item.
    """
    lesson = read(built / "solutions" / f"{name}.md")
    released = built / "notebooks" / f"{name}.ipynb"
    source = built / "grading" / "workspace" / "source" / name / f"{name}.ipynb"
    hand_in(folder, "solution", nbformat.read(source, as_version=4), name)
    hand_in(folder, "blank", nbformat.read(released, as_version=4), name)
    nothing = {item.name: 0.0 for item in [*lesson.questions, *lesson.exercises]}
    expected = {
        "solution": {i.name: i.points for i in [*lesson.questions, *lesson.exercises]},
        "blank": dict(nothing),
    }
    for place in range(max(len(question.options) for question in lesson.questions)):
        notebook, student = nbformat.read(released, as_version=4), f"only-{'ABCDEFGH'[place]}"
        expected[student] = dict(nothing)
        for question in lesson.questions:
            if place < len(question.options):
                letter = question.letters[place]
                answer(notebook, question.name, letter)
                right, wrong = "".join(question.right), "".join(question.wrong)
                expected[student][question.name] = score(letter, right, wrong, question.points)
        hand_in(folder, student, notebook, name)
    return expected


def test_a_class_is_graded(built, tmp_path):
    folder = tmp_path / "class"
    expected = a_class(built, folder)
    for student, (solution, earned) in AWKWARD.items():
        hand_in(
            folder,
            student,
            exercise(nbformat.read(built / "notebooks" / f"{NAME}.ipynb", as_version=4), solution),
        )
        expected[student] = {**expected["blank"], "double": earned}
    (folder / "broken").mkdir()
    (folder / "broken" / f"{NAME}.ipynb").write_text("{")
    steps = []
    batch = grade_batch(folder, built / "grading" / "workspace", lambda *step: steps.append(step))

    assert [(p.student, p.lesson) for p in batch.problems] == [("broken", NAME)]
    assert [done for _, done, *_ in steps] == list(range(1, len(expected) + 2))
    assert steps[-1][2:] == (len(expected) + 1, 1)  # of how many, and how many problems
    assert batch.unproven == []
    earned = {student: {} for student in expected}
    for item in batch.items:
        earned[item.student][item.item] = pytest.approx(item.score)
    assert earned == expected
    by_student = {g.student: g for g in batch.grades}
    assert by_student["solution"].score == by_student["solution"].max_score == 6
    assert not any(g.late or g.needs_manual for g in batch.grades)

    out = tmp_path / "out"
    tables.write(batch, out)
    with (out / "grades.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["student", "lesson", "score", "max_score", "late", "needs_manual"]
    assert {row["student"]: float(row["score"]) for row in rows} == {
        g.student: g.score for g in batch.grades
    }
    summary = (out / "summary.md").read_text()
    assert "Mean" in summary and "| double |" in summary and "broken" in summary
    page = (out / "feedback" / "solution" / f"{NAME}.html").read_text()
    assert "double" in page
    for student in expected:
        page = (out / "feedback" / student / f"{NAME}.html").read_text()
        for secret in ("score_cases", "quiz.score(", "twice_as_much", "def cases", "rng"):
            own = student == "solution" and secret == "twice_as_much"
            assert own or secret not in page, (student, secret)


def test_a_submission_graded_where_it_lies_is_kept_as_it_came(built):
    workspace = built / "grading" / "workspace"
    folder = workspace / "submitted" / "ada" / NAME
    notebook = nbformat.read(built / "notebooks" / f"{NAME}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("my own notes"))
    hand_in(workspace / "submitted" / "ada", NAME, notebook)
    (folder / "timestamp.txt").write_text("2026-11-01 10:00:00 UTC")
    (workspace / "submitted" / "bob" / NAME).mkdir(parents=True)
    hand_in(workspace / "submitted" / "bob", NAME, notebook)
    with open_desk(workspace).gradebook as book:
        book.update_or_create_assignment(NAME, duedate="2026-10-31 10:00:00")
    batch = grade_batch(workspace / "submitted", workspace)
    assert {g.student: g.late for g in batch.grades} == {"ada": True, "bob": False}
    assert (folder / "timestamp.txt").exists()
    assert "my own notes" in (workspace / "received" / "ada" / NAME / f"{NAME}.ipynb").read_text()


def test_what_comes_later_to_the_same_place_is_kept_too(built, tmp_path):
    """Graded where it lies, a submission is replaced by its rebuilt notebook: each new one is
    copied first, once.
    """
    workspace = built / "grading" / "workspace"
    folder = workspace / "submitted" / "ada" / NAME
    (tmp_path / "thesis").write_text("three years of work")
    for number in (1, 2):
        notebook = nbformat.read(built / "notebooks" / f"{NAME}.ipynb", as_version=4)
        notebook.cells.append(nbformat.v4.new_markdown_cell(f"my notes, {number}"))
        hand_in(
            workspace / "submitted" / "ada", NAME, answer(notebook, "how-many", "AB"[number - 1])
        )
        (folder / "beside").symlink_to(tmp_path / "thesis")  # nbgrader would copy what is behind it
        (folder / "data.csv").write_text("1,2")
        for _ in range(2):
            (grade_,) = grade_batch(workspace / "submitted", workspace, workers=1).grades
            assert grade_.score == number - 1
    received = sorted(path for path in (workspace / "received" / "ada").iterdir())
    texts = [(path / f"{NAME}.ipynb").read_text() for path in received]
    assert len(texts) == 2 and all(f"my notes, {n}" in text for n, text in enumerate(texts, 1))
    assert (received[0] / "beside").is_symlink() and (received[0] / "data.csv").exists()
    assert (
        not (workspace / "autograded" / "ada" / NAME / "beside").exists()
        and (folder / "data.csv").exists()
    )


def test_late_penalties_are_those_of_nbgraders_configuration(root, built, tmp_path, monkeypatch):
    """What stands in ``grading/nbgrader_config.py`` holds for ``course grade`` too."""
    # which that file sets: not for the tests that follow
    monkeypatch.setenv("COURSE_MODE", "grading")
    own = (root / "grading" / "nbgrader_config.py").read_text()
    own += "\nget_config().LateSubmissionPlugin.penalty_method = 'zero'\n"
    (built / "grading" / "nbgrader_config.py").write_text(own)
    workspace = built / "grading" / "workspace"
    with open_desk(workspace).gradebook as book:
        book.update_or_create_assignment(NAME, duedate="2026-10-31 10:00:00")
    for student, day in (("early", "30"), ("late", "31")):
        notebook = nbformat.read(built / "notebooks" / f"{NAME}.ipynb", as_version=4)
        hand_in(tmp_path / "class", student, answer(notebook, "which-letters", "AC"))
        (tmp_path / "class" / student / "timestamp.txt").write_text(f"2026-10-{day} 11:00:00 UTC")
    batch = grade_batch(tmp_path / "class", workspace, workers=1)
    assert {g.student: (g.score, g.late) for g in batch.grades} == {
        "early": (3, False),
        "late": (0, True),
    }
    assert batch.unproven == []


def test_no_table_holds_a_formula(tmp_path):
    problem = Problem("", "", "=HYPERLINK(1)/01.ipynb", "-1 is what its name says")
    tables.write(
        Batch(grades=[Grade("ada", NAME, -1.0, 6.0, False, False)], problems=[problem]), tmp_path
    )
    with (tmp_path / "problems.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["file"], row["reason"]) == ("'=HYPERLINK(1)/01.ipynb", "'-1 is what its name says")
    with (tmp_path / "grades.csv").open() as file:
        assert next(csv.DictReader(file))["score"] == "-1.0"


def test_what_is_missing_or_odd_is_noted(built, tmp_path):
    notebook = nbformat.read(built / "notebooks" / f"{NAME}.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not cell["id"].startswith("double")]
    hand_in(tmp_path / "class", "ada", notebook)
    (tmp_path / "class" / "ada" / "timestamp.txt").write_text("yesterday")
    hand_in(tmp_path / "class", "bob", exercise(notebook, None))
    batch = grade_batch(tmp_path / "class", built / "grading" / "workspace")
    assert len(batch.grades) == 2 and batch.problems == []
    told = " ".join(note.reason for note in batch.notes)
    assert "double-code" in told and "'yesterday'" in told


# What awkward solutions earn: noise on stderr and hiding np cost nothing, leaving costs its cases.
AWKWARD = {
    "noisy": (
        "import sys\n\n\ndef double(x):\n    print('here', file=sys.stderr)\n    return x + x",
        2,
    ),
    "leaves": (
        "import sys\n\n\ndef double(x):\n    return 2 * x if isinstance(x, int) else sys.exit()",
        0,
    ),
    "shadows": ("np = None\n\n\ndef double(x):\n    return x + x", 2),
}


def exercise(notebook, solution):
    for cell in notebook.cells:
        if cell["id"] == "double-code":
            cell.source = f"# Exercise: double (2 points)\n{solution}"
    return notebook


@pytest.mark.slow
@pytest.mark.parametrize("name", LESSONS)
def test_the_real_lessons_are_graded(name, root, tmp_path):
    from course_grading.assign.build import lessons, release

    workspace = tmp_path / "grading" / "workspace"
    course = [lesson for lesson in lessons(root / "solutions") if lesson.name == name]
    release(course, workspace)
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / f"{name}.md").symlink_to(root / "solutions" / f"{name}.md")
    (tmp_path / "notebooks").symlink_to(root / "notebooks")
    expected = a_class(tmp_path, tmp_path / "class", name)
    batch = grade_batch(tmp_path / "class", workspace)
    assert batch.problems == []
    earned = {student: {} for student in expected}
    for item in batch.items:
        earned[item.student][item.item] = pytest.approx(item.score)
    assert earned == expected


def test_nbgraders_own_commands_work_at_the_desk(root, built):
    """``nbgrader`` in ``grading/`` sees the course's workspace and its configuration."""
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", NAME, "--force"]
    (built / "grading" / "nbgrader_config.py").write_text(
        (root / "grading" / "nbgrader_config.py").read_text()
    )
    released = built / "grading" / "workspace" / "release" / NAME / f"{NAME}.ipynb"
    before = released.read_text()
    released.unlink()
    from course_grading.gradebook.nbgrader_api import open_desk

    # puts this environment's tools on PATH, as activating it does
    open_desk(built / "grading" / "workspace")
    done = subprocess.run(command, cwd=built / "grading", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert released.read_text() == before
