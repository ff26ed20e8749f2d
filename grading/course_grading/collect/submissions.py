"""Take in what students hand in: find the submissions, and rebuild each from the release.

A folder of ``student/NN_name.ipynb``, nbgrader's ``submitted/student/NN_name/NN_name.ipynb``, flat
files called ``student_NN_name.ipynb``, or a zip of any of these; zips inside are opened too. From a
submission only the sources of its answer and exercise cells are taken; everything else comes from
the release, so that lost metadata, outputs, moved or deleted cells don't matter.
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

from course_grading.collect.archives import Files, listed, opened
from course_grading.collect.notebooks import MAX_BYTES, TOO_LARGE, parse, read
from course_grading.collect.problems import IntakeError, Problem
from course_grading.collect.rebuild import items, rebuild

__all__ = [
    "MAX_BYTES",
    "TOO_LARGE",
    "IntakeError",
    "Problem",
    "Submission",
    "find",
    "opened",
    "parse",
    "read",
]
__all__ += ["rebuild", "released"]

_UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|\[\]\s]+')
LONGEST_NAME = 200  # bytes of a student's name; most file systems take 255
# no name may begin like a hidden file, an option, or what a spreadsheet would compute
_FORMULA = "_.-=+@"


@dataclass(frozen=True)
class Submission:
    """One file of one student for one lesson; ``name`` is where it stood in what was handed in."""

    student: str
    lesson: str
    path: Path
    name: str


def released(workspace: Path) -> dict[str, set[str]]:
    """The released lessons of a workspace, each with the names of its questions and exercises."""
    return {
        path.parent.name: items(read(path)) for path in sorted(workspace.glob("release/*/*.ipynb"))
    }


def find(
    files: Files | Path, lessons: Collection[str] | Mapping[str, set[str]]
) -> tuple[list[Submission], list[Problem]]:
    """Every submission among files, the newest where a student handed in more than one.

    Args:
        files: what was handed in, as :func:`opened` gives it, or a folder.
        lessons: the lessons that were released, ``NN_name``; with the names of their questions and
            exercises, as :func:`released` gives them, a file is known by its content even if name
            and metadata are lost.
    """
    files = listed(files) if isinstance(files, Path) else files
    files = {name: path for name, path in files.items() if not _passed_over(name)}
    problems = _without_a_notebook(files)
    lesson_of = {
        name: _lesson(name, files[name], lessons)
        for name in files
        if ".ipynb" in _last(name).lower()
    }
    found: dict[tuple[str, str], list[tuple[str, Submission]]] = defaultdict(list)
    for name, named in _students(lesson_of).items():
        lesson, path, student = lesson_of[name], files[name], _student(named)
        if path.is_symlink() or not path.is_file():
            reason = (
                "it is a link, not a file"
                if path.is_symlink()
                else "it is no file, but a folder or a device"
            )
            problems.append(Problem(student, lesson or "", name, reason))
        elif lesson is None:
            reason = f"it is none of the released lessons: {', '.join(lessons)}"
            why = _unreadable(path)
            problems.append(Problem(student, "", name, f"{reason} ({why})" if why else reason))
        elif not student:
            problems.append(
                Problem(
                    "",
                    lesson,
                    name,
                    "no student is named: put it in a folder called as the student",
                )
            )
        elif len(student.encode()) > LONGEST_NAME:
            problems.append(
                Problem(
                    student[:40],
                    lesson,
                    name,
                    "the student's name is too long for a folder: shorten it",
                )
            )
        else:
            found[student, lesson].append((named, Submission(student, lesson, path, name)))
    submissions = []
    for (student, lesson), same in found.items():
        clash = len({named for named, _ in same}) > 1
        newest, how = _newest([submission for _, submission in same])
        if not clash:
            submissions.append(newest)
        for _, submission in same:
            reason = f"not graded: the same student handed in {newest.name}, which is {how} and was graded"
            if clash:
                reason = f"two names would both become the student {student!r}: rename one of them"
            if clash or submission is not newest:
                problems.append(Problem(student, lesson, submission.name, reason))
    return submissions, problems


def _newest(same: list[Submission]) -> tuple[Submission, str]:
    """Which of one student's files counts, and why: by what can be read and tells when it was
    made.
    """
    if len(same) == 1:
        return same[0], "the only one"
    whole = [submission for submission in same if not _unreadable(submission.path)] or same
    if len(whole) == 1:
        return whole[0], "the only one that can be read"
    for how, when in (
        ("newer by its timestamp.txt", _stamped),
        ("newer by the times in its cells", _worked),
        ("newer by its file's date", lambda path: path.stat().st_mtime),
    ):
        times = [when(submission.path) for submission in whole]
        if all(time is not None for time in times) and len(set(times)) > 1:
            return whole[max(range(len(whole)), key=lambda place: times[place])], how
    return whole[0], "as new"


def stamp(notebook: Path) -> str | None:
    """What nbgrader's ``timestamp.txt`` beside a notebook says, None if there is none; links are
    not followed.
    """
    path = notebook.with_name("timestamp.txt")
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(100).decode(errors="replace").strip()  # a date is shorter


def _stamped(path: Path) -> float | None:
    from nbgrader.utils import parse_utc

    with contextlib.suppress(Exception):  # no such file, or none that says a date
        return parse_utc(stamp(path)).timestamp()
    return None


def _worked(path: Path) -> float | None:
    """When a notebook was last run, from what JupyterLab and Colab write into its cells (seconds
    since 1970).
    """
    times = []
    for cell in [] if _unreadable(path) else read(path).cells:
        lab, colab = cell.metadata.get("execution"), cell.metadata.get("executionInfo")
        for text in lab.values() if isinstance(lab, dict) else ():
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                times.append(datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp())
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            times.append(float(colab["timestamp"]) / 1000)
    return max(filter(math.isfinite, times), default=None)


def _unreadable(path: Path) -> str:
    """Why a file can't be read as a notebook; empty if it can."""
    try:
        read(path)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _student(named: str) -> str:
    """A name as a folder, a table and a spreadsheet can hold it."""
    return _UNSAFE.sub("_", named).rstrip("_.-").lstrip(_FORMULA)


def _last(name: str) -> str:
    return PurePosixPath(name).name


def _passed_over(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(
        p in (".ipynb_checkpoints", "__MACOSX", ".DS_Store") or p.startswith("._") for p in parts
    )


def _without_a_notebook(files: Files) -> list[Problem]:
    """A problem for each file at the top, and for each folder in it, that holds no notebook at
    all.
    """
    problems = []
    for top in sorted({name.split("/")[0] for name in files}):
        held = [name for name in files if name == top or name.startswith(f"{top}/")]
        link = top in files and files[top].is_symlink()
        folder = not link and (top not in files or files[top].is_dir())
        names = [
            name
            for name in held
            if link or (not files[name].is_dir() and _last(name) != "timestamp.txt")
        ]
        if any(".ipynb" in _last(name).lower() for name in held) or (
            not names and not folder and top in files
        ):
            continue
        reason = (
            f"it holds no notebook, only {', '.join(names[:9])}"
            if folder and names
            else "it holds no notebook"
        )
        student = _student(top) if folder else ""
        problems.append(Problem(student, "", top, "it is a link, not a file" if link else reason))
    return problems


def _lesson(name: str, path: Path, lessons: Collection[str] | Mapping[str, set[str]]) -> str | None:
    """Which lesson a file is: by its name, which platforms lengthen, else by what the build wrote
    into it.
    """
    for lesson in sorted(lessons, key=len, reverse=True):
        if lesson in _last(name):
            return lesson
    if path.is_symlink() or not path.is_file():
        return None
    with contextlib.suppress(Exception):
        notebook = read(path)
        about = notebook.metadata.get("course")
        told = about.get("lesson") if isinstance(about, dict) else None
        if isinstance(told, str) and told in lessons:
            return told
        if isinstance(lessons, Mapping):
            asked = items(notebook)
            alike = {lesson: len(asked & names) for lesson, names in lessons.items()}
            best = [
                lesson for lesson, count in alike.items() if count and count == max(alike.values())
            ]
            return best[0] if len(best) == 1 else None
    return None


def _students(lesson_of: dict[str, str | None]) -> dict[str, str]:
    """Who handed in each file: the first folder below those that all files share, else what its
    name begins with.
    """

    def stem(part: str) -> str:
        return re.sub(r"\.zip$", "", part, flags=re.IGNORECASE)

    folders = {
        name: [part for part in PurePosixPath(name).parts[:-1] if stem(part) != lesson_of[name]]
        for name in lesson_of
    }
    # works on lists of folders as well as on strings
    shared = os.path.commonprefix([*folders.values()])
    prefixes = {
        name: _last(name).split(lesson)[0] if lesson and lesson in _last(name) else ""
        for name, lesson in lesson_of.items()
    }
    students = {}
    for name, parts in folders.items():
        lesson, parent = lesson_of[name], PurePosixPath(name).parent
        beside = {
            prefixes[n]
            for n in folders
            if PurePosixPath(n).parent == parent and lesson_of[n] == lesson
        }
        # Of folders that everybody shares, a zip names nobody if it lies in a folder.
        below = (
            parts[len(shared) :]
            or [part for part in parts if stem(part) == part][-1:]
            or parts[-1:]
        )
        flat = not below or (len(beside) > 1 and "" not in beside)
        named = prefixes[name] if flat else stem(below[0])
        if (
            named != (below or [""])[0] and lesson
        ):  # ada_1_01_pixels.zip is called as its only notebook would be
            named = named.split(lesson)[0] or named
        named = named.removesuffix("_assignsubmission_file_").removesuffix("_assignsubmission_file")
        students[name] = unicodedata.normalize("NFC", named)
    return students
