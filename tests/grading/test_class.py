"""A class graded end to end through nbgrader's gradebook, with full, zero and partial scores."""

import csv
import subprocess
import sys

import nbformat
import pytest
from course_grading.assign.editions import Editions
from course_grading.assign.source import read_lesson
from course_grading.batch import Batch, Grade, grade_batch
from course_grading.collect.problems import Problem
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.reports import tables

from course_lib.quiz.scoring import score
from tests.support.checkout import FINAL_QUIZ, LESSONS

NAME = "01_sample"
# Unusual solutions and their scores: output on stderr and a shadowed np are harmless; a case that
# calls sys.exit fails.
UNUSUAL = {
    "noisy": (
        "import sys\n\n\ndef double(x):\n    print('here', file=sys.stderr)\n    return x + x",
        2,
    ),
    "exits": (
        "import sys\n\n\ndef double(x):\n    return 2 * x if isinstance(x, int) else sys.exit()",
        0,
    ),
    "shadows": ("np = None\n\n\ndef double(x):\n    return x + x", 2),
}


def submit(folder, student, notebook, name=NAME):
    path = folder / student / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def released_notebook(built, name=NAME):
    return nbformat.read(built / "notebooks" / f"{name}.ipynb", as_version=4)


def answer(notebook, question, letters):
    """Type an answer into the cell's source."""
    (cell,) = [cell for cell in notebook.cells if cell["id"] == f"{question}-answer"]
    assert cell.source.startswith('answer = ""')
    cell.source = cell.source.replace('answer = ""', f'answer = "{letters}"', 1)
    return notebook


def solve(notebook, solution):
    for cell in notebook.cells:
        if cell["id"] == "double-code":
            cell.source = f"# Exercise: double (2 points)\n{solution}"
    return notebook


def submit_class(built, folder, name=NAME):
    """Submit the solution, a blank notebook, and a notebook per letter that ticks only this option.

    Returns:
        Student -> item name -> expected score.
    """
    lesson = read_lesson(built / "solutions" / f"{name}.md")
    source = built / "grading" / "workspace" / "source" / name / f"{name}.ipynb"
    submit(folder, "solution", nbformat.read(source, as_version=4), name)
    submit(folder, "blank", released_notebook(built, name), name)
    items = [*lesson.questions, *lesson.exercises]
    expected = {
        "solution": {item.name: item.points for item in items},
        "blank": {item.name: 0.0 for item in items},
    }
    for number in range(max(len(question.options) for question in lesson.questions)):
        student = f"only-{'ABCDEFGH'[number]}"
        notebook = released_notebook(built, name)
        expected[student] = dict(expected["blank"])
        for question in lesson.questions:
            if number < len(question.options):
                letter = question.letters[number]
                answer(notebook, question.name, letter)
                right, wrong = "".join(question.right), "".join(question.wrong)
                expected[student][question.name] = score(letter, right, wrong, question.points)
        submit(folder, student, notebook, name)
    return expected


def scores_by_item(batch):
    scores = {grade.student: {} for grade in batch.grades}
    for item in batch.items:
        scores[item.student][item.name] = pytest.approx(item.score)
    return scores


def test_class_is_graded(built, tmp_path):
    folder = tmp_path / "class"
    expected = submit_class(built, folder)
    for student, (solution, points) in UNUSUAL.items():
        submit(folder, student, solve(released_notebook(built), solution))
        expected[student] = {**expected["blank"], "double": points}
    (folder / "broken").mkdir()
    (folder / "broken" / f"{NAME}.ipynb").write_text("{")
    reports = []
    batch = grade_batch(
        folder, built / "grading" / "workspace", lambda *report: reports.append(report)
    )

    assert [(p.student, p.lesson) for p in batch.problems] == [("broken", NAME)]
    assert [done for _, done, *_ in reports] == list(range(1, len(expected) + 2))
    assert reports[-1][2:] == (len(expected) + 1, 1)  # the total, and the number of problems
    assert batch.audit_findings == []
    assert scores_by_item(batch) == expected
    grades = {grade.student: grade for grade in batch.grades}
    assert grades["solution"].score == grades["solution"].max_score == 6
    assert not any(grade.late or grade.needs_manual for grade in batch.grades)

    out = tmp_path / "out"
    tables.write(batch, out)
    with (out / "grades.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "student",
        "name",
        "lesson",
        "score",
        "max_score",
        "late",
        "needs_manual",
    ]
    scores = {row["student"]: float(row["score"]) for row in rows}
    assert scores == {grade.student: grade.score for grade in batch.grades}
    with (out / "items.csv").open(encoding="utf-8-sig") as file:
        assert next(csv.reader(file))[:5] == ["student", "lesson", "item", "score", "max_score"]
    summary = (out / "summary.md").read_text()
    assert "Mean" in summary and "| double |" in summary and "broken" in summary
    page = (out / "feedback" / "solution" / f"{NAME}.html").read_text()
    assert "double" in page
    for student in expected:
        page = (out / "feedback" / student / f"{NAME}.html").read_text()
        for secret in ("score_cases", "quiz.score(", "twice_as_much", "def cases", "rng"):
            own = student == "solution" and secret == "twice_as_much"
            assert own or secret not in page, (student, secret)


def test_submission_graded_in_place_is_archived(built, same_process):
    workspace = built / "grading" / "workspace"
    folder = workspace / "submitted" / "ada" / NAME
    notebook = released_notebook(built)
    notebook.cells.append(nbformat.v4.new_markdown_cell("my own notes"))
    submit(workspace / "submitted" / "ada", NAME, notebook)
    (folder / "timestamp.txt").write_text("2026-11-01 10:00:00 UTC")
    (workspace / "submitted" / "bob" / NAME).mkdir(parents=True)
    submit(workspace / "submitted" / "bob", NAME, notebook)
    with open_api(workspace).gradebook as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate="2026-10-31 10:00:00")
    batch = grade_batch(workspace / "submitted", workspace)
    assert {grade.student: grade.late for grade in batch.grades} == {"ada": True, "bob": False}
    assert (folder / "timestamp.txt").exists()
    assert "my own notes" in (workspace / "received" / "ada" / NAME / f"{NAME}.ipynb").read_text()


@pytest.mark.extended
def test_every_resubmission_in_place_is_archived_once(built, same_process, tmp_path):
    """Each new submission is copied once before its rebuilt notebook replaces it in place."""
    workspace = built / "grading" / "workspace"
    folder = workspace / "submitted" / "ada" / NAME
    (tmp_path / "thesis").write_text("three years of work")
    for number in (1, 2):
        notebook = released_notebook(built)
        notebook.cells.append(nbformat.v4.new_markdown_cell(f"my notes, {number}"))
        answer(notebook, "how-many", "AB"[number - 1])
        submit(workspace / "submitted" / "ada", NAME, notebook)
        (folder / "link").symlink_to(tmp_path / "thesis")  # nbgrader would copy its target
        (folder / "data.csv").write_text("1,2")
        for _ in range(2):
            (grade,) = grade_batch(workspace / "submitted", workspace, workers=1).grades
            assert grade.score == number - 1
    received = sorted((workspace / "received" / "ada").iterdir())
    texts = [(path / f"{NAME}.ipynb").read_text() for path in received]
    assert len(texts) == 2 and all(f"my notes, {n}" in text for n, text in enumerate(texts, 1))
    assert (received[0] / "link").is_symlink() and (received[0] / "data.csv").exists()
    assert not (workspace / "autograded" / "ada" / NAME / "link").exists()
    assert (folder / "data.csv").exists()


@pytest.mark.extended
def test_late_penalties_come_from_nbgraders_configuration(
    root, built, same_process, tmp_path, monkeypatch
):
    """``course grade`` uses the settings of ``grading/nbgrader_config.py``."""
    # nbgrader_config.py sets this variable; monkeypatch restores it after the test
    monkeypatch.setenv("COURSE_MODE", "grading")
    config = (root / "grading" / "nbgrader_config.py").read_text()
    config += "\nget_config().LateSubmissionPlugin.penalty_method = 'zero'\n"
    (built / "grading" / "nbgrader_config.py").write_text(config)
    workspace = built / "grading" / "workspace"
    with open_api(workspace).gradebook as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate="2026-10-31 10:00:00")
    for student, day in (("early", "30"), ("late", "31")):
        notebook = answer(released_notebook(built), "which-letters", "AC")
        submit(tmp_path / "class", student, notebook)
        (tmp_path / "class" / student / "timestamp.txt").write_text(f"2026-10-{day} 11:00:00 UTC")
    batch = grade_batch(tmp_path / "class", workspace, workers=1)
    assert {grade.student: (grade.score, grade.late) for grade in batch.grades} == {
        "early": (3, False),
        "late": (0, True),
    }
    assert batch.audit_findings == []


def test_tables_escape_formulas(tmp_path):
    problem = Problem("", "", "=HYPERLINK(1)/01.ipynb", "-1 is what its name says")
    grade = Grade("ada", NAME, -1.0, 6.0, False, False)
    tables.write(Batch(grades=[grade], problems=[problem]), tmp_path)
    with (tmp_path / "problems.csv").open(encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert (row["file"], row["reason"]) == ("'=HYPERLINK(1)/01.ipynb", "'-1 is what its name says")
    with (tmp_path / "grades.csv").open(encoding="utf-8-sig") as file:
        assert next(csv.DictReader(file))["score"] == "-1.0"


def test_missing_cells_and_bad_timestamps_are_noted(built, same_process, tmp_path):
    notebook = released_notebook(built)
    notebook.cells = [cell for cell in notebook.cells if not cell["id"].startswith("double")]
    submit(tmp_path / "class", "ada", notebook)
    (tmp_path / "class" / "ada" / "timestamp.txt").write_text("yesterday")
    submit(tmp_path / "class", "bob", notebook)
    batch = grade_batch(tmp_path / "class", built / "grading" / "workspace")
    assert len(batch.grades) == 2 and batch.problems == []
    notes = " ".join(note.reason for note in batch.notes)
    assert "double-code" in notes and "'yesterday'" in notes


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LESSONS, FINAL_QUIZ])
def test_course_lessons_are_graded(name, root, tmp_path):
    from course_grading.assign.build import generate_release, read_lessons

    workspace = tmp_path / "grading" / "workspace"
    course = [lesson for lesson in read_lessons(root / "solutions") if lesson.name == name]
    generate_release(course, workspace)
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / f"{name}.md").symlink_to(root / "solutions" / f"{name}.md")
    (tmp_path / "notebooks").symlink_to(root / "notebooks")
    expected = submit_class(tmp_path, tmp_path / "class", name)
    batch = grade_batch(tmp_path / "class", workspace)
    assert batch.problems == []
    assert scores_by_item(batch) == expected


@pytest.mark.extended
def test_nbgrader_commands_use_the_same_workspace(root, built):
    """``nbgrader`` in ``grading/`` uses the course's workspace and its configuration."""
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", NAME, "--force"]
    config = (root / "grading" / "nbgrader_config.py").read_text()
    (built / "grading" / "nbgrader_config.py").write_text(config)
    released = built / "grading" / "workspace" / "release" / NAME / f"{NAME}.ipynb"
    before = released.read_text()
    released.unlink()
    # puts this environment's programs on PATH, as activating it does
    open_api(built / "grading" / "workspace")
    done = subprocess.run(command, cwd=built / "grading", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert released.read_text() == before


def test_submission_of_a_student_who_is_not_on_the_class_list_is_reported(
    built, same_process, tmp_path
):
    workspace = built / "grading" / "workspace"
    (workspace / "roster.csv").write_text("name,student_id\nAda,ada\n")
    for student in ("ada", "mallory"):
        submit(tmp_path / "class", student, answer(released_notebook(built), "how-many", "B"))
    batch = grade_batch(tmp_path / "class", workspace, workers=1)
    assert [(grade.student, grade.score) for grade in batch.grades] == [("ada", 1.0)]
    (problem,) = batch.problems
    assert problem.student == "mallory" and "no student of the class" in problem.reason


def test_unexpected_error_affects_only_one_submission(built, same_process, tmp_path, monkeypatch):
    workspace = built / "grading" / "workspace"
    for student in ("ada", "bob"):
        submit(tmp_path / "class", student, answer(released_notebook(built), "how-many", "B"))
    match, calls = Editions.match, []

    def fails_once(editions, data):
        calls.append(data)
        if len(calls) == 1:
            raise RuntimeError("odd")
        return match(editions, data)

    monkeypatch.setattr(Editions, "match", fails_once)
    batch = grade_batch(tmp_path / "class", workspace, workers=1)
    assert [(problem.student, problem.reason) for problem in batch.problems] == [("ada", "odd")]
    assert [(grade.student, grade.score) for grade in batch.grades] == [("bob", 1.0)]
