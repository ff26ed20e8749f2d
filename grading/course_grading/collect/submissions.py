"""Find submissions: which file is whose, for which lesson, and which of several counts.

Accepted are a folder of ``student/NN_name.ipynb``, nbgrader's
``submitted/student/NN_name/NN_name.ipynb``, flat files called ``student_NN_name.ipynb``, or a zip
of any of these; zips inside are opened too.
"""

import contextlib
import math
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from course_grading.collect import notebooks
from course_grading.collect.archives import Files, list_files
from course_grading.collect.problems import Problem
from course_grading.collect.rebuild import item_names

_UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|\[\]\s]+')
MAX_NAME_BYTES = 200  # of a student's name; most file systems allow 255
# A student's name must not begin like a hidden file, an option or a spreadsheet's formula.
_FORBIDDEN_START = "_.-=+@"

Lessons = Collection[str] | Mapping[str, set[str]]


@dataclass(frozen=True)
class Submission:
    """One file of one student for one lesson; ``name`` is its path in what was submitted."""

    student: str
    lesson: str
    path: Path
    name: str


def released_lessons(workspace: Path) -> dict[str, set[str]]:
    """The released lessons of a workspace, each with the names of its questions and exercises."""
    return {
        path.parent.name: item_names(notebooks.read(path))
        for path in sorted(workspace.glob("release/*/*.ipynb"))
    }


def find(files: Files | Path, lessons: Lessons) -> tuple[list[Submission], list[Problem]]:
    """Every submission among files; where a student has several for a lesson, the newest.

    Args:
        files: the files, from :func:`.archives.open_submissions`, or a folder.
        lessons: the released lessons, ``NN_name``. If it maps them to the names of their questions
            and exercises, from :func:`released_lessons`, a file that has lost its name and metadata
            is identified by its content.
    """
    files = list_files(files) if isinstance(files, Path) else files
    files = {name: path for name, path in files.items() if not _is_ignored(name)}
    problems = _missing_notebooks(files)
    lesson_of = {
        name: _identify_lesson(name, files[name], lessons)
        for name in files
        if ".ipynb" in _file_name(name).lower()
    }
    candidates: dict[tuple[str, str], list[tuple[str, Submission]]] = defaultdict(list)
    for name, raw_name in _identify_students(lesson_of).items():
        lesson = lesson_of[name]
        path = files[name]
        student = _safe_name(raw_name)
        reason = _rejection(path, student, lesson, lessons)
        if reason:
            shown = student if len(student.encode()) <= MAX_NAME_BYTES else student[:40]
            problems.append(Problem(shown, lesson or "", name, reason))
        else:
            assert lesson is not None  # or there would be a reason
            submission = Submission(student, lesson, path, name)
            candidates[student, lesson].append((raw_name, submission))
    submissions = []
    for (student, lesson), named in candidates.items():
        if len({raw_name for raw_name, _ in named}) > 1:
            reason = f"two names would both become the student {student!r}: rename one of them"
            problems += [
                Problem(student, lesson, submission.name, reason) for _, submission in named
            ]
            continue
        newest, why = _newest([submission for _, submission in named])
        submissions.append(newest)
        reason = (
            f"not graded: the same student handed in {newest.name}, which is {why} and was graded"
        )
        problems += [
            Problem(student, lesson, submission.name, reason)
            for _, submission in named
            if submission is not newest
        ]
    return submissions, problems


def _rejection(path: Path, student: str, lesson: str | None, lessons: Lessons) -> str:
    """Why a file can't be graded; empty if it can."""
    if path.is_symlink():
        return "it is a link, not a file"
    if not path.is_file():
        return "it is not a file, but a folder or a device"
    if lesson is None:
        error = _read_error(path)
        reason = f"it is not one of the released lessons: {', '.join(lessons)}"
        return f"{reason} ({error})" if error else reason
    if not student:
        return "no student is named: put it in a folder with the student's name"
    if len(student.encode()) > MAX_NAME_BYTES:
        return "the student's name is too long for a folder: shorten it"
    return ""


def _newest(submissions: list[Submission]) -> tuple[Submission, str]:
    """Which of one student's files counts, and why: the newest of the readable ones."""
    if len(submissions) == 1:
        return submissions[0], "the only one"
    readable = [submission for submission in submissions if not _read_error(submission.path)]
    if len(readable) == 1:
        return readable[0], "the only one that can be read"
    readable = readable or submissions
    for why, time_of in (
        ("newer by its timestamp.txt", _timestamp),
        ("newer by the times in its cells", _last_execution),
        ("newer by its modification time", lambda path: path.stat().st_mtime),
    ):
        known = [time_of(submission.path) for submission in readable]
        times = [time for time in known if time is not None]
        if len(times) == len(known) and len(set(times)) > 1:
            return readable[times.index(max(times))], why
    return readable[0], "equally new"


def read_timestamp(notebook: Path) -> str | None:
    """The text of nbgrader's ``timestamp.txt`` in a notebook's folder, None if there is none; links
    are not followed.
    """
    path = notebook.with_name("timestamp.txt")
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(100).decode(errors="replace").strip()  # a date is shorter


def _timestamp(path: Path) -> float | None:
    from nbgrader.utils import parse_utc

    with contextlib.suppress(Exception):  # there is no such file, or it holds no date
        return parse_utc(read_timestamp(path)).timestamp()
    return None


def _last_execution(path: Path) -> float | None:
    """When a notebook was last run, in seconds since 1970, from what JupyterLab and Colab write
    into its cells.
    """
    times = []
    for cell in [] if _read_error(path) else notebooks.read(path).cells:
        jupyterlab = cell.metadata.get("execution")
        colab = cell.metadata.get("executionInfo")
        for text in jupyterlab.values() if isinstance(jupyterlab, dict) else ():
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                times.append(datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp())
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            times.append(float(colab["timestamp"]) / 1000)
    return max(filter(math.isfinite, times), default=None)


def _read_error(path: Path) -> str:
    """Why a file can't be read as a notebook; empty if it can."""
    try:
        notebooks.read(path)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _safe_name(raw_name: str) -> str:
    """A name that folders, tables and spreadsheets can hold."""
    return _UNSAFE.sub("_", raw_name).rstrip("_.-").lstrip(_FORBIDDEN_START)


def _file_name(name: str) -> str:
    return PurePosixPath(name).name


def _is_ignored(name: str) -> bool:
    return any(
        part in (".ipynb_checkpoints", "__MACOSX", ".DS_Store") or part.startswith("._")
        for part in PurePosixPath(name).parts
    )


def _missing_notebooks(files: Files) -> list[Problem]:
    """A problem for each file and folder at the top level that holds no notebook."""
    problems = []
    for top in sorted({name.split("/")[0] for name in files}):
        members = [name for name in files if name == top or name.startswith(f"{top}/")]
        is_link = top in files and files[top].is_symlink()
        is_folder = not is_link and (top not in files or files[top].is_dir())
        names = [
            name
            for name in members
            if is_link or (not files[name].is_dir() and _file_name(name) != "timestamp.txt")
        ]
        if any(".ipynb" in _file_name(name).lower() for name in members):
            continue
        if not names and not is_folder and top in files:  # a timestamp.txt
            continue
        if is_link:
            reason = "it is a link, not a file"
        elif is_folder and names:
            reason = f"it holds no notebook, only {', '.join(names[:9])}"
        else:
            reason = "it holds no notebook"
        problems.append(Problem(_safe_name(top) if is_folder else "", "", top, reason))
    return problems


def _identify_lesson(name: str, path: Path, lessons: Lessons) -> str | None:
    """The lesson of a file: by its name, which platforms lengthen, or by what the build wrote into
    it, or by its questions and exercises.
    """
    for lesson in sorted(lessons, key=len, reverse=True):
        if lesson in _file_name(name):
            return lesson
    if path.is_symlink() or not path.is_file():
        return None
    with contextlib.suppress(Exception):
        notebook = notebooks.read(path)
        metadata = notebook.metadata.get("course")
        recorded = metadata.get("lesson") if isinstance(metadata, dict) else None
        if isinstance(recorded, str) and recorded in lessons:
            return recorded
        if isinstance(lessons, Mapping):
            names = item_names(notebook)
            common = {lesson: len(names & items) for lesson, items in lessons.items()}
            max_count = max(common.values())
            best = [lesson for lesson, count in common.items() if count and count == max_count]
            return best[0] if len(best) == 1 else None
    return None


def _identify_students(lesson_of: dict[str, str | None]) -> dict[str, str]:
    """The student of each file: the first folder below those that all files share, or the start of
    the file's name.
    """
    folders = {
        name: [
            part
            for part in PurePosixPath(name).parts[:-1]
            if _without_zip_suffix(part) != lesson_of[name]
        ]
        for name in lesson_of
    }
    # commonprefix also compares lists
    shared_depth = len(os.path.commonprefix([*folders.values()]))
    prefixes = {
        name: _file_name(name).split(lesson)[0] if lesson and lesson in _file_name(name) else ""
        for name, lesson in lesson_of.items()
    }
    students = {}
    for name, parts in folders.items():
        lesson = lesson_of[name]
        parent = PurePosixPath(name).parent
        prefixes_in_folder = {
            prefixes[sibling]
            for sibling in folders
            if PurePosixPath(sibling).parent == parent and lesson_of[sibling] == lesson
        }
        # If all files share every folder, the last one that is not a zip names the student.
        own_parts = (
            parts[shared_depth:]
            or [part for part in parts if _without_zip_suffix(part) == part][-1:]
            or parts[-1:]
        )
        is_flat = not own_parts or (len(prefixes_in_folder) > 1 and "" not in prefixes_in_folder)
        student = prefixes[name] if is_flat else _without_zip_suffix(own_parts[0])
        # A zip may be named like the notebook in it: ada_1_01_pixels.zip
        if student != (own_parts or [""])[0] and lesson:
            student = student.split(lesson)[0] or student
        student = student.removesuffix("_assignsubmission_file_")
        student = student.removesuffix("_assignsubmission_file")
        students[name] = unicodedata.normalize("NFC", student)
    return students


def _without_zip_suffix(part: str) -> str:
    return re.sub(r"\.zip$", "", part, flags=re.IGNORECASE)
