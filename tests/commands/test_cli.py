"""The ``course`` command: every user's mistake ends in a sentence that names its fix, never in a
traceback.
"""

import json

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
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return run


def said(result) -> str:
    return " ".join((result.output + getattr(result, "stderr", "")).split())


def test_help_names_every_command(course_command):
    result = course_command("--help")
    assert result.exit_code == 0
    for command in (
        "lab",
        "build",
        "grade",
        "export",
        "analyse",
        "doctor",
        "train",
        "evaluate",
        "generate",
        "sd",
    ):
        assert command in result.output


def test_lab_names_the_lessons_there_are(course_command):
    result = course_command("lab", "99")
    assert (
        result.exit_code == 1
        and "there is no lesson '99'" in said(result)
        and "01_" in said(result)
    )


@pytest.mark.parametrize("asked", ["0", "", "²", "ipynb", "_"])
def test_lab_refuses_what_names_no_lesson(course_command, asked):
    result = course_command("lab", asked)
    assert result.exit_code == 1 and "There are: 01_" in said(result)


def test_lab_starts_the_lesson_that_was_asked_for(course_command, monkeypatch):
    started = []
    monkeypatch.setattr("os.execv", lambda program, arguments: started.append(arguments))
    monkeypatch.setattr("os.chdir", lambda folder: None)
    for asked, name in [
        ((), "01_"),
        (("2",), "02_"),
        (("convolution",), "02_"),
        (("notebooks/02_convolution_by_hand.ipynb",), "02_"),
    ]:
        course_command("lab", *asked, "--no-browser")
        (page,) = [
            argument for argument in started[-1] if argument.startswith("--LabApp.default_url=")
        ]
        assert (
            page.startswith(f"--LabApp.default_url=/lab/tree/notebooks/{name}")
            and "--no-browser" in started[-1]
        )
    course_command("lab")
    assert "--no-browser" not in started[-1]


def test_outside_a_checkout_the_fix_is_named(course_command, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: None)
    for command in ("lab", "build"):
        result = course_command(command)
        assert result.exit_code == 1 and "clone" in said(result)


def test_without_the_lab_extra_the_fix_is_named(course_command, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = course_command("lab")
    assert result.exit_code == 1 and "uv sync --extra lab" in said(result)


def test_build_refuses_a_mistake_with_file_and_line(course_command, course, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: course)
    source = course / "solutions" / "01_sample.md"
    source.write_text(source.read_text().replace(":points: 3", ":points: none"))
    result = course_command("build")
    assert result.exit_code == 1 and "01_sample.md:" in said(result) and "points" in said(result)


def test_build_and_check(course_command, course, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: course)
    result = course_command("build", "--check")
    assert result.exit_code == 1 and "run course build" in said(result)
    result = course_command("build")
    assert result.exit_code == 0 and "2 questions, 1 exercises, 6 points" in said(result)
    assert course_command("build", "--check").exit_code == 0
    assert "--graded" in said(course_command("build", "--solutions", course / "solutions"))


def test_grade_says_what_is_missing(course_command, tmp_path, built, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: built)
    monkeypatch.chdir(tmp_path)
    assert "is not there" in said(course_command("grade", tmp_path / "nothing"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no notebook" in said(course_command("grade", empty))
    monkeypatch.setattr(host, "available", lambda: "bubblewrap is not installed")
    unsafe = course_command("grade", empty)
    assert (
        unsafe.exit_code == 1
        and "bubblewrap is not installed" in said(unsafe)
        and "--trusted" in said(unsafe)
    )
    assert "no notebook" in said(course_command("grade", empty, "--trusted"))
    (tmp_path / "file").write_text("")
    assert "give another folder with --out" in said(
        course_command("grade", empty, "--trusted", "--out", tmp_path / "file")
    )


def test_grade_tells_how_far_it_is_how_fast_and_what_was_wrong(
    course_command, tmp_path, built, monkeypatch
):
    monkeypatch.setattr(paths, "checkout", lambda: built)
    for student, text in (
        ("ada", (built / "notebooks" / "01_sample.ipynb").read_text()),
        ("bob", "{"),
    ):
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "01_sample.ipynb").write_text(text)
    result = course_command(
        "grade", tmp_path / "class", "--workers", "1", "--out", tmp_path / "out"
    )
    assert result.exit_code == 1 and "1 graded, 1 not graded." in said(result)
    last = said(result).split("grading:")[-1].split("1 graded")[0]
    assert (
        "2/2" in last
        and "submissions" in last
        and "problems: 1" in last
        and "<00:00" in last.replace(" ", "")
    )


def test_doctor_as_json_says_what_machines_need(course_command, monkeypatch):
    good = Finding("this", "here", True, True, "")
    luxury = Finding("luxury", "not here", False, False, "buy it")
    bad = Finding("that", "broken", False, True, "mend it")
    monkeypatch.setattr(doctor, "examine", lambda: [good, luxury])
    result = course_command("doctor", "--json")
    assert result.exit_code == 0 and json.loads(result.output)["ok"] is True
    monkeypatch.setattr(doctor, "examine", lambda: [good, luxury, bad])
    result = course_command("doctor", "--json")
    told = json.loads(result.output)
    assert (
        result.exit_code == 1 and told["ok"] is False and told["findings"][2]["mend"] == "mend it"
    )
    result = course_command("doctor")
    assert result.exit_code == 1 and "mend it" in said(result) and "missing" in said(result)


def test_doctor_examines_this_machine():
    findings = {finding.what: finding for finding in doctor.examine()}
    for what in ("Python", "torch", "device", "data and checkpoints", "sandbox for students' code"):
        assert what in findings, sorted(findings)
    assert all(f.ok for f in findings.values() if f.needed), [
        f for f in findings.values() if f.needed and not f.ok
    ]
    assert all(f.mend for f in findings.values() if not f.ok)


def test_doctor_survives_what_breaks(monkeypatch):
    def breaks():
        raise OSError("no such thing")

    monkeypatch.setattr(doctor, "_sandbox", breaks)
    (finding,) = [f for f in doctor.examine() if not f.ok and "no such thing" in f.here]
    assert finding.needed and finding.mend
