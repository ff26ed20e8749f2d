"""Scores for Canvas, Moodle and Gradescope, as export plugins of nbgrader.

``course export --to canvas`` uses them, and so does ``nbgrader export
--exporter=course_grading.export.platforms.CanvasExportPlugin``. All scores come from nbgrader's gradebook, so manual
scores, extra credit and late penalties are in them. A roster, which is the platform's own export,
says who is who: without ``--roster`` it is ``roster.csv`` in the course directory. It may get one
more column, ``student_id``, with the name under which a student's work was handed in. Who is not in
it is listed in a file beside the export.
"""

import csv
import json
import re
import zipfile
from collections import defaultdict
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.plugins import ExportPlugin
from traitlets import Unicode

from course_grading.export import gradescope_autograder
from course_grading.export.roster import OWN, Roster, RosterError, key, line_of
from course_grading.gradebook import scores
from course_grading.gradebook.scores import Total

# a row of the roster, and its student's submissions by lesson
Row = tuple[dict[str, str], dict[str, Total]]
Unmatched = tuple[Total, str]  # a submission that is not exported, and why


class ExportError(SystemExit):
    """The export is not complete; the message says why. nbgrader's own command ends with it."""


class PlatformExportPlugin(ExportPlugin):
    """What the three have in common: scores are matched with the roster, and nothing is lost in
    silence.
    """

    platform = ""
    known_by: tuple[str, ...] = ()  # the roster's columns that tell who a row is
    default = ""  # what is written, in the course directory's folder exports/

    roster = Unicode("", help="the platform's own export of who is in the course, a CSV file").tag(
        config=True
    )

    def export(self, gradebook: Gradebook) -> None:
        """Write what the platform takes, to ``self.to``; what could not be matched goes to a list
        beside it.

        Raises:
            ExportError: if there is nothing to export, if the roster can't be used, or if a
                submission is left out.
        """
        self.told: list[str] = []
        self.written: list[Path] = []
        lessons, students = (
            [str(name) for name in self.assignment],
            [str(name) for name in self.student],
        )
        totals = scores.totals(gradebook, lessons, students)
        self.found = len(totals)
        missing = sorted(set(lessons) - {total.lesson for total in totals})
        if missing or not totals:
            raise ExportError(
                f"the gradebook holds no submission of {', '.join(missing) or 'this course'}: grade first"
            )
        try:
            roster = Roster(self._beside("roster.csv", self.roster), self.platform, self.known_by)
        except RosterError as error:
            raise ExportError(str(error)) from error
        rows, unmatched = self.match(totals, roster)
        to = self._beside(f"exports/{self.default}", self.to)
        to.parent.mkdir(parents=True, exist_ok=True)
        self.items = scores.items(gradebook)
        if rows:
            self.written += self.write(rows, roster, to)
        provisional = sorted({total.student for total in totals if total.provisional})
        if provisional:
            self.told.append(
                f"not final, something waits to be graded by hand: {', '.join(provisional)}"
            )
        self._list(unmatched, to, roster)
        for sentence in self.told:
            self.log.warning(sentence)
        for path in self.written:
            self.log.info("Written: %s", path)

    def match(self, totals: list[Total], roster: Roster) -> tuple[list[Row], list[Unmatched]]:
        """The roster's rows that have a score, in its order, and what has no row of its own."""
        found: dict[int, dict[str, list[Total]]] = defaultdict(lambda: defaultdict(list))
        unmatched = []
        for total in totals:
            if not total.graded:
                unmatched.append((total, "nothing of it is graded yet"))
                continue
            try:
                found[self.find(total.student, roster)][total.lesson].append(total)
            except LookupError as error:
                unmatched.append((total, str(error)))
        rows: list[Row] = []
        for number, by_lesson in sorted(found.items()):
            row = roster.rows[number]
            single = {lesson: same[0] for lesson, same in by_lesson.items() if len(same) == 1}
            for same in (same for same in by_lesson.values() if len(same) > 1):
                who = " and ".join(total.student for total in same)
                unmatched += [
                    (total, f"{who} are both {line_of(row)} in the roster") for total in same
                ]
            if single:
                rows.append((row, single))
        return rows, unmatched

    def find(self, student: str, roster: Roster) -> int:
        """The number of a student's row; a platform may know how its own downloads name a student.

        Raises:
            LookupError: if there is none, or if there are several.
        """
        return roster.find(student)

    def write(self, rows: list[Row], roster: Roster, to: Path) -> list[Path]:
        """Write what the platform takes, and return the files."""
        raise NotImplementedError

    def _beside(self, default: str, given: str) -> Path:
        if given:
            return Path(given)
        root = getattr(getattr(self.parent, "coursedir", None), "root", None)
        if root is None:
            raise ExportError(f"say where {default} is: there is no course directory to look in")
        return Path(root) / default

    def _list(self, unmatched: list[Unmatched], to: Path, roster: Roster) -> None:
        path = to.with_name(f"{to.stem}-unmatched.csv")
        path.unlink(missing_ok=True)
        if not unmatched:
            return
        table = [
            [one.student, one.lesson, one.score, one.max_score, reason] for one, reason in unmatched
        ]
        _table(path, [["student", "lesson", "score", "max_score", "reason"], *table])
        names = sorted({total.student for total, _ in unmatched})
        some = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        rest = f"the others are in {to}" if self.written else "nothing else was written"
        raise ExportError(
            f"not exported: {len(unmatched)} of {self.found} submissions, of {some}. {path} lists them with the "
            f"reason; {rest}. Who is not in {roster.path} needs a row in it, with the name under which the work was "
            f"handed in as {OWN}, a column that you add."
        )


class CanvasExportPlugin(PlatformExportPlugin):
    """A table for *Grades > Import* in Canvas. The roster is what *Grades > Export* gives.

    The first columns are ``Student, ID, SIS User ID, SIS Login ID, Section``, then one a lesson; a
    first row ``Points Possible`` says what each is worth. Canvas finds a student by ``ID``, else by
    the two SIS ids, and an assignment by the number behind its title, which is taken over from the
    roster, or by its title; else it offers to make a new one. An empty field counts as no grade,
    and Canvas shows all changes before it saves them.

    Sources: "How do I import grades in the Gradebook?" in Canvas's Instructor Guide; what it
    requires is put in short on
    https://teaching.resources.osu.edu/toolsets/carmencanvas/guides/calculating-final-grades/import-csv-file-carmen-grades and is held against ``lib/gradebook_importer.rb`` of https://github.com/instructure/canvas-lms
    """

    platform, default = "Canvas", "canvas.csv"
    known_by = ("SIS Login ID", "SIS User ID", "ID", "Student")
    _DOWNLOAD = re.compile(r"(?P<name>[^\W_]+)_(?:LATE_)?(?P<id>\d+)_\d+", re.IGNORECASE)

    def find(self, student: str, roster: Roster) -> int:
        """As always, or by the name of a file in Canvas's download:
        ``lovelaceada_4321_98765_01_pixels.ipynb``.
        """
        try:
            return roster.find(student)
        except LookupError:
            download = self._DOWNLOAD.fullmatch(student)
            number = roster.find(download["id"]) if download else None
            if number is None or key(download["name"]) != key(
                roster.rows[number]["Student"]
            ).replace("_", ""):
                raise  # both the number and the name must be those of one row
            return number

    def write(self, rows: list[Row], roster: Roster, to: Path) -> list[Path]:
        about = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
        worth = _worth(rows)
        titles = {lesson: _title(lesson, roster.columns) for lesson in worth}
        table = [
            [*about, *titles.values()],
            ["    Points Possible", *[""] * (len(about) - 1), *map(_number, worth.values())],
        ]
        table += [
            [*(row.get(column, "") for column in about), *_fields(by, worth)] for row, by in rows
        ]
        return [_table(to, table)]


class MoodleExportPlugin(PlatformExportPlugin):
    """A table for *Grades > Import > CSV file* in Moodle. The roster is a grade export, or the list
    of participants.

    One column tells who a row is, and one a lesson holds its grade. On the page that follows the
    upload, *Map from* is that column and *Map to* its kind (``Email address``, ``ID number`` or
    ``Username``), and each lesson is mapped to its grade item, whose maximum must be what the
    message says; Moodle refuses more than 100 % unless the site allows it. An empty field counts as
    no grade. A row that Moodle can't find stops the whole import, and a row
    without an id could pass for the row above it: so the column is one that is filled in for
    everybody.

    Sources: https://docs.moodle.org/405/en/Grade_import (its notes on mapping, on the case of email
    addresses and on grades above 100 %), held against ``grade/import/csv/classes/load_data.php`` of
    https://github.com/moodle/moodle
    """

    platform, default = "Moodle", "moodle.csv"
    _IDS = ("Email address", "ID number", "Username")
    known_by = (*_IDS, "Full name")

    def find(self, student: str, roster: Roster) -> int:
        """As always, or by the name of a folder in Moodle's download: ``Ada Lovelace_1234567``, by
        the full name.
        """
        try:
            return roster.find(student)
        except LookupError:
            name = key(re.sub(r"_\d+$", "", student))
            same = [n for n, row in enumerate(roster.rows) if name and name in self._names(row)]
            if len(same) != 1:
                raise
            return same[0]

    @staticmethod
    def _names(row: dict[str, str]) -> set[str]:
        return {
            key(row.get("Full name", "")),
            key(f"{row.get('First name', '')} {row.get('Last name', '')}"),
        }

    def write(self, rows: list[Row], roster: Roster, to: Path) -> list[Path]:
        complete = [
            column
            for column in self._IDS
            if column in roster.columns and all(row[column] for row, _ in rows)
        ]
        if not complete:
            raise ExportError(
                f"{roster.path} has no column ({', '.join(self._IDS)}) that is filled in for everybody with a score: "
                "Moodle could give a grade to the wrong student. Nothing was written."
            )
        worth = _worth(rows)
        self.told.append(
            f"in Moodle, map from and to {complete[0]}; the grade items need these maximum grades: "
            + ", ".join(f"{lesson} {_number(points)}" for lesson, points in worth.items())
        )
        table = [
            [complete[0], *worth],
            *([row[complete[0]], *_fields(by, worth)] for row, by in rows),
        ]
        return [_table(to, table)]


class GradescopeExportPlugin(PlatformExportPlugin):
    """For each lesson a zip that Gradescope takes as the autograder of a programming assignment.

    Gradescope documents no import of scores from a table: scores come from graders in its own
    pages, or from an autograder, which writes ``results.json``. This autograder holds the scores
    that were recorded, by email address, and runs nothing. In Gradescope, make a programming
    assignment worth the lesson's points (with extra credit, allow scores above the maximum), upload
    the zip under *Configure Autograder*, and run it on all submissions. ``self.to`` is a folder.
    The roster is Gradescope's own, with a column ``Email``.

    Sources: https://gradescope-autograders.readthedocs.io/en/latest/specs/ and
    https://guides.gradescope.com/hc/en-us/articles/22066635961357-Grading-a-Programming-Assignment
    """

    platform, default = "Gradescope", "gradescope"
    known_by = ("Email", "SID", "Name", "Full Name")

    def write(self, rows: list[Row], roster: Roster, to: Path) -> list[Path]:
        nameless = [line_of(row) for row, _ in rows if not row.get("Email")]
        if nameless:
            raise ExportError(
                f"{roster.path} has no Email for {', '.join(nameless)}. Nothing was written."
            )
        to.mkdir(exist_ok=True)
        earned = defaultdict(list)
        for item in self.items:
            got = _number(item.score) if item.scored else "not graded yet"
            earned[item.student, item.lesson].append(
                f"{item.name}: {got} of {_number(item.max_score)}"
            )
        written = []
        for lesson in _worth(rows):
            results = {}
            for row, total in ((row, by[lesson]) for row, by in rows if lesson in by):
                lines = earned[total.student, lesson]
                lines = [*lines, f"late: -{_number(total.penalty)}"] if total.penalty else lines
                results[row["Email"].strip().lower()] = {
                    "score": round(total.score, 4),
                    "output": "\n".join(lines),
                }
            written.append(_autograder(to / f"{lesson}.zip", results))
        return written


def _autograder(path: Path, results: dict[str, dict]) -> Path:
    files = {
        "run_autograder": Path(gradescope_autograder.__file__).read_text(encoding="utf-8"),
        "setup.sh": "#!/usr/bin/env bash\napt-get install -y python3\n",
        "scores.json": json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            about = zipfile.ZipInfo(name)  # without a date, so that two exports agree
            about.external_attr = 0o755 << 16
            archive.writestr(about, text)
    return path


def _worth(rows: list[Row]) -> dict[str, float]:
    """The lessons that were handed in, in order, and what each is worth."""
    return dict(sorted((lesson, total.max_score) for _, by in rows for lesson, total in by.items()))


def _fields(by_lesson: dict[str, Total], lessons: dict[str, float]) -> list[str]:
    return [_number(by_lesson[lesson].score) if lesson in by_lesson else "" for lesson in lessons]


def _title(lesson: str, columns: list[str]) -> str:
    """A lesson's column in Canvas: the one that the roster has for it, with its number, else its
    name.
    """
    known = [
        column for column in columns if re.fullmatch(rf"{re.escape(lesson)}( \(\d+\))?", column)
    ]
    return known[0] if known else lesson


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _table(path: Path, rows: list[list]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


PLUGINS = {
    "canvas": CanvasExportPlugin,
    "moodle": MoodleExportPlugin,
    "gradescope": GradescopeExportPlugin,
}
