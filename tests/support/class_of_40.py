"""The submissions of a class of 40, as the downloads of three platforms.

``tests/grading/class_of_40/`` holds the class (``students.csv``), its submissions
(``submissions.csv``, one row per file) and the expected scores, which were computed manually.

In ``submissions.csv``, ``answers`` lists the answers to the lesson's questions in order, separated
by ``|``; ``exercises`` says what the student did with each exercise (see :meth:`Lesson._exercise`);
``form`` is the format of the file. Times are in UTC.
"""

import csv
import io
import json
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from tests.support.checkout import ROOT

FOLDER = ROOT / "tests" / "grading" / "class_of_40"
NAME = "02_convolution_by_hand"
DOMAIN = "uni.example"
WRONG = {
    "output-size": "def output_size(size, kernel, stride=1, padding=0):\n    return size - kernel",
    "conv2d": "def conv2d(image, kernel, stride=1, padding=0):\n    return image * kernel.sum()",
    "diagonal-kernel": "def diagonal_kernel():\n    return torch.ones(3, 3)",
    "convolution-parameters": (
        "def convolution_parameters(in_channels, out_channels, kernel, bias=True):\n"
        "    return kernel * kernel"
    ),
}
ENDLESS = "def conv2d(image, kernel, stride=1, padding=0):\n    while True:\n        pass"
RAISES = (
    "def convolution_parameters(in_channels, out_channels, kernel, bias=True):\n"
    "    return out_channels * weights_of_one_kernel"
)
HELPER = "def positions(space, step):\n    return space // step + 1"
WITH_HELPER = (
    "def output_size(size, kernel, stride=1, padding=0):\n"
    "    return positions(size + 2 * padding - kernel, stride)"
)
# appended to nbgrader_config.py: deducts a tenth of the score per started day
PENALTY_RULE = """
import math

from nbgrader.plugins import BasePlugin


class TenthPerDay(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return score * math.ceil(total_seconds_late / 86400) / 10


get_config().AssignLatePenalties.plugin_class = TenthPerDay
"""


@dataclass(frozen=True)
class Student:
    """A row of ``students.csv``; ``number`` is the platform's numeric user id."""

    login: str
    first_name: str
    last_name: str
    number: int
    section: str
    group: str
    extension_days: str

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def email(self) -> str:
        return f"{self.login}@{DOMAIN}"


@dataclass(frozen=True)
class SubmittedFile:
    """A file that a student submitted. ``attempt`` numbers the files of the whole class."""

    student: Student
    attempt: int
    time: str
    name: str
    content: bytes
    is_late: bool


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of the class."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def students() -> dict[str, Student]:
    """Login -> student."""
    return {
        row["login"]: Student(**{**row, "number": int(row["number"])})
        for row in read_table("students.csv")
    }


# ---- the notebooks ----


class Lesson:
    """The lesson as it was released, with the reference solutions of its exercises."""

    def __init__(self, workspace: Path):
        self.release = (workspace / "release" / NAME / f"{NAME}.ipynb").read_text("utf-8")
        source = nbformat.read(workspace / "source" / NAME / f"{NAME}.ipynb", as_version=4)
        ids = [cell["id"] for cell in source.cells]
        self.questions = [id.removesuffix("-answer") for id in ids if id.endswith("-answer")]
        self.solutions = {
            cell["id"].removesuffix("-code"): cell.source
            for cell in source.cells
            if cell["id"].endswith("-code")
        }

    def notebook(self, row: dict[str, str]):
        """The released notebook with a student's work, as edited in JupyterLab."""
        notebook = nbformat.reads(self.release, as_version=4)
        answers = dict(zip(self.questions, row["answers"].split("|"), strict=True))
        work = dict(zip(self.solutions, row["exercises"].split(), strict=True))
        cells = []
        for cell in notebook.cells:
            name, _, kind = cell["id"].rpartition("-")
            if kind == "answer":
                typed = f'answer = "{answers[name]}"'
                cell.source = cell.source.replace('answer = ""', typed, 1)
            elif kind == "code":
                if work[name] == "deleted":
                    continue
                if work[name] == "helper":
                    cells.append(nbformat.v4.new_code_cell(HELPER, id="my-helper"))
                cell.source = self._exercise(name, work[name], cell.source)
            cells.append(cell)
        notebook.cells = cells
        return notebook

    def _exercise(self, name: str, work: str, released: str) -> str:
        """The cell of an exercise.

        Args:
            name: the exercise.
            work: ``right`` (the reference), ``wrong``, ``blank``, ``endless`` (a loop), ``raises``
                (a NameError), ``helper`` (correct, with a helper function in a cell of its own) or
                ``merge`` (with merge-conflict markers).
            released: the cell's source.
        """
        comment, _, _ = released.partition("\n")
        reference = self.solutions[name]
        sources = {
            "right": reference,
            "wrong": f"{comment}\n{WRONG[name]}",
            "blank": released,
            "endless": f"{comment}\n{ENDLESS}",
            "raises": f"{comment}\n{RAISES}",
            "helper": f"{comment}\n{WITH_HELPER}",
            "merge": f"{comment}\n<<<<<<< HEAD\n{WRONG[name]}\n=======\n{reference}\n>>>>>>> mine",
        }
        return sources[work]


def _plain(notebook, row: dict[str, str]) -> bytes:
    """The notebook as JupyterLab saves it, with the execution times of its cells."""
    if row["answers"].strip("|") or set(row["exercises"].split()) != {"blank"}:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                time = row["submitted"].replace(" ", "T") + "Z"
                cell.metadata["execution"] = {"shell.execute_reply": time}
    return nbformat.writes(notebook).encode()


def _colab(notebook, row: dict[str, str]) -> bytes:
    """The notebook as Colab saves it: Colab's own cell ids, and nbgrader's metadata lost."""
    content = json.loads(nbformat.writes(notebook))
    for number, cell in enumerate(content["cells"]):
        cell.pop("id")
        cell["metadata"] = {"id": f"aB3_{number}", "executionInfo": {"status": "ok"}}
    content["metadata"] = {"colab": {"provenance": []}}
    content["nbformat_minor"] = 0
    return json.dumps(content, ensure_ascii=False).encode()


def _vscode(notebook, row: dict[str, str]) -> bytes:
    """The notebook as VS Code saves it: new cell ids, and the cells' metadata lost."""
    content = json.loads(nbformat.writes(notebook))
    for number, cell in enumerate(content["cells"]):
        cell["id"], cell["metadata"] = f"{number:08x}", {"vscode": {"languageId": "python"}}
    return json.dumps(content, indent=4).encode()


def _zipped(notebook, row: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{NAME}.ipynb", _plain(notebook, row))
    return buffer.getvalue()


_FORMS: dict[str, Callable] = {
    "plain": _plain,
    "decomposed": _plain,  # the file name is in Unicode normalisation form D
    "colab": _colab,
    "vscode": _vscode,
    "zip": _zipped,
}


def _content(lesson: Lesson, row: dict[str, str]) -> bytes:
    if row["form"] == "cut short":
        return lesson.release.encode()[: len(lesson.release) // 2]
    if row["form"] == "login page":
        return b"<!DOCTYPE html><html><title>Log in to the site</title></html>"
    if row["form"] == "python file":
        return b"print('Hello')\n"
    return _FORMS[row["form"]](lesson.notebook(row), row)


def submitted_files(lesson: Lesson, logins: Iterable[str] = ()) -> list[SubmittedFile]:
    """Every file that the class and mallory, who is not in the class, submitted; only the files of
    ``logins``, if any are given.
    """
    known = students()
    known["mallory"] = Student("mallory", "Mallory", "Malone", 1999, "", "", "")
    late = {row["login"] for row in read_table("expected.csv") if row["late"] == "yes"}
    chosen = set(logins)
    return [
        SubmittedFile(
            known[row["login"]],
            9000 + number,
            row["submitted"],
            row["file"],
            _content(lesson, row),
            row["login"] in late,
        )
        for number, row in enumerate(read_table("submissions.csv"))
        if not chosen or row["login"] in chosen
    ]


# ---- the platforms ----


def _write_zip(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, (2026, 12, 1, 12, 0, 0)), content)
    return path


def _write_csv(path: Path, rows: list[list]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


class Canvas:
    """A flat zip of ``lastfirst_LATE_1001_9000_NAME.ipynb``: no submission times, only ``LATE``."""

    name = "canvas"
    has_submission_times = False
    flags_late = True
    returns_pages = True

    @staticmethod
    def write_roster(path: Path) -> Path:
        columns = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", f"{NAME} (777)"]
        rows = [columns, ["    Points Possible", "", "", "", "", "21"]]
        for s in students().values():
            name = f"{s.last_name}, {s.first_name}"
            rows.append([name, s.number, f"S{s.number}", s.login, s.section, ""])
        return _write_csv(path, [*rows, ["Student, Test", "1", "", "0f5e", "A", ""]])

    @staticmethod
    def stem(student: Student) -> str:
        letters = (c for c in f"{student.last_name}{student.first_name}" if c.isalnum())
        return "".join(letters).lower()

    @classmethod
    def write(cls, folder: Path, files: list[SubmittedFile]) -> Path:
        def entries() -> Iterator[tuple[str, bytes]]:
            for file in files:
                late = "LATE_" if file.is_late else ""
                start = f"{cls.stem(file.student)}_{late}{file.student.number}_{file.attempt}"
                yield f"{start}_{file.name}", file.content

        return _write_zip(folder / "submissions.zip", entries())

    @classmethod
    def id(cls, student: Student) -> str:
        """The student's id in the gradebook."""
        return f"{cls.stem(student)}_{student.number}"

    @staticmethod
    def read_export(out: Path) -> dict[str, str]:
        """Login -> exported score, as text."""
        with (out / "canvas.csv").open(encoding="utf-8", newline="") as file:
            _, *rows = csv.DictReader(file)
        return {row["SIS Login ID"]: row[f"{NAME} (777)"] for row in rows}


class Moodle:
    """A zip with a folder per student, ``Ada Lovelace_1001_assignsubmission_file``, without
    submission times. A name that was zipped on a Mac is in Unicode normalisation form D.
    """

    name = "moodle"
    has_submission_times = False
    flags_late = False
    returns_pages = True

    @staticmethod
    def write_roster(path: Path) -> Path:
        rows = [["First name", "Last name", "ID number", "Email address", "Groups"]]
        rows += [
            [s.first_name, s.last_name, f"S{s.number}", s.email, s.group]
            for s in students().values()
        ]
        return _write_csv(path, rows)

    @staticmethod
    def write(folder: Path, files: list[SubmittedFile]) -> Path:
        def entries() -> Iterator[tuple[str, bytes]]:
            for file in files:
                name = file.student.name
                if file.student.login == "nguyen":
                    name = unicodedata.normalize("NFD", name)
                start = f"{name}_{file.student.number}_assignsubmission_file"
                yield f"{start}/{file.name}", file.content

        return _write_zip(folder / "CS101-Lesson 2-501.zip", entries())

    @staticmethod
    def id(student: Student) -> str:
        return f"{student.name}_{student.number}".replace(" ", "_")

    @staticmethod
    def read_export(out: Path) -> dict[str, str]:
        with (out / "moodle.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {row["Email address"].partition("@")[0]: row[NAME] for row in rows}


class Gradescope:
    """A zip with a folder per submission, and a YAML file of their students and times."""

    name = "gradescope"
    has_submission_times = True
    flags_late = False
    returns_pages = False

    @staticmethod
    def write_roster(path: Path) -> Path:
        rows = [["First Name", "Last Name", "SID", "Email", "Role", "Sections"]]
        rows += [
            [s.first_name, s.last_name, f"S{s.number}", s.email, "Student", s.section]
            for s in students().values()
        ]
        return _write_csv(path, rows)

    @staticmethod
    def write(folder: Path, files: list[SubmittedFile]) -> Path:
        top = "assignment_5_export"
        by_number: dict[int, list[SubmittedFile]] = defaultdict(list)
        for file in files:
            by_number[file.attempt].append(file)
        lines = []
        for number, (first, *_) in by_number.items():
            lines += [
                f"submission_{number}:",
                "  :submitters:",
                f"  - :name: {json.dumps(first.student.name)}",
                f"    :sid: S{first.student.number}",
                f"    :email: {first.student.email}",
                f"  :created_at: {first.time}.000000000 Z",
            ]
        contents = [(f"{top}/submission_{f.attempt}/{f.name}", f.content) for f in files]
        metadata = ("\n".join(lines) + "\n").encode()
        contents.append((f"{top}/submission_metadata.yml", metadata))
        return _write_zip(folder / f"{top}.zip", contents)

    @staticmethod
    def id(student: Student) -> str:
        return student.email

    @staticmethod
    def read_export(out: Path) -> dict[str, str]:
        with zipfile.ZipFile(out / "gradescope" / f"{NAME}.zip") as archive:
            results = json.loads(archive.read("scores.json"))
        return {email.partition("@")[0]: f"{r['score']:g}" for email, r in results.items()}


PLATFORMS = {platform.name: platform for platform in (Canvas, Moodle, Gradescope)}
