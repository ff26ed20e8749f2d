"""Cells that call an unwritten exercise are skipped for a learner, but fail for a program."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_lib import quiz

STUB = "def double(x):\n    raise NotImplementedError()"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """IPython as in an interactive kernel."""
    monkeypatch.setenv("COURSE_MODE", "quick")
    shell = InteractiveShell()
    shell.kernel = SimpleNamespace(_allow_stdin=True)
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    quiz.pass_over()
    yield shell


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the displayed notes."""
    texts: list[str] = []
    monkeypatch.setattr(
        "IPython.display.display", lambda bundle, raw: texts.append(bundle["text/plain"])
    )
    return texts


def run(shell: InteractiveShell, *cells: str) -> list[bool]:
    """Run the cells; return whether each one succeeded."""
    return [shell.run_cell(cell, store_history=True).success for cell in cells]


def test_cells_that_need_an_unwritten_function_are_skipped(shell, notes) -> None:
    assert (
        run(shell, STUB, "four = double(2)", "print(four)", "five = four + 1", "five") == [True] * 5
    )
    assert [note.split(". ")[0] for note in notes] == [
        "Passed over: `double` is not written yet",
        "Passed over: it needs `four`, for which `double` is not written yet",
        "Passed over: it needs `four`, for which `double` is not written yet",
        "Passed over: it needs `five`, for which `double` is not written yet",
    ]
    written = "def double(x):\n    return 2 * x"
    assert run(shell, written, "four = double(2)", "five = four + 1") == [True] * 3
    assert shell.user_ns["five"] == 5 and len(notes) == 4


@pytest.mark.parametrize(
    "cell",
    [
        "unknown",
        "1 / 0",
        "raise NotImplementedError()",
        "def other():\n    raise NotImplementedError('my own')\nother()",
    ],
)
def test_other_errors_are_not_suppressed(shell, notes, cell: str, capsys) -> None:
    assert run(shell, STUB, cell) == [True, False]
    assert notes == [] and "Error" in capsys.readouterr().out


def test_error_is_raised_in_a_non_interactive_run(shell, notes, capsys) -> None:
    shell.kernel._allow_stdin = False  # as set by nbclient, which nbgrader uses
    assert run(shell, STUB, "double(2)") == [True, False]
    assert notes == [] and "NotImplementedError" in capsys.readouterr().out


def test_no_handler_is_installed_in_grading_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_MODE", "grading")
    shell = InteractiveShell()
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    quiz.pass_over()
    assert not hasattr(shell, "course_notes")
