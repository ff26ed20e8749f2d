"""Build the lessons: from ``solutions/NN_name.md`` to nbgrader's source and release, and to
``notebooks/``.
"""

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from course_grading.assign import cells, release_check
from course_grading.assign.lesson import Lesson
from course_grading.assign.source import read
from course_grading.gradebook.nbgrader_api import open_desk


class BuildError(Exception):
    """The build can't go on; the message says what to do."""


@dataclass
class Report:
    """What a build did, and what a check found. ``problems`` is empty when all is well."""

    lessons: list[Lesson] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    classroom_kept: bool = False
    problems: list[str] = field(default_factory=list)


def lessons(solutions: Path) -> list[Lesson]:
    """Every lesson in a folder of sources, in order.

    Raises:
        BuildError: if there is none, or if two have the same number.
        SourceError: for a mistake in one of them.
    """
    paths = sorted(solutions.glob("[0-9][0-9]_*.md"))
    if not paths:
        raise BuildError(f"{solutions} holds no lesson: sources are called NN_name.md")
    for one, other in zip(paths, paths[1:], strict=False):
        if one.name[:2] == other.name[:2]:
            raise BuildError(
                f"{one.name} and {other.name} have the same number: give one of them another"
            )
    return [read(path) for path in paths]


def build(root: Path, *, solutions: Path | None = None, graded: bool = False) -> Report:
    """Write the workspace's ``source/`` and ``release/``, and for self-study ``notebooks/`` and the
    quiz bank.

    Args:
        root: the checkout.
        solutions: where the sources are, by default ``root/solutions``.
        graded: make the classroom release, without feedback; ``notebooks/`` and the bank stay as
            they are.
    """
    if solutions is not None and not graded:
        raise BuildError(
            "--solutions is for a classroom release: add --graded, or edit the sources in solutions/"
        )
    report = Report(lessons=lessons(solutions or root / "solutions"))
    workspace = root / "grading" / "workspace"
    with contextlib.ExitStack() as stack:
        if not graded and _is_classroom(workspace):
            # Building for self-study must not change the keys of a class that is being graded.
            workspace = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            report.classroom_kept = True
        released = release(report.lessons, workspace, graded=graded, repository=repository(root))
    for lesson in report.lessons:
        text = released[lesson.name]
        report.problems += release_check.problems(
            nbformat.reads(text, as_version=4), lesson, graded=graded
        )
        if not graded:
            _write_notebook(root / "notebooks" / f"{lesson.name}.ipynb", text, report)
            bank = root / "course_lib" / "quiz" / "bank" / f"{lesson.name}.json"
            if not bank.exists() or bank.read_text(encoding="utf-8") != _bank(lesson):
                bank.write_text(_bank(lesson), encoding="utf-8")
                report.written.append(bank)
    return report


def check(root: Path) -> Report:
    """Build again in a temporary folder and say how what is committed differs, and what a release
    gives away.
    """
    report = Report(lessons=lessons(root / "solutions"))
    with tempfile.TemporaryDirectory() as folder:
        released = release(report.lessons, Path(folder), repository=repository(root))
        classroom = release(report.lessons, Path(folder), graded=True, repository=repository(root))
    for lesson in report.lessons:
        expected = {
            root / "notebooks" / f"{lesson.name}.ipynb": released[lesson.name],
            root / "course_lib" / "quiz" / "bank" / f"{lesson.name}.json": _bank(lesson),
        }
        for path, text in expected.items():
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                report.problems.append(
                    f"{path.relative_to(root)} is not what {lesson.path.name} says: run course build"
                )
        for texts, graded in ((released, False), (classroom, True)):
            report.problems += release_check.problems(
                nbformat.reads(texts[lesson.name], as_version=4), lesson, graded=graded
            )
    known = {lesson.name for lesson in report.lessons}
    for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        if path.stem not in known and ".mine" not in path.name:
            report.problems.append(
                f"notebooks/{path.name} has no source in solutions/: delete it, or write its source"
            )
    return report


def release(
    course: list[Lesson], workspace: Path, *, graded: bool = False, repository: str = ""
) -> dict[str, str]:
    """Write the instructor notebooks into ``workspace/source`` and let nbgrader make
    ``workspace/release``.

    Returns:
        The text of each released notebook, by the lesson's name.
    """
    desk = open_desk(workspace)
    texts = {}
    for lesson in course:
        folder = workspace / "source" / lesson.name
        released = workspace / "release" / lesson.name / f"{lesson.name}.ipynb"
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / f"{lesson.name}.ipynb"
        before = {path: path.read_bytes() for path in (source, released) if path.exists()}
        made = cells.notebook(lesson, graded=graded, repository=repository)
        nbformat.validate(made)
        source.write_text(nbformat.writes(made) + "\n", encoding="utf-8")
        result = desk.generate_assignment(lesson.name, force=True, create=True)
        if not result["success"]:
            for (
                path,
                old,
            ) in before.items():  # nbgrader has removed the old release: what was handed out stays
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(old)
            raise BuildError(_why(lesson.name, workspace, result))
        texts[lesson.name] = released.read_text(encoding="utf-8")
    return texts


def _is_classroom(workspace: Path) -> bool:
    """Whether the desk holds a classroom release: its set-up cell opens no feedback."""
    return any(
        "quiz.begin(" not in path.read_text(encoding="utf-8")
        for path in workspace.glob("release/*/*.ipynb")
    )


def repository(root: Path) -> str:
    """The course's public address, from ``[tool.course] repository`` in pyproject.toml; empty when
    not set.
    """
    import tomllib

    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return settings.get("tool", {}).get("course", {}).get("repository", "")


def _why(name: str, workspace: Path, result: dict) -> str:
    log = result.get("log", "") + result.get("error", "")
    if (
        "there are submissions associated with it" in log
        or "Cannot modify existing assignment" in log
    ):
        return (
            f"{name} has other questions or exercises than the gradebook, which already holds submissions of it. "
            f"Finish grading those first, then move {workspace / 'gradebook.db'} away and build again."
        )
    return f"nbgrader could not release {name}:\n{log.strip()}"


def _bank(lesson: Lesson) -> str:
    from course_lib.quiz import question_bank

    return question_bank.pack(lesson.name, lesson.questions)


def _write_notebook(path: Path, text: str, report: Report) -> None:
    """Write a lesson; a learner's work in the file that stands there is kept beside it under
    another name.
    """
    if path.exists():
        old = path.read_text(encoding="utf-8")
        if old == text:
            return
        if has_work(old):
            number = 1
            while (kept := path.with_suffix(f".mine-{number}.ipynb")).exists():
                number += 1
            shutil.copy2(path, kept)
            report.kept.append(kept)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    report.written.append(path)


def has_work(text: str) -> bool:
    """Whether somebody worked in a released notebook: an output, a note, an added cell, an edited
    one.
    """
    from nbgrader.utils import compute_checksum, is_solution

    try:
        notebook = nbformat.reads(text, as_version=4)
        for cell in notebook.cells:
            if cell.get("outputs") or cell.get("execution_count"):
                return True
            if "nbgrader" in cell.metadata:
                if is_solution(cell) and cell.metadata.nbgrader.get("checksum") != compute_checksum(
                    cell
                ):
                    return True
            elif not cell["id"].startswith(("setup", cells.digest(cell.source))):
                return True
    except Exception:  # whatever this file is, it is not a release: keep it
        return True
    return False
