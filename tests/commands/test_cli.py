"""The ``course`` command: every user error prints one sentence that says what to do, and never a
traceback.
"""

import importlib.util
import json
from pathlib import Path

import pytest
from course_grading.sandbox import host
from typer.testing import CliRunner

from course_lib.assets import paths
from course_lib.cli import app
from course_lib.commands import doctor
from course_lib.commands.doctor import Finding


@pytest.fixture
def course_command():
    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        error = result.exception
        assert error is None or isinstance(error, SystemExit), error
        return result

    return run


def output(result) -> str:
    return " ".join((result.output + getattr(result, "stderr", "")).split())


def test_help_lists_every_command(course_command):
    result = course_command("--help")
    assert result.exit_code == 0
    for command in (
        "lab",
        "progress",
        "check",
        "build",
        "grade",
        "regrade",
        "class",
        "export",
        "analyse",
        "doctor",
        "train",
        "evaluate",
        "generate",
        "sd",
        "site",
    ):
        assert f" {command} " in result.output


@pytest.mark.parametrize(
    "lesson, problem",
    [
        ("98", "there is no lesson '98'"),
        ("0", "there is no lesson"),
        ("", "there is no lesson"),
        ("²", "there is no lesson"),
        ("ipynb", "there is no lesson"),
        ("_", "several lessons match"),
    ],
)
def test_lab_lists_the_lessons_if_none_matches(course_command, lesson, problem):
    result = course_command("lab", lesson)
    assert result.exit_code == 1
    assert problem in output(result) and "Lessons: 01_" in output(result)


@pytest.mark.parametrize(
    "arguments, notebook",
    [
        ((), "01_"),
        (("2",), "02_"),
        (("convolution",), "02_"),
        (("notebooks/02_convolution_by_hand.ipynb",), "02_"),
    ],
)
@pytest.mark.extended
def test_lab_opens_the_lesson(course_command, monkeypatch, arguments, notebook):
    commands = []
    monkeypatch.setattr("os.execv", lambda program, command: commands.append(command))
    monkeypatch.setattr("os.chdir", lambda folder: None)
    course_command("lab", *arguments, "--no-browser")
    course_command("lab", *arguments)
    for command in commands:
        (url,) = [option for option in command if option.startswith("--LabApp.default_url=")]
        assert url.startswith(f"--LabApp.default_url=/lab/tree/notebooks/{notebook}")
        (settings,) = [option for option in command if "app_settings_dir=" in option]
        assert Path(settings.split("=")[1], "page_config.json").is_file()
    assert ["--no-browser" in command for command in commands] == [True, False]


@pytest.mark.parametrize("command", ["lab", "build", "site"])
def test_outside_a_checkout_the_fix_is_named(course_command, monkeypatch, command):
    monkeypatch.setattr(paths, "checkout", lambda: None)
    result = course_command(command)
    assert result.exit_code == 1 and "clone" in output(result)


@pytest.mark.parametrize("command, extra", [("lab", "lab"), ("site", "site")])
def test_without_an_extra_the_fix_is_named(course_command, monkeypatch, command, extra):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = course_command(command)
    assert result.exit_code == 1 and f"uv sync --extra {extra}" in output(result)


def test_site_refuses_a_mode_without_figures(course_command):
    result = course_command("site", "--mode", "grading")
    assert result.exit_code == 1 and "quick or full" in output(result)


def test_build_names_file_and_line_of_a_mistake(course_command, course, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: course)
    source = course / "solutions" / "01_sample.md"
    source.write_text(source.read_text().replace(":points: 3", ":points: none"))
    result = course_command("build")
    assert result.exit_code == 1
    assert "01_sample.md:" in output(result) and "points" in output(result)


def test_build_and_check(course_command, course, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: course)
    result = course_command("build", "--check")
    assert result.exit_code == 1 and "run course build" in output(result)
    result = course_command("build")
    assert result.exit_code == 0 and "2 questions, 1 exercises, 6 points" in output(result)
    assert course_command("build", "--check").exit_code == 0
    assert "--graded" in output(course_command("build", "--solutions", course / "solutions"))


def test_grade_names_what_is_missing(course_command, tmp_path, built, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: built)
    monkeypatch.chdir(tmp_path)
    assert "does not exist" in output(course_command("grade", tmp_path / "nothing"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no notebook" in output(course_command("grade", empty))
    monkeypatch.setattr(host, "unavailable_reason", lambda: "bubblewrap is not installed")
    unsafe = course_command("grade", empty)
    assert unsafe.exit_code == 1
    assert "bubblewrap is not installed" in output(unsafe) and "--trusted" in output(unsafe)
    assert "no notebook" in output(course_command("grade", empty, "--trusted"))
    (tmp_path / "file").write_text("")
    refused = course_command("grade", empty, "--trusted", "--out", tmp_path / "file")
    assert "give another folder with --out" in output(refused)


def test_grade_shows_progress_and_problems(course_command, tmp_path, built, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: built)
    notebook = (built / "notebooks" / "01_sample.ipynb").read_text()
    for student, text in (("ada", notebook), ("bob", "{")):
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "01_sample.ipynb").write_text(text)
    result = course_command(
        "grade", tmp_path / "class", "--workers", "1", "--out", tmp_path / "out"
    )
    assert result.exit_code == 1 and "1 graded, 1 not graded." in output(result)
    bar = output(result).split("grading:")[-1].split("1 graded")[0]
    assert "2/2" in bar and "submissions" in bar and "problems: 1" in bar
    assert "<00:00" in bar.replace(" ", "")


GOOD = Finding("Python", "3.11", True, True, "")
OPTIONAL = Finding("grading", "not installed", False, False, "install nbgrader")
BAD = Finding("torch", "broken", False, True, "reinstall torch")


def test_doctor_prints_json(course_command, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda: [GOOD, OPTIONAL])
    result = course_command("doctor", "--json")
    assert result.exit_code == 0 and json.loads(result.output)["ok"] is True
    monkeypatch.setattr(doctor, "examine", lambda: [GOOD, OPTIONAL, BAD])
    result = course_command("doctor", "--json")
    report = json.loads(result.output)
    assert result.exit_code == 1 and report["ok"] is False
    assert report["findings"][2] == {
        "name": "torch",
        "state": "broken",
        "ok": False,
        "required": True,
        "fix": "reinstall torch",
        "details": [],
    }


def test_doctor_prints_a_table(course_command, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda: [GOOD, OPTIONAL, BAD])
    result = course_command("doctor")
    assert result.exit_code == 1
    assert "reinstall torch" in output(result) and "has failed" in output(result)
    monkeypatch.setattr(doctor, "examine", lambda: [GOOD, OPTIONAL])
    result = course_command("doctor")
    assert result.exit_code == 0 and "can run the course" in output(result)


def test_doctor_examines_this_machine():
    findings = {finding.name: finding for finding in doctor.examine()}
    expected = ("Python", "torch", "device", "data and checkpoints", "sandbox for students' code")
    assert set(expected) <= set(findings)
    assert [f for f in findings.values() if f.required and not f.ok] == []
    assert all(finding.fix for finding in findings.values() if not finding.ok)


def test_doctor_reports_a_failed_check(monkeypatch):
    def _sandbox():
        raise OSError("no such thing")

    monkeypatch.setattr(doctor, "_sandbox", _sandbox)
    (finding,) = [f for f in doctor.examine() if not f.ok and "no such thing" in f.state]
    assert finding.name == "sandbox" and finding.required and finding.fix
