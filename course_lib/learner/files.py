"""The notebooks of a learner: found in a folder, read, and merged by lesson.

A lesson's work may be in several files: ``NN_name.ipynb`` itself, ``NN_name.mine-1.ipynb`` that
``course build`` kept, a download from Colab. The lesson's own file has priority; its blank cells
are filled from the copies, the latest first, so that an update loses nothing.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from course_lib.assets import paths
from course_lib.quiz import question_bank, scoring

MAX_BYTES = 100 * 2**20  # of a file, as in the grader
_ANSWER = re.compile(r"""^[ \t]*quiz\.answer\(\s*["'](?P<name>[a-z0-9-]+)["']""", re.M)
_EXERCISE = re.compile(r"^#+ ?Exercise: (?P<name>[a-z0-9-]+)(?: \((?P<points>[\d.]+) point)?", re.M)
_CHECK = re.compile(r"^# Check: (?P<name>[a-z0-9-]+) \(run this cell\)", re.M)
_BEGIN = re.compile(r"""^quiz\.begin\(["'](?P<lesson>[0-9]{2}_[a-z0-9_]+)["']\)""", re.M)
_STUB = "raise NotImplementedError()"  # what nbgrader puts in the place of a solution


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook. ``output`` is the text of its outputs, and ``error`` the name and
    message of the exception that ended its last run; both empty if there is none.
    ``execution_count`` is None if it has not been run.
    """

    id: str
    is_code: bool
    source: str
    nbgrader: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    error: str = ""
    execution_count: int | None = None

    @property
    def answers(self) -> str:
        """The name of the question that this cell answers; empty for other cells."""
        match = _ANSWER.search(self.source)
        return match["name"] if match else self._name_from_id("-answer")

    @property
    def solves(self) -> str:
        """The name of the exercise that is written in this cell; empty for other cells."""
        match = _EXERCISE.search(self.source)
        return match["name"] if match else self._name_from_id("-code")

    @property
    def checks(self) -> str:
        """The name of the exercise that this cell checks; empty for other cells."""
        match = _CHECK.search(self.source)
        return match["name"] if match else ""

    @property
    def asks(self) -> str:
        """The name of the question whose text this cell contains; empty for other cells."""
        return "" if self.is_code else self._name_from_id("-question")

    @property
    def points(self) -> float | None:
        """The points that the cell states; None if it states none."""
        stated = self.nbgrader.get("points")
        if isinstance(stated, int | float):
            return float(stated)
        match = _EXERCISE.search(self.source)
        return float(match["points"]) if match and match["points"] else None

    @property
    def has_work(self) -> bool:
        """Whether the learner has written something into this answer or exercise cell."""
        if self.answers:
            try:
                return bool(scoring.extract_answer(self.source).strip())
            except ValueError:
                return True
        if not self.solves:
            return False
        checksum = self.nbgrader.get("checksum")
        if isinstance(checksum, str):
            return checksum != self._checksum()
        code = [line for line in self.source.splitlines() if not line.lstrip().startswith("#")]
        return bool("".join(code).strip()) and _STUB not in self.source

    def _name_from_id(self, suffix: str) -> str:
        for name in (self.nbgrader.get("grade_id"), self.id):
            if isinstance(name, str) and name.endswith(suffix):
                return name.removesuffix(suffix)
        return ""

    def _checksum(self) -> str:
        """nbgrader's checksum of the cell; equal to the stored one while the cell is unchanged."""
        flags = [str(bool(self.nbgrader.get(key))) for key in ("grade", "solution", "locked")]
        parts = [self.source, "code", *flags, str(self.nbgrader.get("grade_id"))]
        return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Notebook:
    """A learner's notebook. ``path`` is its file, ``modified`` the file's modification time in
    seconds since 1970, ``document`` its JSON content.
    """

    path: Path
    lesson: str
    cells: tuple[Cell, ...]
    modified: float
    document: dict[str, Any]

    @property
    def has_work(self) -> bool:
        """Whether the learner has answered or written anything in the notebook, or run a cell."""
        return any(cell.has_work or cell.execution_count is not None for cell in self.cells)


def folder() -> Path:
    """The folder with the learner's notebooks: of the working folder, its ``notebooks`` and the
    clone's, the first that contains a lesson's notebook; if none does, the last that exists.
    """
    here, checkout, known = Path.cwd(), paths.checkout(), lessons()
    candidates = [here, here / "notebooks", *([checkout / "notebooks"] if checkout else [])]
    for candidate in candidates:
        if any(name in path.name for path in candidate.glob("*.ipynb") for name in known):
            return candidate
    return [candidate for candidate in candidates if candidate.is_dir()][-1]


def lessons() -> list[str]:
    """The names of the course's lessons, in order."""
    return sorted(path.stem for path in question_bank.FOLDER.glob("[0-9][0-9]_*.json"))


def read(path: Path, known: Iterable[str] = ()) -> Notebook:
    """Read a notebook.

    Args:
        path: the file.
        known: the lessons' names, to recognise one in the file name if no cell states it.

    Raises:
        ValueError: if it is not a notebook of a lesson; the message says why.
        OSError: if it can't be opened.
    """
    stat = path.stat()
    if stat.st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MB")
    try:
        document = json.loads(path.read_bytes())
        cells = tuple(map(_parse_cell, document["cells"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it can't be read as a notebook ({type(error).__name__})") from error
    begun = [match["lesson"] for cell in cells for match in [_BEGIN.search(cell.source)] if match]
    named = [lesson for lesson in known if lesson in path.name]
    lesson = next(iter([*begun, *named]), "")
    if not lesson:
        raise ValueError("it is not a lesson of this course")
    if any(cell.answers and "choose=" in cell.source for cell in cells):
        raise ValueError("it is a classroom release, which its instructor grades")
    return Notebook(path, lesson, cells, stat.st_mtime, document)


def find(place: Path) -> tuple[dict[str, list[Notebook]], dict[str, str]]:
    """A folder's notebooks by lesson, in order of priority; and by file name, why other notebooks
    are left out.
    """
    known = lessons()
    found: dict[str, list[Notebook]] = {}
    problems: dict[str, str] = {}
    for path in sorted(place.glob("*.ipynb")):
        try:
            notebook = read(path, known)
        except (ValueError, OSError) as error:
            if any(lesson in path.name for lesson in known):
                problems[path.name] = str(error)
            continue
        found.setdefault(notebook.lesson, []).append(notebook)
    for lesson, notebooks in found.items():
        notebooks.sort(key=lambda one: (one.path.stem != lesson, -one.modified, one.path.name))
    return found, problems


def combine(notebooks: list[Notebook]) -> Notebook:
    """The first notebook, with its blank cells filled from the others: sources and outputs."""
    first = notebooks[0]
    cells = list(first.cells)
    document = json.loads(json.dumps(first.document))
    for number, cell in enumerate(first.cells):
        key = (cell.answers, cell.solves)
        if not any(key) or cell.has_work:
            continue
        for other in notebooks[1:]:
            copies = [c for c in other.cells if (c.answers, c.solves) == key and c.has_work]
            if copies:
                cells[number] = replace(copies[-1], id=cell.id, nbgrader=cell.nbgrader)
                document["cells"][number]["source"] = copies[-1].source
                if cell.solves:
                    _copy_check_outputs(cells, cell.solves, other)
                break
    return replace(first, cells=tuple(cells), document=document)


def with_answer(notebook: Notebook, question: str, answer: str) -> Notebook:
    """The notebook with this answer in the cell of a question; unchanged if it has no such cell."""
    cells, document = list(notebook.cells), json.loads(json.dumps(notebook.document))
    for number, cell in enumerate(cells):
        if cell.answers == question:
            literal = json.dumps(answer, ensure_ascii=False)
            source = f'answer = {literal}\nquiz.answer("{question}", answer)'
            cells[number] = replace(cell, source=source)
            document["cells"][number]["source"] = source
    return replace(notebook, cells=tuple(cells), document=document)


def digest(notebook: Notebook, exercise: str) -> str:
    """A SHA-256 of the learner's code that decides whether an exercise is right: its cell and,
    above it, the other exercises and all cells that the learner added or changed.
    """
    parts = []
    for cell in notebook.cells:
        if not cell.is_code or cell.answers:
            continue
        if cell.solves or not _is_released(cell):
            parts.append(cell.source.strip())
        if cell.solves == exercise:
            break
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _is_released(cell: Cell) -> bool:
    """Whether a code cell is unchanged since the release: it is a set-up, check or locked cell, or
    its id is still the hash of its source.
    """
    if cell.nbgrader.get("locked") or cell.id == "setup" or cell.checks:
        return True
    return cell.id[:12] == hashlib.sha256(cell.source.encode()).hexdigest()[:12]


def _copy_check_outputs(cells: list[Cell], exercise: str, other: Notebook) -> None:
    """Copy the check's saved outputs from the notebook in which the exercise was written."""
    checks = [cell for cell in other.cells if cell.checks == exercise]
    for number, cell in enumerate(cells):
        if cell.checks == exercise and checks:
            saved = checks[-1]
            cells[number] = replace(
                cell, output=saved.output, error=saved.error, execution_count=saved.execution_count
            )


def _parse_cell(cell: dict[str, Any]) -> Cell:
    metadata = cell.get("metadata") or {}
    nbgrader = metadata.get("nbgrader")
    identifier = metadata.get("id") or cell.get("id") or ""  # Colab moves it into the metadata
    outputs = cell.get("outputs") or []
    errors = [f"{o.get('ename', '')}: {o.get('evalue', '')}" for o in outputs if "ename" in o]
    count = cell.get("execution_count")
    return Cell(
        id=str(identifier),
        is_code=cell["cell_type"] == "code",
        source=_text(cell.get("source", "")).replace("\r\n", "\n"),
        nbgrader=nbgrader if isinstance(nbgrader, dict) else {},
        output="".join(_text(o.get("text", "")) for o in outputs),
        error=errors[-1].strip(": ") if errors else "",
        execution_count=count if isinstance(count, int) else None,
    )


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)
