"""The example workflow for GitHub Classroom: its steps work on a student's repository."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from course_grading.reports.student_comment import make_comment

from tests.support.checkout import ROOT
from tests.support.command import course_command, environment

NAME = "01_sample"
STUDENT = "lesson-1-ada"
GH = """#!/bin/sh
case "$1 $2" in
  "pr list") cat number ;;
  "pr comment") echo "$3" > commented; cp "$5" comment.md ;;
esac
"""


def write_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def runner(built, tmp_path):
    """A function that runs the named steps as GitHub does and returns the job's folder."""
    job = tmp_path / "job"
    (job / "handed-in").mkdir(parents=True)
    (job / "temporary").mkdir()
    command = shlex.join([*course_command(built)])
    write_script(job / "course" / ".venv" / "bin" / "course", f'#!/bin/sh\nexec {command} "$@"\n')
    python = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n'
    write_script(job / "course" / ".venv" / "bin" / "python", python)
    write_script(job / "bin" / "gh", GH)
    (workflow,) = yaml.safe_load((ROOT / "docs" / "github_classroom.yml").read_text())[
        "jobs"
    ].values()

    def run(*names: str) -> Path:
        for name in names:
            (step,) = [s for s in workflow["steps"] if s.get("name", "").startswith(name)]
            variables = {
                "STUDENT": STUDENT,
                "PUSHED_AT": "1777723200",
                "RUNNER_TEMP": str(job / "temporary"),
                "GITHUB_STEP_SUMMARY": str(job / "summary.md"),
                "PATH": f"{job / 'bin'}{os.pathsep}{os.environ['PATH']}",
            }
            subprocess.run(
                ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
                cwd=job / step.get("working-directory", "."),
                env={**environment(), **variables},
                check=True,
            )
        return job

    return run


@pytest.mark.extended
def test_push_is_graded_and_commented(runner, submission, tmp_path, built):
    job = tmp_path / "job"
    (built / "grading" / "due_dates.toml").write_text(
        f'timezone = "UTC"\n[due]\n{NAME} = 2026-05-02 11:00:00\n'
    )
    notebooks = job / "handed-in" / "my work"
    notebooks.mkdir()
    (notebooks / f"{NAME}.ipynb").write_bytes(submission(which_letters_answer='answer = "AC"'))
    (notebooks / "other.ipynb").symlink_to(built / "pyproject.toml")
    (job / "number").write_text("7\n")
    runner("Collect", "Grade", "Comment")
    comment = (job / "comment.md").read_text()
    assert comment.startswith("### Feedback\n\n**01\\_sample: 3 of 6 points, late**\n")
    assert "| which-letters | 3 of 3 | Recorded: AC. |\n" in comment
    assert "| double | 0 of 2 | Not answered: the cell is unchanged. |\n" in comment
    assert "Not graded" not in comment
    assert (job / "summary.md").read_text() == comment
    assert (job / "commented").read_text() == "7\n"


def test_without_a_pull_request_there_is_no_comment(runner, tmp_path):
    job = tmp_path / "job"
    (job / "number").write_text("")
    (job / "temporary" / "comment.md").write_text("")
    runner("Comment")
    assert not (job / "commented").exists()


def test_comment_lists_ungraded_files_and_no_other_student(tmp_path):
    assert "push a notebook of the course" in make_comment(tmp_path, "ada")
    (tmp_path / "grades.csv").write_text(
        "student,name,lesson,score,max_score,late,needs_manual\n"
        "ada,,01_a,1.25,2,False,True\nbob,,01_a,2,2,False,False\n"
    )
    (tmp_path / "items.csv").write_text(
        "student,lesson,item,score,max_score,manual,answer,message\n"
        "ada,01_a,one,,2,True,A,@bob <b>| look\nbob,01_a,one,2,2,False,A,\n"
    )
    (tmp_path / "problems.csv").write_text("student,lesson,file,reason\n,,x.ipynb,it is empty\n")
    assert make_comment(tmp_path, "ada") == (
        "### Feedback\n\n**01\\_a: 1.25 of 2 points, not final**\n\n"
        "| item | points | |\n| --- | ---: | --- |\n"
        "| one | - of 2 | @bob \\<b\\>\\| look |\n\nNot graded:\n\n- x.ipynb: it is empty\n"
    )
