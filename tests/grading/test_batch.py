"""A grading run: its records, incremental and repeated grading, and resuming after SIGKILL."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from multiprocessing import active_children
from pathlib import Path

import pytest
from course_grading import batch as batch_module
from course_grading.autograde import workers
from course_grading.autograde.grade import GradingTask, SubmissionResult, grade_submission
from course_grading.batch import Batch, grade_batch
from course_grading.errors import IntakeError, SandboxUnavailableError
from course_grading.gradebook import feedback, record
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.sandbox import host
from filelock import FileLock

NAME = "01_sample"
RIGHT = {"which_letters_answer": 'answer = "AC"', "double_code": "def double(x):\n    return x + x"}
HALF = {"which_letters_answer": 'answer = "A"', "double_code": "def double(x):\n    return 3 * x"}


@pytest.fixture
def submit(tmp_path, submission, same_process):
    """A function that writes submissions to the class's folder and returns it."""

    def write(**students: dict[str, str]) -> Path:
        for student, sources in students.items():
            path = tmp_path / "class" / student / f"{NAME}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(submission(**sources))
        return tmp_path / "class"

    return write


@pytest.fixture
def graded_students(monkeypatch):
    """The students whose submissions a run graded, without those reused from an earlier run."""
    students = []
    grade_all = workers.grade_all

    def observed(tasks, *arguments, **keywords):
        tasks = (students.append(task.student) or task for task in tasks)
        return grade_all(tasks, *arguments, **keywords)

    monkeypatch.setattr(workers, "grade_all", observed)
    return students


@pytest.fixture
def cluster(request):
    """Dask workers on this machine, as many as the test asks for."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=request.param, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


def scores(batch: Batch) -> dict[str, float]:
    assert batch.problems == [] and batch.audit_findings == []
    return {grade.student: grade.score for grade in batch.grades}


def gradebook_scores(workspace: Path) -> dict[str, float]:
    with open_api(workspace).gradebook as gradebook:
        return {s.student_id: s.score for s in gradebook.assignment_submissions(NAME)}


def test_second_run_grades_only_changed_submissions(
    workspace, submit, graded_students, monkeypatch
):
    folder = submit(ada=RIGHT, bob=HALF)
    assert scores(grade_batch(folder, workspace, workers=1)) == {"ada": 5, "bob": 1.5}
    graded_students.clear()
    with monkeypatch.context() as patch:
        patch.setattr(record, "record_result", lambda *_: pytest.fail("it was recorded before"))
        assert scores(grade_batch(folder, workspace, workers=1)) == {"ada": 5, "bob": 1.5}
    assert graded_students == []
    submit(bob=RIGHT)
    assert scores(grade_batch(folder, workspace, workers=1)) == {"ada": 5, "bob": 5}
    assert graded_students == ["bob"]
    assert gradebook_scores(workspace) == {"ada": 5, "bob": 5}


def test_failed_regrade_flags_the_old_score_and_keeps_the_old_result(workspace, submit):
    folder = submit(ada=RIGHT)
    grade_batch(folder, workspace, workers=1)
    result = record.load_result(workspace, "ada", NAME)
    good = (folder / "ada" / f"{NAME}.ipynb").read_bytes()
    (folder / "ada" / f"{NAME}.ipynb").write_text("{")
    batch = grade_batch(folder, workspace, workers=1)
    assert batch.grades == [] and batch.audit_findings == []
    assert "earlier grade" in batch.problems[0].reason
    with open_api(workspace).gradebook as gradebook:
        assert gradebook.find_submission(NAME, "ada").needs_manual_grade
    previous = workspace / "marked" / "ada" / f"{NAME}.previous.json"
    assert SubmissionResult.from_json(previous.read_text()) == result
    (folder / "ada" / f"{NAME}.ipynb").write_bytes(good)
    batch = grade_batch(folder, workspace, workers=1)
    assert scores(batch) == {"ada": 5} and not batch.grades[0].needs_manual


def test_outdated_and_unreadable_results_are_graded_again(workspace, submit, graded_students):
    """A result whose digest differs, or that cannot be read, is graded again."""
    folder = submit(ada=RIGHT, bob=RIGHT)
    for student, text in (("ada", '{"marks": [], "sources": []}'), ("bob", "{")):
        path = record.result_path(workspace, student, NAME)
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert scores(grade_batch(folder, workspace, workers=1)) == {"ada": 5, "bob": 5}
    assert sorted(graded_students) == ["ada", "bob"]


def test_non_literals_are_flagged_for_manual_grading(workspace, submit):
    folder = submit(ada={"which_letters_answer": "answer = str()"})
    batch = grade_batch(folder, workspace, workers=1)
    assert scores(batch) == {"ada": 0} and batch.grades[0].needs_manual


def test_manual_grades_are_kept(workspace, submit):
    folder = submit(ada=HALF)
    grade_batch(folder, workspace, workers=1)
    with open_api(workspace).gradebook as gradebook:
        grade = gradebook.find_grade("double", NAME, NAME, "ada")
        grade.manual_score, grade.extra_credit = 1.0, 0.25
        gradebook.db.commit()
    submit(ada=RIGHT)
    batch = grade_batch(folder, workspace, workers=1)
    assert scores(batch) == {"ada": 4.25} and batch.grades[0].needs_manual


def test_audit_finds_a_changed_and_a_missing_score(workspace, submit):
    folder = submit(ada=RIGHT, bob=RIGHT)
    grade_batch(folder, workspace, workers=1)
    with open_api(workspace).gradebook as gradebook:
        gradebook.find_grade("double", NAME, NAME, "ada").auto_score = 1.0
        gradebook.find_grade("double", NAME, NAME, "bob").auto_score = None
        gradebook.db.commit()
    changed, lost = grade_batch(folder, workspace, workers=1).audit_findings
    assert "ada" in changed and "gradebook has 1" in changed
    assert "bob" in lost and "no score" in lost


def test_without_a_sandbox_nothing_runs_unless_trusted(workspace, submit, monkeypatch):
    folder = submit(ada=RIGHT)
    monkeypatch.setattr(host, "unavailable_reason", lambda: "there is none")
    with pytest.raises(SandboxUnavailableError, match="there is none"):
        grade_batch(folder, workspace)
    assert scores(grade_batch(folder, workspace, workers=1, trusted=True)) == {"ada": 5}


@pytest.mark.parametrize("visible", ["course", "class"])
def test_run_is_refused_if_the_sandbox_exposes_keys_or_submissions(
    workspace, submit, monkeypatch, tmp_path, visible
):
    """The run is refused if the sandbox shows the checkout (for example in /usr/src) or the
    submissions.
    """
    folder = submit(ada=RIGHT)
    # the real check would start a sandbox that shows only these places
    monkeypatch.setattr(host, "unavailable_reason", lambda: None)
    monkeypatch.setattr(host, "visible_places", lambda: ["/usr", str(tmp_path / visible)])
    with pytest.raises(SandboxUnavailableError, match="which is visible in the sandbox: move it"):
        grade_batch(folder, workspace)


def test_workspace_is_locked_during_a_run(workspace, submit):
    folder = submit(ada=RIGHT)
    with (
        FileLock(workspace / "grading.lock"),
        pytest.raises(IntakeError, match="another run of course is using"),
    ):
        grade_batch(folder, workspace, workers=1)
    assert scores(grade_batch(folder, workspace, workers=1)) == {"ada": 5}


def test_late_penalty_is_subtracted(workspace, submit):
    folder = submit(ada=RIGHT)
    (folder / "ada" / "timestamp.txt").write_text("2026-10-02 10:00:00 UTC")
    with open_api(workspace).gradebook as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate=datetime(2026, 10, 1))
    (workspace.parent / "nbgrader_config.py").write_text(TWO_POINTS)
    (grade,) = grade_batch(folder, workspace, workers=1).grades
    assert (grade.score, grade.late) == (3, True)


# A penalty rule that takes precedence over a penalty in the gradebook.
TWO_POINTS = """
from nbgrader.plugins import BasePlugin

class TwoPoints(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 2.0

get_config().AssignLatePenalties.plugin_class = TwoPoints
"""

# A run that kills itself with SIGKILL at the second call of a function (at the first of `wait`).
KILLED = """
import os, sys
from pathlib import Path
from course_grading.batch import grade_batch
from course_grading.gradebook import feedback, record
from nbgrader.apps.api import NbGraderAPI

owners = {"record": record, "api": NbGraderAPI, "pages": feedback.FeedbackPages}
owner, name = owners[sys.argv[1]], sys.argv[2]
original, calls = getattr(owner, name), []

def killed(*arguments, **keywords):
    calls.append(name)
    if len(calls) == 2 or name == "wait":
        os.kill(os.getpid(), 9)
    return original(*arguments, **keywords)

if __name__ == "__main__":
    setattr(owner, name, killed)
    grade_batch(Path(sys.argv[3]), Path(sys.argv[4]), workers=1)
"""


@pytest.mark.parametrize(
    ("owner", "function", "most_graded_again"),
    [
        ("record", "save_result", 2),
        pytest.param("api", "autograde", 1, marks=pytest.mark.slow),
        pytest.param("record", "record_result", 1, marks=pytest.mark.slow),
        pytest.param("pages", "request", 1, marks=pytest.mark.slow),
        pytest.param("pages", "wait", 0, marks=pytest.mark.slow),
    ],
)
@pytest.mark.extended
def test_killed_run_can_be_resumed(
    workspace, submit, tmp_path, graded_students, owner, function, most_graded_again
):
    folder = submit(ada=RIGHT, bob=HALF, eve=RIGHT)
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, tmp_path / "killed.py", owner, function, folder, workspace]
    environment = {**os.environ, "PYTHONPATH": str(Path(batch_module.__file__).parents[2])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    expected = {"ada": 5, "bob": 1.5, "eve": 5}
    assert scores(grade_batch(folder, workspace, workers=1)) == expected
    # stored results are not graded again; a run may store one before an earlier page is requested
    assert len(graded_students) <= most_graded_again
    for student in expected:
        assert feedback.page_path(workspace, student, NAME).is_file()
    assert gradebook_scores(workspace) == expected


def test_feedback_has_messages_but_no_hidden_input(workspace, submit):
    batch = grade_batch(submit(ada=HALF), workspace, workers=1)
    page = batch.feedback["ada", NAME].read_text()
    assert "Twice two is four" in page and "Recorded: A." in page
    for secret in ("twice_as_much", "def cases", "rng", "score_cases"):
        assert secret not in page


def make_tasks(task, submission, count: int) -> list[GradingTask]:
    return [task(submission(**RIGHT), student=f"student-{number}") for number in range(count)]


def test_submission_of_a_killed_worker_is_retried(task, submission, key):
    results = []
    for result in workers.grade_all(make_tasks(task, submission, 8), {NAME: key}, workers=2):
        if not results:
            active_children()[0].kill()
        results.append(result)
    assert sorted(result.student for result in results) == [f"student-{n}" for n in range(8)]
    for result in results:
        assert not result.problem and sum(item.score for item in result.items) == 5


def _ends_its_process(task):
    if task.student == "student-1":
        os._exit(1)
    return grade_submission(task, workers._keys[task.lesson])


@pytest.mark.extended
def test_submission_that_always_kills_its_worker_is_a_problem(task, submission, key, monkeypatch):
    # The worker processes import `workers`, so the function that they call is passed by name.
    monkeypatch.setattr(workers, "_grade_in_worker", _ends_its_process)
    tasks = make_tasks(task, submission, 3)
    problems = {
        result.student: result.problem
        for result in workers.grade_all(tasks, {NAME: key}, workers=1)
    }
    assert "3 times" in problems.pop("student-1")
    assert problems == {"student-0": "", "student-2": ""}


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [2], indirect=True)
def test_cluster_gives_the_same_results_byte_for_byte(task, submission, key, cluster):
    tasks = make_tasks(task, submission, 6)
    local = {r.student: r.to_json() for r in workers.grade_all(tasks, {NAME: key}, workers=1)}
    remote = {}
    for result in workers.grade_all(tasks, {NAME: key}, dask=cluster.scheduler_address):
        if not remote:
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        remote[result.student] = result.to_json()
    assert remote == local


@pytest.mark.parametrize("cluster", [1], indirect=True)
@pytest.mark.extended
def test_run_on_a_cluster_records_the_same(workspace, submit, tmp_path, cluster):
    copy = shutil.copytree(workspace, tmp_path / "copy")
    folder = submit(ada=RIGHT, bob=HALF, eve={"which_letters_answer": "answer = str()"})
    (folder / "joe").mkdir()
    (folder / "joe" / f"{NAME}.ipynb").write_text("{")
    remote = grade_batch(folder, workspace, dask=cluster.scheduler_address)
    local = grade_batch(folder, copy, workers=1)
    assert remote.grades == local.grades
    assert remote.items == local.items and remote.problems == local.problems
    assert remote.audit_findings == [] and len(remote.grades) == 3 and len(remote.problems) == 1
    for student in ("ada", "bob", "eve"):
        results = [record.load_result(place, student, NAME) for place in (workspace, copy)]
        assert results[0].items == results[1].items and results[0].sources == results[1].sources


def test_progress_reports_completed_submissions_and_problems(workspace, submit):
    folder = submit(ada=RIGHT, bob=RIGHT)
    (folder / "bob" / f"{NAME}.ipynb").write_bytes(b"")
    reports = []
    batch = grade_batch(folder, workspace, lambda *report: reports.append(report), workers=1)
    assert len(batch.grades) == 1 and [problem.student for problem in batch.problems] == ["bob"]
    assert reports[-1][1:] == (len(reports), len(reports), 1)
