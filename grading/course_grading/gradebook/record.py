"""Put results where they stay: a file each under ``workspace/marked``, and nbgrader's gradebook.

Both can be done again at any time. A file is replaced in one step, and what the gradebook has
recorded is told by the digest in nbgrader's own copy of the graded notebook, which it writes last.
So a run that was killed at any moment goes on where it was.
"""

import json
import os
import re
import shutil
import stat
from pathlib import Path

import nbformat

from course_grading.autograde.grade import Marked
from course_grading.collect.archives import free, listed


def path_of(workspace: Path, student: str, lesson: str) -> Path:
    """The file that holds a submission's result."""
    return workspace / "marked" / student / f"{lesson}.json"


def keep(workspace: Path, marked: Marked) -> None:
    """Write a result to its file, whole or not at all."""
    path = path_of(workspace, marked.student, marked.lesson)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(marked.to_json(), encoding="utf-8")
    os.replace(new, path)


def kept(workspace: Path, student: str, lesson: str) -> Marked | None:
    """The result that was kept, if it is there and whole."""
    try:
        return Marked.from_json(path_of(workspace, student, lesson).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def recorded(workspace: Path, marked: Marked) -> bool:
    """Whether the gradebook holds this very result."""
    path = workspace / "autograded" / marked.student / marked.lesson / f"{marked.lesson}.ipynb"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["metadata"]["course"]["marked"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return told == marked.digest and path_of(workspace, marked.student, marked.lesson).exists()


def record(desk, workspace: Path, marked: Marked, release: str) -> None:
    """Write a result into nbgrader's gradebook.

    Raises:
        RuntimeError: if nbgrader can't; the message says why.
    """
    target = workspace / "submitted" / marked.student / marked.lesson
    target.mkdir(parents=True, exist_ok=True)
    notebook = target / f"{marked.lesson}.ipynb"
    notebook.unlink(missing_ok=True)  # it may be a link
    notebook.write_text(_rebuilt(marked, release), encoding="utf-8")
    stamp = target / "timestamp.txt"
    stamp.unlink(missing_ok=True)
    if marked.when is not None:
        stamp.write_text(marked.when)
    succeed(desk.autograde(marked.lesson, marked.student, force=True, create=True), "grade")


def keep_original(workspace: Path, marked: Marked, release: str, path: Path) -> None:
    """Copy what was handed in where the rebuilt notebook is about to take its place, and leave that
    place tidy.

    nbgrader would follow links that lie beside the notebook.
    """
    target = workspace / "submitted" / marked.student / marked.lesson
    if (
        not path.resolve().is_relative_to(target.resolve())
        or path.read_bytes() == _rebuilt(marked, release).encode()
    ):
        return
    received = free(workspace / "received" / marked.student / marked.lesson)
    shutil.copytree(target, received, symlinks=True, ignore=_special)
    for other in listed(target).values():
        if other.is_symlink() or not (other.is_file() or other.is_dir()):
            other.unlink()


def _special(folder: str, names: list[str]) -> list[str]:
    """Of a folder's names those that can't be copied: pipes, sockets and devices."""
    kinds = ((name, stat.S_IFMT(os.lstat(os.path.join(folder, name)).st_mode)) for name in names)
    return [name for name, kind in kinds if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)]


def _rebuilt(marked: Marked, release: str) -> str:
    """A student's work in the notebook that was handed out, as :func:`record` writes it."""
    notebook = nbformat.reads(release, as_version=4)
    sources = dict(marked.sources)
    for cell in notebook.cells:
        cell.source = sources.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    return nbformat.writes(notebook)


def doubt(desk, workspace: Path, student: str, lesson: str) -> bool:
    """Mark an earlier grade as one that a person has to look at, since a newer attempt at grading
    failed.

    What was kept of it goes, so that the next run marks and records the submission anew.

    Returns:
        Whether there is such a grade.
    """
    from nbgrader.api import MissingEntry

    path_of(workspace, student, lesson).unlink(missing_ok=True)
    with desk.gradebook as book:
        try:
            submission = book.find_submission(lesson, student)
        except MissingEntry:
            return False
        cells = [
            cell
            for notebook in submission.notebooks
            for cell in notebook.grades
            if cell.auto_score is not None
        ]
        for cell in cells:
            cell.needs_manual_grade = True
        book.db.commit()
        return bool(cells)


def succeed(result: dict, what: str) -> None:
    """Raise RuntimeError, with nbgrader's reason in a sentence, unless its API says that it did
    ``what``.
    """
    if result["success"]:
        return
    told = f"{result.get('log', '')}\n{result.get('error', '')}"
    errors = re.findall(r"^([\w.]*(?:Error|Exception): .+)$", told, re.MULTILINE)
    raise RuntimeError(
        f"nbgrader could not {what} it: {errors[0] if errors else told.strip()[-300:]}"
    )
