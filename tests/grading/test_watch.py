"""``course grade --watch`` grades each arriving file once it is complete, and survives errors."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from course_grading.batch import Batch, Grade
from course_grading.collect.archives import open_submissions
from course_grading.collect.problems import Problem
from course_grading.errors import IntakeError
from course_grading.watch import (
    RETRY_AFTER,
    FolderWatch,
    Interruption,
    Reporter,
    StopWatching,
    refuse_reason,
    watch,
)

from tests.support.command import course_command, environment

NAME = "01_sample"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_file_is_complete_when_it_has_stopped_growing(tmp_path):
    arrivals = FolderWatch(tmp_path)
    assert arrivals.poll() == set()
    ada = write(tmp_path / "ada" / "a.ipynb", "{")
    assert arrivals.poll() == set()  # it may still grow
    write(ada, "{}")
    bob = write(tmp_path / "bob" / "b.ipynb", "{}")
    assert arrivals.poll() == set()
    write(bob, "{} ")
    assert arrivals.poll() == {"ada/a.ipynb"}
    assert arrivals.poll() == {"ada/a.ipynb", "bob/b.ipynb"}
    arrivals.accept()
    assert arrivals.poll() == set()


def test_replaced_file_counts_as_new_and_removed_file_does_not(tmp_path):
    ada = write(tmp_path / "ada.ipynb", "{}")
    write(tmp_path / ".DS_Store", "x")
    arrivals = FolderWatch(tmp_path)
    arrivals.poll()
    assert arrivals.poll() == {"ada.ipynb"}
    arrivals.accept()
    write(tmp_path / "new", "{}")
    os.replace(tmp_path / "new", ada)
    assert arrivals.poll() == set() and arrivals.poll() == {"ada.ipynb"}
    arrivals.accept()
    ada.unlink()
    assert arrivals.poll() == set() and arrivals.poll() == set()


def test_temporarily_missing_folder_is_no_error(tmp_path):
    arrivals = FolderWatch(tmp_path / "later")
    assert arrivals.poll() == set()
    write(tmp_path / "later" / "ada.ipynb", "{}")
    arrivals.poll()
    assert arrivals.poll() == {"ada.ipynb"}


def test_only_complete_files_are_opened(tmp_path):
    write(tmp_path / "ada" / "a.ipynb", "{}")
    write(tmp_path / "bob" / "b.ipynb", "{")
    with open_submissions(tmp_path, {"ada/a.ipynb"}) as (files, problems):
        assert list(files) == ["ada", "ada/a.ipynb"] and problems == []


def run_watch(folder: Path, grade, polls: int) -> list[str]:
    """The lines that a watch prints in the given number of polls."""
    printed: list[str] = []
    left = iter(range(polls))

    def wait() -> None:
        if next(left, None) is None:
            raise StopWatching

    watch(folder, grade, printed.append, wait)
    return printed


def test_each_arrival_is_graded_once(tmp_path):
    write(tmp_path / "ada.ipynb", "{}")
    runs = []

    def grade(names):
        runs.append(sorted(names))
        if len(runs) == 1:
            write(tmp_path / "bob.ipynb", "{}")
        return [f"run {len(runs)}"]

    assert run_watch(tmp_path, grade, 9) == ["run 1", "run 2"]
    assert runs == [["ada.ipynb"], ["ada.ipynb", "bob.ipynb"]]


def test_failed_run_is_reported_once_and_retried(tmp_path):
    write(tmp_path / "ada.ipynb", "{}")
    errors = [
        IntakeError("another run is at work"),
        IntakeError("another run is at work"),
        TypeError(),
    ]

    def grade(names):
        if errors:
            raise errors.pop(0)
        return ["graded"]

    printed = run_watch(tmp_path, grade, 3 * RETRY_AFTER + 2)
    assert printed == [
        "nothing was graded: another run is at work",
        "nothing was graded: TypeError: ",
        "graded",
    ]


def test_control_c_waits_for_the_current_run():
    printed: list[str] = []
    interruption = Interruption(printed.append)
    before = signal.getsignal(signal.SIGINT)
    with interruption.handled():
        with pytest.raises(StopWatching):
            signal.raise_signal(signal.SIGINT)
        with interruption.at_work():
            signal.raise_signal(signal.SIGINT)
            assert len(printed) == 1 and "Ctrl-C again" in printed[0]
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        with pytest.raises(StopWatching):
            interruption.wait()
    assert signal.getsignal(signal.SIGINT) is before


def test_reporter_prints_a_line_per_new_or_changed_submission():
    def run(ada: float, *problems: Problem) -> Batch:
        grades = [
            Grade("ada", NAME, ada, 5, late=True, needs_manual=False),
            Grade("bob", NAME, 2.5, 5, late=False, needs_manual=True),
        ]
        return Batch(class_grades=grades, problems=[*problems])

    broken = Problem("eve", NAME, "eve.ipynb", "it is empty")
    reporter = Reporter({})
    bob = f"bob, {NAME}: 2.5 of 5 points, to be graded manually"
    problem = "eve.ipynb: not graded: it is empty"
    assert [*reporter.lines(run(5, broken))] == [f"ada, {NAME}: 5 of 5 points, late", bob, problem]
    assert [*reporter.lines(run(5, broken))] == []
    assert [*reporter.lines(run(4))] == [f"ada, {NAME}: 4 of 5 points, late"]
    assert [*reporter.lines(run(4, broken))] == [problem]


def test_folder_that_contains_the_output_is_refused(tmp_path):
    assert refuse_reason(tmp_path, tmp_path.parent / "grades") == ""
    assert "would be treated as submissions" in refuse_reason(tmp_path, tmp_path / "grades")
    zipped = write(tmp_path / "class.zip", "")
    assert "--watch needs a folder" in refuse_reason(zipped, tmp_path / "grades")


@pytest.mark.extended
def test_command_grades_arriving_files_until_control_c(built, tmp_path, submission):
    """Files are graded as they arrive, and Ctrl-C writes all tables as a normal run does."""
    folder = tmp_path / "class"
    folder.mkdir()
    command = [*course_command(built), "grade", "--watch", folder, "--out", tmp_path / "out"]
    with subprocess.Popen(
        [*command, "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as process:
        lines = iter(process.stdout)
        assert next(lines).startswith(f"Watching {folder}")
        for student, content in (
            ("ada", submission(which_letters_answer='answer = "AC"')),
            ("bob", b"{"),
        ):
            path = tmp_path / "arriving"
            path.write_bytes(content)
            (folder / student).mkdir()
            os.replace(path, folder / student / f"{NAME}.ipynb")
            line = next(lines)
            assert line.startswith(
                f"ada, {NAME}: 3 of 6 points"
                if student == "ada"
                else f"bob/{NAME}.ipynb: not graded: "
            ), line
        os.killpg(process.pid, signal.SIGINT)
        rest = [*lines]
        assert rest[-1].startswith("Ended. Everything is written"), rest
    assert process.returncode == 0
    grades = (tmp_path / "out" / "grades.csv").read_text("utf-8-sig").splitlines()
    assert grades[1].startswith(f"ada,,{NAME},3.0,6.0")
    assert "bob" in (tmp_path / "out" / "problems.csv").read_text("utf-8-sig")
