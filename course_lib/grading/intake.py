"""Take in what students hand in: find the submissions, and rebuild each from the release.

A folder of ``student/NN_name.ipynb``, nbgrader's ``submitted/student/NN_name/NN_name.ipynb``, flat files
called ``student_NN_name.ipynb``, or a zip of any of these. From a submission only the sources of its
answer and exercise cells are taken; everything else comes from the release, so that lost metadata,
outputs, moved or deleted cells don't matter.
"""

import contextlib
import json
import os
import re
import time
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from course_lib.quiz import scoring

MAX_BYTES, MAX_UNPACKED = 100 * 2**20, 2 * 2**30
TOO_LARGE = f"it is larger than {MAX_BYTES // 2**20} MB: ask for it without outputs"
_UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|\[\]\s]+')
_MARKERS = (
    re.compile(r'^quiz\.answer\("(?P<name>[a-z0-9-]+)"', re.M),
    re.compile(r"^# Exercise: (?P<name>[a-z0-9-]+)", re.M),
)


@dataclass(frozen=True)
class Submission:
    """One file of one student for one lesson."""

    student: str
    lesson: str
    path: Path


@dataclass(frozen=True)
class Problem:
    """A file or submission that was not graded, and why. Never a silent zero."""

    student: str
    lesson: str
    file: str
    reason: str


class IntakeError(Exception):
    """Nothing can be taken in; the message says why and what is expected."""


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[tuple[Path, list[Problem]]]:
    """The folder itself, or for a zip file a temporary folder with its contents, and what could not be unpacked.

    Raises:
        IntakeError: if it is neither.
    """
    if folder.is_dir():
        yield folder, []
    elif zipfile.is_zipfile(folder):
        with TemporaryDirectory(prefix="course-") as inside, zipfile.ZipFile(folder) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_UNPACKED:
                raise IntakeError(f"{folder} unpacks to more than 2 GiB: unpack it yourself and give the folder")
            yield Path(inside), _unpack(archive, Path(inside))
    else:
        raise IntakeError(f"{folder} is neither a folder nor a zip file: give the folder that holds the submissions")


def _unpack(archive: zipfile.ZipFile, folder: Path) -> list[Problem]:
    problems = []
    for item in archive.infolist():
        try:
            path = archive.extract(item, folder)  # never leaves the folder: zipfile drops '..' and absolute paths
            when = time.mktime((*item.date_time, 0, 0, -1))  # the newest of two files counts: keep their times
            os.utime(path, (when, when))
        except (zipfile.BadZipFile, RuntimeError, OSError, NotImplementedError, ValueError, OverflowError) as error:
            problems.append(Problem("", "", item.filename, f"it could not be unpacked: {error}"))
            broken = folder / item.filename
            if broken.is_file() and broken.resolve().is_relative_to(folder.resolve()):
                broken.unlink()  # half of a file is worse than none
    return problems


def find(folder: Path, lessons: list[str]) -> tuple[list[Submission], list[Problem]]:
    """Every submission in a folder, the newest where a student handed in more than one.

    Args:
        folder: what was handed in.
        lessons: the lessons that were released, ``NN_name``.
    """
    files = [path for path in sorted(folder.rglob("*")) if not _passed_over(path.relative_to(folder))]
    problems = _without_a_notebook(folder, files)
    lesson_of = {path: _lesson(path, lessons) for path in files if path.suffix.lower() == ".ipynb"}
    found: dict[tuple[str, str], list[tuple[str, Submission]]] = defaultdict(list)
    for path, named in _students(folder, lesson_of).items():
        lesson, student, name = lesson_of[path], _UNSAFE.sub("_", named).strip("_.-"), str(path.relative_to(folder))
        if path.is_symlink() or not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            problems.append(Problem(student, lesson or "", name, "it is a link, not a file"))
        elif lesson is None:
            problems.append(Problem(student, "", name, f"it is none of the released lessons: {', '.join(lessons)}"))
        elif not student:
            problems.append(Problem("", lesson, name, "no student is named: put it in a folder called as the student"))
        else:
            found[student, lesson].append((named, Submission(student, lesson, path)))
    submissions = []
    for (student, lesson), same in found.items():
        newest = max((submission for _, submission in same), key=lambda s: s.path.stat().st_mtime)
        clash = len({named for named, _ in same}) > 1
        if not clash:
            submissions.append(newest)
        for _, submission in same:
            reason = f"the same student handed in {newest.path.relative_to(folder)}, which is newer and was graded"
            if clash:
                reason = f"two names would both become the student {student!r}: rename one of them"
            if clash or submission is not newest:
                problems.append(Problem(student, lesson, str(submission.path.relative_to(folder)), reason))
    return submissions, problems


def _passed_over(inside: Path) -> bool:
    return any(p in (".ipynb_checkpoints", "__MACOSX", ".DS_Store") or p.startswith("._") for p in inside.parts)


def _without_a_notebook(folder: Path, files: list[Path]) -> list[Problem]:
    """A problem for each file at the top, and for each folder in it, that holds no notebook at all."""
    problems = []
    for top in sorted({folder / path.relative_to(folder).parts[0] for path in files}):
        held = [path for path in files if path == top or path.is_relative_to(top)]
        names = [str(path.relative_to(folder)) for path in held if not path.is_dir() and path.name != "timestamp.txt"]
        if any(path.suffix.lower() == ".ipynb" for path in held) or (not names and not top.is_dir()):
            continue
        reason = f"it holds no notebook, only {', '.join(names)}" if top.is_dir() and names else "it holds no notebook"
        problems.append(Problem(top.name if top.is_dir() else "", "", top.name, reason))
    return problems


def _lesson(path: Path, lessons: list[str]) -> str | None:
    """Which lesson a file is: by its name, which platforms lengthen, else by what the build wrote into it."""
    for lesson in lessons:
        if lesson in path.stem:
            return lesson
    with contextlib.suppress(Exception):
        told = read(path).metadata.get("course", {}).get("lesson")
        return told if told in lessons else None
    return None


def _students(folder: Path, lesson_of: dict[Path, str | None]) -> dict[Path, str]:
    """Who handed in each file: the first folder below those that all files share, else what its name begins with."""
    folders = {
        path: [part for part in path.relative_to(folder).parts[:-1] if part != lesson_of[path]] for path in lesson_of
    }
    shared = os.path.commonprefix([*folders.values()])  # works on lists of folders as well as on strings
    prefixes = {
        path: path.stem.split(lesson)[0] if lesson and lesson in path.stem else "" for path, lesson in lesson_of.items()
    }
    students = {}
    for path, parts in folders.items():
        beside = {prefixes[p] for p in folders if p.parent == path.parent and lesson_of[p] == lesson_of[path]}
        below = parts[len(shared) :] or parts[-1:]
        flat = not below or (len(beside) > 1 and "" not in beside)
        named = prefixes[path] if flat else below[0]
        named = named.removesuffix("_assignsubmission_file_").removesuffix("_assignsubmission_file")
        students[path] = unicodedata.normalize("NFC", named)
    return students


def read(path: Path):
    """Read a notebook that someone handed in.

    Raises:
        ValueError: if it can't be read; the message says why, for the person who has to ask for it again.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(TOO_LARGE)
    return parse(path.read_bytes())


def parse(raw: bytes):
    """Read a notebook from the bytes of its file; raises as :func:`read` does."""
    if len(raw) > MAX_BYTES:
        raise ValueError(TOO_LARGE)
    if not raw.strip():
        raise ValueError("the file is empty")
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    try:
        notebook = nbformat.reads(text, as_version=4)
        cells = notebook.cells
    except Exception as error:  # nbformat raises many kinds
        raise ValueError(f"it is not a notebook that can be read ({type(error).__name__}): ask for it again") from error
    if not isinstance(cells, list):
        raise ValueError("it holds no list of cells: ask for it again")
    return notebook


def rebuild(submitted, release):
    """The release with the learner's answer and exercise cells in it.

    A cell is found by its grade id, else its cell id, else the marker that the build wrote into its source
    (``quiz.answer("name"`` or ``# Exercise: name``). What is not found stays as released: blank.

    Returns:
        The rebuilt notebook, and the grade ids of the cells that were not found.
    """
    by_grade, by_id, by_marker = {}, {}, {}
    for cell in submitted.cells:
        if not isinstance(cell.get("source"), str):
            continue
        about = cell.get("metadata", {}).get("nbgrader", {})
        if isinstance(about, dict) and isinstance(about.get("grade_id"), str):
            by_grade.setdefault(about["grade_id"], []).append(cell.source)
        if isinstance(cell.get("id"), str):
            by_id.setdefault(cell["id"], []).append(cell.source)
        for marker, suffix in zip(_MARKERS, ("answer", "code"), strict=True):
            for match in marker.finditer(cell.source):
                by_marker.setdefault(f"{match['name']}-{suffix}", []).append(cell.source)
    result, missing = nbformat.from_dict(release), []
    for cell in result.cells:
        about = cell.metadata.get("nbgrader", {})
        if not about.get("solution"):
            continue
        grade_id = about["grade_id"]
        for place, key in ((by_grade, grade_id), (by_id, cell["id"]), (by_marker, grade_id)):
            if key in place:
                worked = [source for source in place[key] if source.strip() != cell.source.strip()]
                cell.source = _taken(grade_id, worked[0] if worked else cell.source, cell.source)
                break
        else:
            missing.append(grade_id)
    return result, missing


def _taken(grade_id: str, source: str, released: str) -> str:
    """A learner's cell; of a question only the literal, so that a lost ``quiz.answer(...)`` line loses nothing."""
    if not grade_id.endswith("-answer"):
        return source
    try:
        letters = scoring.literal(source)
    except ValueError:
        return source  # runs as it is: what it records, or the message that it can't be read, is the feedback
    return released.replace('answer = ""', f"answer = {json.dumps(letters, ensure_ascii=False)}", 1)
