"""``course progress``, ``course check``, and ``course lab``, which resumes at the last cell."""

import json

import pytest
from course_grading.sandbox import host
from typer.testing import CliRunner

from course_lib.assets import paths
from course_lib.cli import app
from course_lib.commands import self_check
from course_lib.learner import record
from course_lib.quiz import question_bank
from tests.support import learner as work


@pytest.fixture
def learner(built, monkeypatch, tmp_path):
    """The small course's ``notebooks/``; answer keys are cached in a temporary folder."""
    monkeypatch.setattr(question_bank, "FOLDER", built / "course_lib" / "quiz" / "bank")
    monkeypatch.setattr(paths, "checkout", lambda: built)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(built)
    return built / "notebooks"


@pytest.fixture
def notebook(learner):
    return learner / "01_sample.ipynb"


@pytest.fixture
def run():
    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        error = result.exception
        assert error is None or isinstance(error, SystemExit), error
        return result

    return invoke


def text(result) -> str:
    return " ".join((result.output + getattr(result, "stderr", "")).split())


def outcomes(result) -> dict[str, tuple[float, str]]:
    """Item name -> score and message, from the output of ``course check --json``."""
    report = json.loads(result.stdout)
    return {item["name"]: (item["earned"], item["message"]) for item in report["items"]}


@pytest.fixture
def without_sandbox(monkeypatch):
    """A machine without bubblewrap: exercises run with the learner's rights."""
    monkeypatch.setattr(host, "unavailable_reason", lambda: "bubblewrap is not installed")


def test_progress_shows_the_lesson(run, notebook):
    work.answer(notebook, "how-many", "A")
    shown = run("progress")
    assert shown.exit_code == 0
    assert "1 of 2, 0 right" in text(shown) and "Look at again" in text(shown)
    assert "How many is two and two? (wrong, 0 of 1)" in text(shown)
    assert "double (not done" in text(run("progress", "--lesson", "1"))


def test_progress_of_another_folder(run, notebook, tmp_path):
    work.answer(notebook, "how-many", "B")
    (tmp_path / "down").mkdir()
    work.as_from_colab(notebook, tmp_path / "down" / "Copy of 01_sample.ipynb")
    shown = run("progress", "--folder", tmp_path / "down", "--json")
    assert json.loads(shown.stdout)["earned"] == 1
    assert "is not a folder" in text(run("progress", "--folder", tmp_path / "gone"))


@pytest.mark.parametrize("command", ["progress --lesson 9", "check 9"])
def test_unknown_lesson_is_refused(run, learner, command):
    result = run(*command.split())
    assert result.exit_code == 1 and "01_sample" in text(result)


def test_import_adds_the_websites_answers(run, learner, notebook, tmp_path):
    file = tmp_path / "exported.json"
    entry = {"answer": "AC", "points": 3, "of": 3, "checked": "2026-11-01T10:00:00.000Z"}
    lessons = {"01_sample": {"which-letters": entry}}
    file.write_text(json.dumps({"format": record.FORMAT, "version": 1, "lessons": lessons}))
    before = notebook.read_bytes()
    shown = run("progress", "--import", file, "--json")
    assert json.loads(shown.stdout)["earned"] == 3
    assert "Read 1 answer; 1 new or newer than here." in text(shown)
    assert "0 new or newer" in text(run("progress", "--import", file))
    assert notebook.read_bytes() == before
    file.write_text("{")
    refused = run("progress", "--import", file)
    assert refused.exit_code == 1 and "Nothing was changed" in text(refused)
    assert "can't be read" in text(run("progress", "--import", tmp_path / "gone.json"))
    assert json.loads(run("progress", "--json").stdout)["earned"] == 3


def test_check_gives_every_item_a_message(run, learner, notebook, without_sandbox):
    work.answer(notebook, "which-letters", "A")
    work.answer(notebook, "how-many", "X")
    work.solve(notebook, work.WRONG)
    result = run("check", "1", "--json")
    assert result.exit_code == 1
    found = outcomes(result)
    assert found["which-letters"] == (
        1.5,
        "A earns 1.5 of 3 points: its cell explains every option.",
    )
    assert found["how-many"][0] == 0 and "not one of the letters" in found["how-many"][1]
    assert found["double"][0] == 0 and "hidden cases" in found["double"][1]
    assert not [message for _, message in found.values() if "instructor" in message]
    assert "runs as your user, without a sandbox: bubblewrap is not installed" in text(result)
    shown = run("check", "sample")
    assert shown.exit_code == 1 and "0 of 3 questions and exercises are right" in text(shown)


def test_check_of_an_untouched_lesson_runs_nothing(run, learner, without_sandbox):
    result = run("check", "1", "--json")
    found = outcomes(result)
    assert result.exit_code == 1 and {earned for earned, _ in found.values()} == {0}
    assert found["how-many"][1] == "No answer."
    assert "unchanged" in found["double"][1]
    assert "without a sandbox" not in text(result)


def test_check_exits_with_0_if_all_is_correct_and_progress_agrees(
    run, learner, notebook, without_sandbox, tmp_path
):
    work.answer(notebook, "which-letters", "AC")
    work.solve(notebook, work.RIGHT)
    file = tmp_path / "exported.json"
    entry = {"answer": "B", "points": 1, "of": 1, "checked": "2026-11-01T10:00:00.000Z"}
    lessons = {"01_sample": {"how-many": entry}}
    file.write_text(json.dumps({"format": record.FORMAT, "version": 1, "lessons": lessons}))
    run("progress", "--import", file)
    result = run("check", "1")
    assert result.exit_code == 0, text(result)
    assert "6 of 6 points; 3 of 3" in text(result)
    report = json.loads(run("progress", "--json").stdout)
    assert report["lessons"][0]["done"] and report["next"] is None


def test_hidden_checks_run_again_only_for_changed_code(
    run, learner, notebook, without_sandbox, monkeypatch
):
    work.solve(notebook, work.RIGHT)
    assert "checking double" in text(run("progress", "--checks"))
    assert "checking double" not in text(run("progress", "--checks"))
    work.answer(notebook, "how-many", "B")
    assert "checking double" not in text(run("check", "1"))
    work.solve(notebook, work.WRONG)
    assert "checking double" in text(run("check", "1"))
    assert json.loads(run("progress", "--json").stdout)["lessons"][0]["items"][2]["earned"] == 0


@pytest.mark.parametrize(
    "code, words",
    [
        ("def double(x):\n    return x +", "SyntaxError"),
        ("def double(x):\n    raise NotImplementedError()  # later", "NotImplementedError"),
        ("def double(x):\n    x * 2", "Twice two is four"),
        ("def triple(x):\n    return 3 * x", "does not define double"),
        ("def double(x):\n    return y", "name 'y' is not defined"),
        ("double = 3", "TypeError"),
        ("def double(x):\n    return [2 * x]", "Twice two is four"),
        ("def double(x):\n    return 4", "0 of 4"),
        ("def double(x):\n    return abs(2 * np.asarray(x))", "hidden cases"),
        ("import os\nos._exit(0)\ndef double(x): return 2 * x", "ended the Python process"),
    ],
)
def test_wrong_code_earns_nothing_and_the_message_says_why(
    run, learner, notebook, without_sandbox, code, words
):
    work.solve(notebook, code)
    earned, message = outcomes(run("check", "1", "--json"))["double"]
    assert earned < 2 and words in message


def test_sandbox_is_used_if_available(run, learner, notebook):
    if reason := host.unavailable_reason():
        pytest.skip(reason)
    secret = learner.parent / "secret"
    secret.write_text("x")
    sees_it = f"os.path.exists({str(secret)!r})"
    code = f"import os\ndef double(x):\n    return 2 * x if {sees_it} else 0 * x"
    work.solve(notebook, code)
    result = run("check", "1", "--json")
    assert "without a sandbox" not in text(result)
    assert outcomes(result)["double"][0] == 0


def test_check_names_what_is_missing(run, learner, notebook):
    notebook.write_text("{")
    result = run("check", "1")
    assert result.exit_code == 1 and "can't be read as a notebook" in text(result)
    notebook.unlink()
    assert "contains no notebook of lesson 01_sample" in text(run("check", "1"))
    (learner / record.NAME).write_text("{")
    assert "move it away" in text(run("progress", "--checks"))


def test_error_in_the_lesson_source_names_its_line(run, learner, notebook):
    work.solve(notebook, work.RIGHT)
    source = learner.parent / "solutions" / "01_sample.md"
    source.write_text(source.read_text().replace(":points: 3", ":points: none"))
    result = run("check", "1")
    assert result.exit_code == 1 and "01_sample.md:" in text(result)


def test_answer_key_equals_the_key_of_the_build(learner):
    """``course check`` builds the key without a gradebook; it equals the key of a class."""
    from course_grading.autograde import answer_keys

    root = learner.parent
    ours = self_check.answer_key(root / "solutions" / "01_sample.md")
    theirs = answer_keys.read(root / "grading" / "workspace", "01_sample")
    assert (ours.questions, ours.exercises) == (theirs.questions, theirs.exercises)
    cells = [
        [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(key.release)["cells"]]
        for key in (ours, theirs)
    ]
    assert cells[0] == cells[1]


def lab_arguments(run, monkeypatch, *arguments) -> list[str]:
    commands: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda program, command: commands.append(command))
    monkeypatch.setattr("os.chdir", lambda folder: None)
    result = run("lab", *arguments)
    assert result.exit_code == 0, result.output
    return [*commands[0], result.output]


def test_lab_opens_the_first_lesson_for_a_new_learner(run, learner, monkeypatch):
    *arguments, shown = lab_arguments(run, monkeypatch)
    assert "--LabApp.default_url=/lab/tree/notebooks/01_sample.ipynb" in arguments
    assert "jupyterlab" in arguments and "section" not in shown


def test_lab_opens_the_cell_where_the_learner_stopped(run, learner, notebook, monkeypatch):
    work.answer(notebook, "which-letters", "AC")
    for chosen in ((), ("1",)):
        *arguments, shown = lab_arguments(run, monkeypatch, *chosen)
        assert "--LabApp.default_url=/lab/tree/notebooks/01_sample.ipynb" in arguments
        assert "--LessonServer.cell=how-many-answer" in arguments
        assert "section “A section”" in shown


def test_lab_starts_despite_invalid_notebooks(run, learner, notebook, monkeypatch):
    notebook.write_text("{")
    (learner / record.NAME).write_text("{")
    *arguments, _ = lab_arguments(run, monkeypatch)
    assert "--LabApp.default_url=/lab/tree/notebooks/01_sample.ipynb" in arguments


@pytest.mark.extended
def test_urls_contain_token_and_cell():
    from course_lib.commands.lab_server import LessonServer

    server = LessonServer(cell="how-many-answer", default_url="/lab/tree/a.ipynb", ip="localhost")
    server.identity_provider = type("Provider", (), {"token": "t", "token_generated": True})()
    for address in (server.public_url, server.local_url):
        assert address.endswith("/lab/tree/a.ipynb?token=t#cell-id=how-many-answer")
    assert "#" not in server.connection_url
