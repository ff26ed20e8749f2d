"""An instructor's commands in sequence: class, grade, due dates, export, regrade."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from course_lib.assets import paths
from course_lib.cli import app

NAME = "01_sample"
ROSTER = (
    "Student,ID,SIS Login ID,Section\n"
    '"Lovelace, Ada",101,ada,A\n"Turing, Alan",102,alan,A\n"Hopper, Grace",103,grace,B\n'
)


@pytest.fixture
def course(built, tmp_path, monkeypatch):
    """A function that runs a command in the small course and returns exit code and output."""
    monkeypatch.setattr(paths, "checkout", lambda: built)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roster.csv").write_text(ROSTER)

    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result.exit_code, " ".join(result.output.split())

    return run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_class_is_imported_and_an_error_is_one_sentence(course, built, tmp_path):
    code, text = course("class", "--roster", tmp_path / "roster.csv")
    assert code == 0 and "3 students" in text
    assert (built / "grading" / "workspace" / "roster.csv").is_file()
    code, text = course("class", "--roster", tmp_path / "none.csv")
    assert code == 1 and "does not exist" in text
    code, text = course("regrade")
    assert code == 1 and "run course grade FOLDER first" in text


def test_commands_of_a_grading_day(course, built, tmp_path):
    course("class", "--roster", tmp_path / "roster.csv")
    notebook = (built / "notebooks" / f"{NAME}.ipynb").read_text()
    for student in ("ada", "alan"):
        folder = tmp_path / "class" / student
        folder.mkdir(parents=True)
        (folder / f"{NAME}.ipynb").write_text(
            notebook.replace('answer = \\"\\"', 'answer = \\"A\\"')
        )
        (folder / "timestamp.txt").write_text("2026-05-02 12:00:00 UTC")
    code, text = course("grade", "class", "--workers", "1")
    assert code == 0 and "2 graded, 0 not graded." in text
    names = {row["student"]: row["name"] for row in rows(tmp_path / "grades" / "grades.csv")}
    assert names == {"ada": "Ada Lovelace", "alan": "Alan Turing"}
    missing = rows(tmp_path / "grades" / "not_handed_in.csv")
    assert [row["student"] for row in missing] == ["grace"]
    (built / "grading" / "due_dates.toml").write_text(
        f'timezone = "Europe/Berlin"\n[due]\n{NAME} = 2026-05-01\n'
    )
    code, text = course("export", "--to", "canvas")
    assert code == 0 and f"changed since the last run: ada ({NAME}), alan ({NAME})" in text
    code, text = course("regrade", "--workers", "1")
    assert code == 0 and f"ada, {NAME}: late no -> yes (due date)" in text
    assert {row["late"] for row in rows(tmp_path / "grades" / "grades.csv")} == {"True"}
    code, text = course("export", "--to", "canvas")
    assert code == 0 and "changed since" not in text
    assert [row["SIS Login ID"] for row in rows(tmp_path / "grades" / "canvas.csv")[1:]] == [
        "ada",
        "alan",
    ]
    source = built / "grading" / "workspace" / "source" / NAME / f"{NAME}.ipynb"
    source.write_text(source.read_text().replace('right=\\"B\\"', 'right=\\"A\\"', 1))
    _, text = course("export", "--to", "canvas")
    assert f"graded with an outdated answer key: ada ({NAME}), alan ({NAME})" in text
    code, text = course("export", "--to", "canvas", "--feedback-zip")
    assert code == 1 and "no feedback can be exported to canvas" in text
    assert len(list((tmp_path / "grades" / "runs").iterdir())) == 2
