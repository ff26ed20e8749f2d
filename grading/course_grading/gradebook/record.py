"""Store results: in files under ``workspace/marked``, and in nbgrader's gradebook.

Both steps are idempotent. Files are replaced atomically. The gradebook stores the digest of the
result that it holds (:mod:`.recorded`), and so does nbgrader's copy of the graded notebook. So a
run that was killed at any moment can be resumed, and results that a gradebook has lost are recorded
again.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path

import nbformat

from course_grading.autograde.grade import SubmissionResult
from course_grading.collect.archives import list_files, unused_path
from course_grading.errors import GradebookError
from course_grading.gradebook import recorded, shared

_ANSWER = re.compile(r"answer = (?P<literal>[^\n]*?)(?: *# @param[^\n]*)?(?:\n|\Z)")
DIGEST = "marked"  # the entry of the graded notebook's metadata that holds the result's digest


def result_path(workspace: Path, student: str, lesson: str) -> Path:
    """The file that holds a submission's result."""
    return workspace / "marked" / student / f"{lesson}.json"


def save_result(workspace: Path, result: SubmissionResult) -> None:
    """Write a result to its file, atomically."""
    path = result_path(workspace, result.student, result.lesson)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(result.to_json(), encoding="utf-8")
    os.replace(new, path)


def load_result(workspace: Path, student: str, lesson: str) -> SubmissionResult | None:
    """The stored result; None if there is none, or its file is damaged."""
    try:
        text = result_path(workspace, student, lesson).read_text(encoding="utf-8")
        return SubmissionResult.from_json(text)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stored_results(workspace: Path) -> Iterator[SubmissionResult]:
    """Every readable stored result, ordered by student and lesson."""
    for path in sorted(workspace.glob("marked/*/*.json")):
        if not path.name.endswith(".previous.json"):
            result = load_result(workspace, path.parent.name, path.stem)
            if result is not None:
                yield result


def work_of(sources: Mapping[str, str], name: str) -> str:
    """A student's work for a question or exercise: the code, or the literal in an answer cell, or
    the whole answer cell if it contains no literal.
    """
    if f"{name}-code" in sources:
        return sources[f"{name}-code"]
    source = sources.get(f"{name}-answer", "")
    match = _ANSWER.match(source)
    return match["literal"].strip() if match else source.strip()


def item_digests(result: SubmissionResult) -> dict[str, str]:
    """A digest of the answer and the automatic score of each item."""
    sources = dict(result.sources)
    return {
        item.name: recorded.item_digest(
            sources.get(f"{item.name}-answer", sources.get(f"{item.name}-code", "")), item.score
        )
        for item in result.items
    }


def is_recorded(
    workspace: Path, result: SubmissionResult, in_gradebook: Mapping[tuple[str, str], str]
) -> bool:
    """Whether the gradebook and nbgrader's copy of the notebook hold exactly this result.

    Args:
        workspace: nbgrader's course directory.
        result: the result.
        in_gradebook: the digests from :func:`.recorded.digests`.
    """
    if in_gradebook.get((result.student, result.lesson)) != result.digest:
        return False
    path = workspace / "autograded" / result.student / result.lesson / f"{result.lesson}.ipynb"
    try:
        digest = json.loads(path.read_text(encoding="utf-8"))["metadata"]["course"][DIGEST]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    stored = result_path(workspace, result.student, result.lesson).exists()
    return digest == result.digest and stored


def record_result(api, workspace: Path, result: SubmissionResult, release: str) -> None:
    """Write a result into nbgrader's gradebook.

    Raises:
        GradebookError: if nbgrader fails; the message says why.
    """
    folder = workspace / "submitted" / result.student / result.lesson
    folder.mkdir(parents=True, exist_ok=True)
    notebook = folder / f"{result.lesson}.ipynb"
    notebook.unlink(missing_ok=True)  # it may be a symbolic link
    notebook.write_text(_rebuilt_notebook(result, release), encoding="utf-8")
    timestamp = folder / "timestamp.txt"
    timestamp.unlink(missing_ok=True)
    if result.timestamp is not None:
        timestamp.write_text(result.timestamp)
    _autograde(api, result)


def _autograde(api, result: SubmissionResult) -> None:
    """Let nbgrader grade a notebook: within one transaction if the gradebook is shared. If that
    fails, nbgrader does it again with its own commits, so that what it leaves behind and its error
    are its own.
    """
    grade = partial(api.autograde, result.lesson, result.student, force=True, create=True)
    if shared.is_shared(api):
        try:
            with shared.transaction(api):
                raise_on_failure(grade(), "grade")
            return
        except Exception:
            logging.getLogger(__name__).debug("not in one transaction", exc_info=True)
    with shared.suspended(api):
        raise_on_failure(grade(), "grade")


def archive_original(workspace: Path, result: SubmissionResult, release: str, path: Path) -> None:
    """Copy the submission ``path`` to ``received/`` if the rebuilt notebook would overwrite it.

    Links and special files are then removed from its folder: nbgrader would follow links next to
    the notebook.
    """
    folder = workspace / "submitted" / result.student / result.lesson
    if not path.resolve().is_relative_to(folder.resolve()):
        return
    if path.read_bytes() == _rebuilt_notebook(result, release).encode():
        return
    received = unused_path(workspace / "received" / result.student / result.lesson)
    shutil.copytree(folder, received, symlinks=True, ignore=_special_files)
    for entry in list_files(folder).values():
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
            entry.unlink()


def _special_files(folder: str, names: list[str]) -> list[str]:
    """The files in a folder that can't be copied: pipes, sockets and devices."""
    kinds = ((name, stat.S_IFMT(os.lstat(os.path.join(folder, name)).st_mode)) for name in names)
    return [name for name, kind in kinds if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)]


def _rebuilt_notebook(result: SubmissionResult, release: str) -> str:
    """The released notebook with a student's cells in it."""
    notebook, released = _read_release(release)
    sources = dict(result.sources)
    for cell, source in zip(notebook.cells, released, strict=True):
        cell.source = sources.get(cell.metadata.get("nbgrader", {}).get("grade_id"), source)
    return nbformat.writes(notebook)


@lru_cache(maxsize=8)
def _read_release(release: str) -> tuple[nbformat.NotebookNode, list[str]]:
    """A released notebook, whose sources the caller replaces, and its own sources."""
    notebook = nbformat.reads(release, as_version=4)
    return notebook, [cell.source for cell in notebook.cells]


def flag_for_review(api, workspace: Path, student: str, lesson: str) -> bool:
    """Flag an earlier grade for manual grading, because the newest submission could not be graded.

    The stored result is renamed to ``LESSON.previous.json``, so that the next run grades and
    records the submission again.

    Returns:
        Whether there is an earlier grade.
    """
    from nbgrader.api import MissingEntry

    path = result_path(workspace, student, lesson)
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, path.with_suffix(".previous.json"))
    with api.gradebook as gradebook:
        try:
            submission = gradebook.find_submission(lesson, student)
        except MissingEntry:
            return False
        grades = [
            grade
            for notebook in submission.notebooks
            for grade in notebook.grades
            if grade.auto_score is not None
        ]
        for grade in grades:
            grade.needs_manual_grade = True
        gradebook.db.commit()
        return bool(grades)


def raise_on_failure(result: dict, action: str) -> None:
    """Check the return value of nbgrader's API.

    Raises:
        GradebookError: with nbgrader's error message, if ``action`` failed.
    """
    if result["success"]:
        return
    log = f"{result.get('log', '')}\n{result.get('error', '')}"
    errors = re.findall(r"^([\w.]*(?:Error|Exception): .+)$", log, re.MULTILINE)
    raise GradebookError(
        f"nbgrader could not {action} it: {errors[0] if errors else log.strip()[-300:]}"
    )
