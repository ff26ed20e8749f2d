"""A whole run: what is recorded, what a second run does, and what a killed one leaves to do."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from course_grading import batch as batch_module
from course_grading.autograde import workers
from course_grading.autograde.grade import Task, mark
from course_grading.batch import Batch, NoSandbox, grade_batch
from course_grading.collect.submissions import IntakeError
from course_grading.gradebook import feedback, record
from course_grading.gradebook.nbgrader_api import open_desk
from course_grading.sandbox import host
from filelock import FileLock

NAME = "01_sample"
RIGHT = {"which_letters_answer": 'answer = "AC"', "double_code": "def double(x):\n    return x + x"}
HALF = {"which_letters_answer": 'answer = "A"', "double_code": "def double(x):\n    return 3 * x"}


@pytest.fixture
def handed_in(tmp_path, work):
    """Makes the folder of a class, a submission a student."""

    def make(**students: dict[str, str]) -> Path:
        for student, sources in students.items():
            path = tmp_path / "class" / student / f"{NAME}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(work(**sources))
        return tmp_path / "class"

    return make


def earned(batch: Batch) -> dict[str, float]:
    assert batch.problems == [] and batch.unproven == []
    return {grade.student: grade.score for grade in batch.grades}


def grades_in(workspace: Path) -> dict[str, float]:
    with open_desk(workspace).gradebook as book:
        return {s.student_id: s.score for s in book.assignment_submissions(NAME)}


def test_a_second_run_marks_only_what_has_changed(workspace, handed_in, monkeypatch):
    folder = handed_in(ada=RIGHT, bob=HALF)
    assert earned(grade_batch(folder, workspace, workers=1)) == {"ada": 5, "bob": 1.5}
    asked = []
    marks = workers.marks
    monkeypatch.setattr(
        workers,
        "marks",
        lambda tasks, *a, **k: marks((asked.append(t.student) or t for t in tasks), *a, **k),
    )
    monkeypatch.setattr(record, "record", lambda *a: pytest.fail("it was recorded before"))
    assert (
        earned(grade_batch(folder, workspace, workers=1)) == {"ada": 5, "bob": 1.5} and asked == []
    )
    monkeypatch.undo()
    handed_in(bob=RIGHT)
    assert earned(grade_batch(folder, workspace, workers=1)) == {"ada": 5, "bob": 5}
    assert grades_in(workspace) == {"ada": 5, "bob": 5}


def test_a_failed_regrade_does_not_leave_an_old_score_looking_new(workspace, handed_in):
    folder = handed_in(ada=RIGHT)
    grade_batch(folder, workspace, workers=1)
    good = (folder / "ada" / f"{NAME}.ipynb").read_bytes()
    (folder / "ada" / f"{NAME}.ipynb").write_text("{")
    batch = grade_batch(folder, workspace, workers=1)
    assert (
        batch.grades == [] and batch.unproven == [] and "earlier grade" in batch.problems[0].reason
    )
    with open_desk(workspace).gradebook as book:
        assert book.find_submission(NAME, "ada").needs_manual_grade
    (folder / "ada" / f"{NAME}.ipynb").write_bytes(good)
    batch = grade_batch(folder, workspace, workers=1)
    assert earned(batch) == {"ada": 5} and not batch.grades[0].needs_manual


def test_what_is_no_literal_is_on_the_manual_list(workspace, handed_in):
    batch = grade_batch(
        handed_in(ada={"which_letters_answer": "answer = str()"}), workspace, workers=1
    )
    assert earned(batch) == {"ada": 0} and batch.grades[0].needs_manual


def test_manual_grades_stay(workspace, handed_in):
    folder = handed_in(ada=HALF)
    grade_batch(folder, workspace, workers=1)
    with open_desk(workspace).gradebook as book:
        grade = book.find_grade("double", NAME, NAME, "ada")
        grade.manual_score, grade.extra_credit = 1.0, 0.25
        book.db.commit()
    handed_in(ada=RIGHT)
    batch = grade_batch(folder, workspace, workers=1)
    assert earned(batch) == {"ada": 4.25} and batch.grades[0].needs_manual


def test_the_audit_finds_a_changed_score_and_a_lost_one(workspace, handed_in):
    folder = handed_in(ada=RIGHT, bob=RIGHT)
    grade_batch(folder, workspace, workers=1)
    with open_desk(workspace).gradebook as book:
        book.find_grade("double", NAME, NAME, "ada").auto_score = 1.0
        book.find_grade("double", NAME, NAME, "bob").auto_score = None
        book.db.commit()
    told = grade_batch(folder, workspace, workers=1).unproven
    assert (
        len(told) == 2
        and "ada" in told[0]
        and "gradebook says 1" in told[0]
        and "no score" in told[1]
    )


def test_without_a_sandbox_nothing_runs_unless_told(workspace, handed_in, monkeypatch):
    folder = handed_in(ada=RIGHT)
    monkeypatch.setattr(host, "available", lambda: "there is none")
    with pytest.raises(NoSandbox, match="there is none"):
        grade_batch(folder, workspace)
    assert earned(grade_batch(folder, workspace, workers=1, trusted=True)) == {"ada": 5}


@pytest.mark.parametrize("what", ["course", "class"])
def test_where_the_sandbox_shows_keys_or_work_nothing_runs(
    workspace, handed_in, monkeypatch, tmp_path, what
):
    """A checkout in /usr/src, or an environment made in the checkout's own folder."""
    folder = handed_in(ada=RIGHT)
    # it would try a sandbox that shows only this
    monkeypatch.setattr(host, "available", lambda: None)
    monkeypatch.setattr(host, "shown", lambda: ["/usr", str(tmp_path / what)])
    with pytest.raises(NoSandbox, match="which every sandbox shows: move it"):
        grade_batch(folder, workspace)


def test_two_runs_do_not_meet_in_one_workspace(workspace, handed_in):
    folder = handed_in(ada=RIGHT)
    with (
        FileLock(workspace / "grading.lock"),
        pytest.raises(IntakeError, match="another course grade is at work"),
    ):
        grade_batch(folder, workspace, workers=1)
    assert earned(grade_batch(folder, workspace, workers=1)) == {"ada": 5}


def test_the_score_is_less_what_being_late_costs(workspace, handed_in):
    folder = handed_in(ada=RIGHT)
    (folder / "ada" / "timestamp.txt").write_text("2026-10-02 10:00:00 UTC")
    with open_desk(workspace).gradebook as book:
        book.update_or_create_assignment(NAME, duedate=datetime(2026, 10, 1))
    grade_batch(folder, workspace, workers=1)
    with open_desk(workspace).gradebook as book:
        book.find_submission_notebook(NAME, NAME, "ada").late_submission_penalty = 2.0
        book.db.commit()
    (grade,) = grade_batch(folder, workspace, workers=1).grades
    assert (grade.score, grade.late) == (3, True)


# A run that ends as by kill -9 at the second call of a function.
KILLED = """
import os, sys
from pathlib import Path
from course_grading.batch import grade_batch
from course_grading.gradebook import feedback, record
from nbgrader.apps.api import NbGraderAPI

owner, name = {"record": record, "api": NbGraderAPI, "pages": feedback.Pages}[sys.argv[1]], sys.argv[2]
true, calls = getattr(owner, name), []

def dies(*arguments, **named):
    calls.append(name)
    if len(calls) == 2 or name == "unmade":
        os.kill(os.getpid(), 9)
    return true(*arguments, **named)

if __name__ == "__main__":
    setattr(owner, name, dies)
    grade_batch(Path(sys.argv[3]), Path(sys.argv[4]), workers=1)
"""


@pytest.mark.parametrize(
    ("owner", "name", "again"),
    [
        ("record", "keep", 2),
        ("record", "record", 1),
        ("api", "autograde", 1),
        ("pages", "ask", 1),
        ("pages", "unmade", 0),
    ],
)
def test_a_killed_run_goes_on_where_it_was(
    workspace, handed_in, tmp_path, monkeypatch, owner, name, again
):
    folder = handed_in(ada=RIGHT, bob=HALF, eve=RIGHT)
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, tmp_path / "killed.py", owner, name, folder, workspace]
    environment = {**os.environ, "PYTHONPATH": str(Path(batch_module.__file__).parents[2])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    asked, marks = [], workers.marks
    monkeypatch.setattr(
        workers,
        "marks",
        lambda tasks, *a, **k: marks((asked.append(t.student) or t for t in tasks), *a, **k),
    )
    assert earned(grade_batch(folder, workspace, workers=1)) == {"ada": 5, "bob": 1.5, "eve": 5}
    assert len(asked) == again  # what was kept is not marked again
    assert all(
        feedback.page(workspace, student, NAME).is_file() for student in ("ada", "bob", "eve")
    )
    assert grades_in(workspace) == {"ada": 5, "bob": 1.5, "eve": 5}


def test_the_feedback_has_messages_and_no_hidden_input(workspace, handed_in):
    batch = grade_batch(handed_in(ada=HALF), workspace, workers=1)
    page = batch.feedback["ada", NAME].read_text()
    assert "Twice two is four" in page and "Recorded: A." in page
    for secret in ("twice_as_much", "def cases", "rng", "score_cases"):
        assert secret not in page


def tasks(task, work, count: int) -> list[Task]:
    return [task(work(**RIGHT), student=f"student-{number}") for number in range(count)]


def test_a_worker_that_is_killed_costs_a_retry_and_not_a_grade(task, work, key):
    from multiprocessing import active_children

    done = []
    for marked in workers.marks(tasks(task, work, 8), {NAME: key}, workers=2):
        if not done:
            active_children()[0].kill()
        done.append(marked)
    assert sorted(m.student for m in done) == [f"student-{n}" for n in range(8)]
    assert all(not m.problem and sum(mark.score for mark in m.marks) == 5 for m in done)


def _ends(task, key):
    if task.student == "student-1":
        os._exit(1)
    return mark(task, key)


def test_a_submission_that_always_ends_its_worker_is_a_problem(task, work, key, monkeypatch):
    # The processes are started anew and import the pool, so what they call is changed through its
    # name.
    monkeypatch.setattr(workers, "_mark_here", _always_ends)
    done = {
        m.student: m.problem for m in workers.marks(tasks(task, work, 3), {NAME: key}, workers=1)
    }
    assert "3 times" in done.pop("student-1") and done == {"student-0": "", "student-2": ""}


def _always_ends(task):
    return _ends(task, workers._keys[task.lesson])


def test_a_cluster_gives_the_same_results_to_the_byte(task, work, key):
    from distributed import LocalCluster

    given = tasks(task, work, 6)
    here = {m.student: m.to_json() for m in workers.marks(given, {NAME: key}, workers=1)}
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        there = {}
        for marked in workers.marks(given, {NAME: key}, dask=cluster.scheduler_address):
            if not there:
                os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
            there[marked.student] = marked.to_json()
    assert there == here


def test_a_run_on_a_cluster_records_the_same(workspace, handed_in, tmp_path):
    from distributed import LocalCluster

    other = shutil.copytree(workspace, tmp_path / "other")
    folder = handed_in(ada=RIGHT, bob=HALF, eve={"which_letters_answer": "answer = str()"})
    (folder / "joe").mkdir()
    (folder / "joe" / f"{NAME}.ipynb").write_text("{")
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        there = grade_batch(folder, workspace, dask=cluster.scheduler_address)
    here = grade_batch(folder, other, workers=1)
    assert (
        there.grades == here.grades
        and there.items == here.items
        and there.problems == here.problems
    )
    assert there.unproven == [] and len(there.grades) == 3 and len(there.problems) == 1
    for student in ("ada", "bob", "eve"):
        kept = [
            record.path_of(place, student, NAME).read_text().split('"marks"')[1]
            for place in (workspace, other)
        ]
        assert kept[0] == kept[1]


def test_progress_tells_what_is_done_and_the_problems_so_far(workspace, handed_in):
    folder = handed_in(ada=RIGHT, bob=RIGHT)
    (folder / "bob" / f"{NAME}.ipynb").write_bytes(b"")
    told = []
    batch = grade_batch(folder, workspace, lambda *what: told.append(what), workers=1)
    assert len(batch.grades) == 1 and [problem.student for problem in batch.problems] == ["bob"]
    assert told[-1][1:] == (len(told), len(told), 1)
