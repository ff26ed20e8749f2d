"""Recording with one open gradebook leaves the same database and files as nbgrader alone does."""

import contextlib
import re
import shutil
import sqlite3
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import nbgrader.api
import pytest
from course_grading.autograde import workers
from course_grading.batch import Batch, grade_batch
from course_grading.errors import GradebookError
from course_grading.gradebook import conversion, record, shared
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.reports import tables
from nbgrader.converters import autograde
from nbgrader.preprocessors import getgrades, latesubmissions, overwritecells, overwritekernelspec

pytestmark = pytest.mark.usefixtures("same_process")

NAME = "01_sample"
RIGHT = {
    "which_letters_answer": 'answer = "AC"',
    "how_many_answer": 'answer = "B"',
    "double_code": "def double(x):\n    return x + x",
}
LATE = "2026-05-02 12:00:00 UTC"
# A penalty rule for late submissions. For one student it fails, but only within nbgrader.
RULE = """
import os
from nbgrader.plugins import BasePlugin

class Rule(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        in_nbgrader = os.environ.get("NBGRADER_EXECUTION") == "autograde"
        if in_nbgrader and student_id == "unlucky" and score > 5:
            raise ValueError("the rule failed")
        return 0.5 * score

get_config().AssignLatePenalties.plugin_class = Rule
"""


# The course directory to compare with uses nbconvert's exporter and nbgrader's preprocessor.
PLAIN = """
c = get_config()
c.Autograde.exporter_class = "nbconvert.exporters.NotebookExporter"
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",
]
"""


class Class:
    """A folder of submissions, and two equal course directories to grade it in."""

    def __init__(self, root: Path, course: Path, submission):
        self.folder = root / "class"
        self.submission = submission
        self.workspaces = [root / name / "grading" / "workspace" for name in ("plain", "shared")]
        (course / "grading" / "nbgrader_config.py").write_text(RULE)
        (course / "grading" / "workspace" / "secret").write_text("5e" * 32)  # of the hidden cases
        for workspace in self.workspaces:
            shutil.copytree(course, workspace.parents[1])
        with (self.workspaces[0].parent / "nbgrader_config.py").open("a") as file:
            file.write(PLAIN)

    def submit(self, student: str, *, late: bool = False, **sources: str) -> Path:
        path = self.folder / student / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.submission(**{**RIGHT, **sources}))
        if late:
            path.with_name("timestamp.txt").write_text(LATE)
        return path

    def grade(self) -> tuple[Batch, Batch]:
        """Grade it in both, first as nbgrader does it."""
        plain, fast = self.workspaces
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shared, "share", lambda api: contextlib.nullcontext())
            patch.setattr(shared.SharedGradebook, "load_submission", lambda *_: None)
            patch.delattr(conversion.WithoutCopies, "from_file")
            expected = grade_batch(self.folder, plain, workers=1)
        return expected, grade_batch(self.folder, fast, workers=1)

    @contextlib.contextmanager
    def books(self):
        """The gradebooks of both."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(open_api(path).gradebook) for path in self.workspaces]


@pytest.fixture
def in_order(monkeypatch):
    """Results are recorded in the order of the submissions."""

    def wait(running, return_when):
        return SimpleNamespace(done=list(running)[:1])

    monkeypatch.setattr(workers, "wait", wait)


@pytest.fixture
def students(tmp_path, built, submission, in_order):
    """A mixed class: full marks, wrong, partial, flagged, incomplete, broken and late work."""
    made = Class(tmp_path, built, submission)
    made.submit("full")
    made.submit("wrong", which_letters_answer='answer = "B"', how_many_answer='answer = "A"')
    made.submit("partial", double_code="def double(x):\n    return x + x if x.ndim else 0")
    made.submit("manual", how_many_answer="answer = str()")
    made.submit("syntax", double_code="def double(x:\n    return x + x")
    made.submit("raises", double_code="def double(x):\n    raise KeyError('<b>&amp;</b> \\u2028')")
    made.submit("blank", double_code="", which_letters_answer='answer = ""')
    made.submit("late", late=True)
    made.submit("unlucky", late=True)
    made.submit("broken").write_text("{")
    path = made.submit("incomplete")
    content = path.read_text().replace('"id": "double-code"', '"id": "elsewhere"')
    path.write_text(content.replace('"grade_id": "double-code"', '"grade_id": "elsewhere"'))
    with made.books() as books:
        for book in books:
            book.update_or_create_assignment(NAME, duedate=datetime(2026, 5, 1))
    return made


def normalise(text: str, workspace: Path) -> str:
    """A text without the folder's name; nbgrader's random ids are numbered in order of
    appearance.
    """
    numbers: dict[str, str] = {}

    def number(id: re.Match) -> str:
        return numbers.setdefault(id[0], f"#{len(numbers)}")

    text = text.replace(f"/{workspace.parents[1].name}/grading", "/grading")
    return re.sub(r"\b[0-9a-f]{32}\b", number, text)


def dump(workspace: Path) -> list[str]:
    """nbgrader's database as SQL."""
    with contextlib.closing(sqlite3.connect(workspace / "gradebook.db")) as database:
        return normalise("\n".join(database.iterdump()), workspace).splitlines()


def contents(workspace: Path) -> dict[str, tuple[str, int]]:
    """The content and the mode of every file except the database and the folders of earlier runs,
    which are named by their time.
    """
    return {
        str(path.relative_to(workspace)): (
            normalise(path.read_text("latin-1"), workspace),
            path.stat().st_mode,
        )
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and path.suffix not in (".db", ".lock") and "runs" not in path.parts
    }


def assert_same(students: Class, expected: Batch, batch: Batch) -> None:
    plain, fast = students.workspaces
    assert dump(fast) == dump(plain)
    for workspace, graded in zip(students.workspaces, (expected, batch), strict=True):
        tables.write(graded, workspace / "grades")
    files = [contents(workspace) for workspace in students.workspaces]
    assert files[1].keys() == files[0].keys()
    assert [name for name in files[0] if files[1][name] != files[0][name]] == []
    for name in ("grades", "items", "problems", "changes", "audit_findings", "notes"):
        messages = normalise(str(getattr(batch, name)), fast)
        assert messages == normalise(str(getattr(expected, name)), plain)


def test_database_and_files_are_the_same(students):
    expected, batch = students.grade()
    assert len(batch.grades) == 9 and len(batch.problems) == 3
    assert {grade.score for grade in batch.grades} >= {2, 3, 6}
    assert_same(students, expected, batch)
    # scores and comments by hand, a new version, a lost submission, and a new student
    with students.books() as books:
        for book in books:
            grade = book.find_grade("double", NAME, NAME, "partial")
            grade.manual_score, grade.extra_credit = 1.5, 0.25
            grade = book.find_grade("double", NAME, NAME, "wrong")
            grade.manual_score = 2.0
            book.find_comment("double-code", NAME, NAME, "partial").manual_comment = "Almost."
            book.db.commit()
            book.remove_submission(NAME, "raises")
    students.submit("wrong", double_code="def double(x):\n    return 3 * x")
    students.submit("unlucky", late=True, how_many_answer='answer = "A"')
    students.submit("added")
    expected, batch = students.grade()
    assert len(batch.grades) == 11 and len(batch.problems) == 1
    assert_same(students, expected, batch)


def test_one_transaction_per_submission(students, monkeypatch):
    """Only the submission for which nbgrader fails is recorded with nbgrader's own commits."""
    attempts = []
    suspended = shared.suspended

    def observed(api):
        attempts.append(api.coursedir.student_id)
        return suspended(api)

    monkeypatch.setattr(shared, "suspended", observed)
    grade_batch(students.folder, students.workspaces[1], workers=1)
    assert len(attempts) == 1


def test_nothing_is_written_if_a_transaction_fails(students):
    workspace = students.workspaces[1]
    api = open_api(workspace)
    before = dump(workspace)
    with (
        shared.share(api),
        pytest.raises(GradebookError, match="stop"),
        shared.transaction(api),
    ):
        with api.gradebook as book:
            book.update_or_create_student("ada")
            book.update_or_create_submission(NAME, "ada")
        with api.gradebook as book:
            assert book.find_submission(NAME, "ada").student_id == "ada"
        record.raise_on_failure({"success": False, "error": "GradebookError: stop"}, "grade")
    assert dump(workspace) == before


def test_nbgraders_own_commands_do_the_same(students, monkeypatch):
    """The configuration also serves nbgrader's commands and formgrader, which do not use the shared
    gradebook.
    """
    workspace = students.workspaces[1]
    grade_batch(students.folder, workspace, workers=1)
    before = dump(workspace), contents(workspace)
    api = open_api(workspace)
    for module in (autograde, getgrades, latesubmissions, overwritecells, overwritekernelspec):
        monkeypatch.setattr(module, "Gradebook", nbgrader.api.Gradebook)
    for student in ("full", "late"):
        record.raise_on_failure(api.autograde(NAME, student), "grade")
        record.raise_on_failure(api.generate_feedback(NAME, student), "write feedback for")
    assert (dump(workspace), contents(workspace)) == before
