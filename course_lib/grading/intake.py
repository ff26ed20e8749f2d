"""Take in what students hand in: find the submissions, and rebuild each from the release.

A folder of ``student/NN_name.ipynb``, nbgrader's ``submitted/student/NN_name/NN_name.ipynb``, flat files
called ``student_NN_name.ipynb``, or a zip of any of these. From a submission only the sources of its
answer and exercise cells are taken; everything else comes from the release, so that lost metadata,
outputs, moved or deleted cells don't matter.
"""

import contextlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

MAX_BYTES = 100 * 2**20
_UNSAFE = re.compile(r"[^\w.@+-]+")
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
def opened(folder: Path) -> Iterator[Path]:
    """The folder itself, or for a zip file a temporary folder with its contents.

    Raises:
        IntakeError: if it is neither.
    """
    if folder.is_dir():
        yield folder
    elif zipfile.is_zipfile(folder):
        with TemporaryDirectory(prefix="course-") as inside, zipfile.ZipFile(folder) as archive:
            if sum(item.file_size for item in archive.infolist()) > 2**31:
                raise IntakeError(f"{folder} unpacks to more than 2 GiB: unpack it yourself and give the folder")
            archive.extractall(inside)  # never leaves the folder: zipfile drops '..' and absolute paths
            yield Path(inside)
    else:
        raise IntakeError(f"{folder} is neither a folder nor a zip file: give the folder that holds the submissions")


def find(folder: Path, lessons: list[str]) -> tuple[list[Submission], list[Problem]]:
    """Every submission in a folder, the newest where a student handed in more than one.

    Args:
        folder: what was handed in.
        lessons: the lessons that were released, ``NN_name``.
    """
    found: dict[tuple[str, str], Submission] = {}
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*.ipynb")):
        inside = path.relative_to(folder)
        if any(part.startswith((".", "__MACOSX")) for part in inside.parts):
            continue
        lesson = _lesson(path, lessons)
        student = _student(inside, lesson)
        name = str(inside)
        if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
            problems.append(Problem(student, lesson or "", name, "it is a link, not a file"))
        elif lesson is None:
            problems.append(Problem(student, "", name, f"it is none of the released lessons: {', '.join(lessons)}"))
        elif not student:
            problems.append(Problem("", lesson, name, "no student is named: put it in a folder called as the student"))
        else:
            new, old = Submission(student, lesson, path), found.get((student, lesson))
            if old is not None:
                new, old = sorted((new, old), key=lambda s: s.path.stat().st_mtime, reverse=True)
                reason = f"the same student handed in {new.path.relative_to(folder)}, which is newer and was graded"
                problems.append(Problem(student, lesson, str(old.path.relative_to(folder)), reason))
            found[student, lesson] = new
    return list(found.values()), problems


def _lesson(path: Path, lessons: list[str]) -> str | None:
    """Which lesson a file is: by its name, which platforms lengthen, else by what the build wrote into it."""
    for lesson in lessons:
        if lesson in path.stem:
            return lesson
    with contextlib.suppress(Exception):
        told = read(path).metadata.get("course", {}).get("lesson")
        return told if told in lessons else None
    return None


def _student(inside: Path, lesson: str | None) -> str:
    folders = [part for part in inside.parts[:-1] if part != lesson]
    if folders:
        student = folders[-1].removesuffix("_assignsubmission_file_").removesuffix("_assignsubmission_file")
    else:
        student = inside.stem.split(lesson)[0] if lesson and lesson in inside.stem else ""
    return _UNSAFE.sub("_", student).strip("_.-")


def read(path: Path):
    """Read a notebook that someone handed in.

    Raises:
        ValueError: if it can't be read; the message says why, for the person who has to ask for it again.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MB: ask for it without outputs")
    raw = path.read_bytes()
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
        if cell.get("cell_type") != "code":
            continue
        about = cell.get("metadata", {}).get("nbgrader", {})
        if isinstance(about, dict) and about.get("grade_id"):
            by_grade.setdefault(about["grade_id"], cell.source)
        if cell.get("id"):
            by_id.setdefault(cell["id"], cell.source)
        for marker, suffix in zip(_MARKERS, ("answer", "code"), strict=True):
            for match in marker.finditer(cell.source):
                by_marker.setdefault(f"{match['name']}-{suffix}", cell.source)
    result, missing = nbformat.from_dict(release), []
    for cell in result.cells:
        about = cell.metadata.get("nbgrader", {})
        if not about.get("solution"):
            continue
        grade_id = about["grade_id"]
        for place, key in ((by_grade, grade_id), (by_id, cell["id"]), (by_marker, grade_id)):
            if key in place:
                cell.source = place[key]
                break
        else:
            missing.append(grade_id)
    return result, missing
