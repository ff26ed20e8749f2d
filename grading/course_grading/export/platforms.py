"""nbgrader export plugins for Canvas, Moodle and Gradescope.

``course export --to canvas`` uses them, and so does nbgrader's own command::

    nbgrader export --exporter=course_grading.export.platforms.CanvasExportPlugin

All scores come from nbgrader's gradebook, so they include manual scores, extra credit and late
penalties. The platform's roster identifies the students; without ``--roster`` it is ``roster.csv``
in the course directory. You may add a column ``student_id`` to it, with the student's id in the
gradebook. Submissions that are not exported are listed in a second file, with the reason.
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

from course_grading.errors import ExportError, RosterError
from course_grading.export import gradescope_autograder
from course_grading.export.roster import (
    STUDENT_ID_COLUMN,
    Roster,
    describe_row,
    find_row_by_canvas_file_name,
    find_rows_by_full_name,
)
from course_grading.gradebook import scores
from course_grading.gradebook.scores import Total

# A row of the roster, and the student's totals by lesson.
StudentScores = tuple[dict[str, str], dict[str, Total]]
NotExported = tuple[Total, str]  # a submission that is not exported, and why


class PlatformExportPlugin(ExportPlugin):
    """Base class: matches scores with the roster, and reports every score that is not exported.

    After :meth:`export`, ``written`` lists the platform's files, and ``messages`` the notes for
    instructors.
    """

    platform = ""
    id_columns: tuple[str, ...] = ()  # the roster's columns that may identify a student
    default_name = ""  # of the file or folder in the course directory's exports/

    roster = Unicode("", help="the platform's own export of its students, a CSV file").tag(
        config=True
    )

    def export(self, gradebook: Gradebook) -> None:
        """Write the platform's file to ``self.to``. Submissions that are not exported are listed in
        another file in the same folder.

        Raises:
            ExportError: if there is nothing to export, or the roster is invalid; also, once the
                files are written, if a submission was left out.
        """
        self.messages: list[str] = []
        self.written: list[Path] = []
        lessons = [str(name) for name in self.assignment]
        students = [str(name) for name in self.student]
        totals = scores.totals(gradebook, lessons, students)
        missing = sorted(set(lessons) - {total.lesson for total in totals})
        if missing or not totals:
            raise ExportError(
                f"the gradebook has no submission of {', '.join(missing) or 'this course'}: "
                "grade first"
            )
        try:
            path = self._resolve_path(self.roster, "roster.csv")
            roster = Roster(path, self.platform, self.id_columns)
        except RosterError as error:
            raise ExportError(str(error)) from error
        rows, not_exported = self.match(totals, roster)
        output = self._resolve_path(self.to, f"exports/{self.default_name}")
        output.parent.mkdir(parents=True, exist_ok=True)
        self.items = scores.items(gradebook)
        if rows:
            self.written += self.write(rows, roster, output)
        provisional = sorted({total.student for total in totals if total.provisional})
        if provisional:
            self.messages.append(
                f"not final, because manual grading is not finished: {', '.join(provisional)}"
            )
        for message in self.messages:
            self.log.warning(message)
        for path in self.written:
            self.log.info("Written: %s", path)
        self._write_not_exported(not_exported, len(totals), output, roster)

    def match(
        self, totals: list[Total], roster: Roster
    ) -> tuple[list[StudentScores], list[NotExported]]:
        """The roster's rows with scores, in the roster's order, and what is not exported: totals
        that are not graded yet, match no row or several, or share a row.
        """
        by_row: dict[int, dict[str, list[Total]]] = defaultdict(lambda: defaultdict(list))
        not_exported = []
        for total in totals:
            if not total.graded:
                not_exported.append((total, "not graded yet"))
                continue
            try:
                by_row[self.find_row(total.student, roster)][total.lesson].append(total)
            except LookupError as error:
                not_exported.append((total, str(error)))
        rows: list[StudentScores] = []
        for row_index, by_lesson in sorted(by_row.items()):
            row = roster.rows[row_index]
            matched = {}
            for lesson, same_lesson in by_lesson.items():
                if len(same_lesson) == 1:
                    matched[lesson] = same_lesson[0]
                    continue
                students = " and ".join(total.student for total in same_lesson)
                reason = f"{students} match the same row of the roster, {describe_row(row)}"
                not_exported += [(total, reason) for total in same_lesson]
            if matched:
                rows.append((row, matched))
        return rows, not_exported

    def find_row(self, student: str, roster: Roster) -> int:
        """The index of a student's row. Subclasses also accept names in the platform's downloads.

        Raises:
            LookupError: if there is none, or more than one.
        """
        return roster.find(student)

    def write(self, rows: list[StudentScores], roster: Roster, output: Path) -> list[Path]:
        """Write the platform's files, and return their paths."""
        raise NotImplementedError

    def _resolve_path(self, given: str, default: str) -> Path:
        """The given path, or the default in the course directory."""
        if given:
            return Path(given)
        root = getattr(getattr(self.parent, "coursedir", None), "root", None)
        if root is None:
            raise ExportError(f"give the path of {default}: there is no course directory")
        return Path(root) / default

    def _write_not_exported(
        self, not_exported: list[NotExported], total_count: int, output: Path, roster: Roster
    ) -> None:
        path = output.with_name(f"{output.stem}-unmatched.csv")
        path.unlink(missing_ok=True)
        if not not_exported:
            return
        table: list[list] = [["student", "lesson", "score", "max_score", "reason"]]
        for total, reason in not_exported:
            table.append([total.student, total.lesson, total.score, total.max_score, reason])
        _write_csv(path, table)
        names = sorted({total.student for total, _ in not_exported})
        listed = ", ".join(names[:10])
        if len(names) > 10:
            listed += f" and {len(names) - 10} more"
        rest = f"the others are in {output}" if self.written else "nothing else was written"
        raise ExportError(
            f"not exported: {len(not_exported)} of {total_count} submissions, of {listed}. {path} "
            f"lists them with the reason; {rest}. A student who is not in {roster.path} "
            f"needs a row there; if the ids differ, add a column {STUDENT_ID_COLUMN} with those in "
            f"the first column of {path.name}."
        )


class CanvasExportPlugin(PlatformExportPlugin):
    """A table for *Grades > Import* in Canvas. The roster is the file from *Grades > Export*.

    The first columns are ``Student, ID, SIS User ID, SIS Login ID, Section``, followed by one
    column per lesson. The row below the header, ``Points Possible``, holds the maximum scores.
    Canvas finds a student by ``ID``, or else by the two SIS ids. It finds an assignment by the id
    in parentheses after the title, which is taken from the roster, or else by the title; if there
    is none, it offers to create one. An empty field removes a recorded grade. Canvas shows all
    changes before it saves them.

    Sources: "How do I import grades in the Gradebook?" in Canvas's Instructor Guide;
    https://teaching.resources.osu.edu/toolsets/carmencanvas/guides/calculating-final-grades/import-csv-file-carmen-grades
    (a summary), checked against ``lib/gradebook_importer.rb`` of
    https://github.com/instructure/canvas-lms
    """

    platform = "Canvas"
    default_name = "canvas.csv"
    id_columns = ("SIS Login ID", "SIS User ID", "ID", "Student")

    def find_row(self, student: str, roster: Roster) -> int:
        """Also accepts a name in a download from Canvas: ``lovelaceada_4321``, from the file
        ``lovelaceada_4321_98765_01_pixels.ipynb``.
        """
        try:
            return roster.find(student)
        except LookupError:
            row_index = find_row_by_canvas_file_name(student, roster)
            if row_index is None:
                raise
            return row_index

    def write(self, rows: list[StudentScores], roster: Roster, output: Path) -> list[Path]:
        columns = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
        max_scores = _max_scores(rows)
        titles = [_assignment_title(lesson, roster.columns) for lesson in max_scores]
        points_possible = ["    Points Possible", *[""] * (len(columns) - 1)]
        table = [[*columns, *titles], [*points_possible, *map(_format_score, max_scores.values())]]
        for row, totals in rows:
            student = [row.get(column, "") for column in columns]
            table.append([*student, *_score_fields(totals, max_scores)])
        return [_write_csv(output, table)]


class MoodleExportPlugin(PlatformExportPlugin):
    """A table for *Grades > Import > CSV file* in Moodle. The roster is a grade export or the list
    of participants.

    One column identifies the student; each lesson has a column with its grade. On the page after
    the upload, set *Map from* to the first column and *Map to* to the matching field of users
    (``Email address``, ``ID number`` or ``Username``), and map each lesson to its grade item. The
    grade item's maximum must equal the one that ``course export`` prints; Moodle refuses more than
    100 % unless the site allows it. An empty field removes a recorded grade. An unknown student
    stops the whole import. Moodle may give the grades in a row without an id to another student;
    therefore the first column is one that is filled in for every exported student.

    Sources: https://docs.moodle.org/405/en/Grade_import (its notes on mapping, on the case of email
    addresses and on grades above 100 %), checked against
    ``grade/import/csv/classes/load_data.php`` of https://github.com/moodle/moodle
    """

    platform = "Moodle"
    default_name = "moodle.csv"
    _IDS = ("Email address", "ID number", "Username")
    id_columns = (*_IDS, "Full name")

    def find_row(self, student: str, roster: Roster) -> int:
        """Also accepts a full name in a folder's name in a download from Moodle:
        ``Ada Lovelace_1234567``.
        """
        try:
            return roster.find(student)
        except LookupError:
            row_indices = find_rows_by_full_name(student, roster)
            if not row_indices:
                raise
            return roster.require_single_row(row_indices)

    def write(self, rows: list[StudentScores], roster: Roster, output: Path) -> list[Path]:
        complete = [
            column
            for column in self._IDS
            if column in roster.columns and all(row[column] for row, _ in rows)
        ]
        if not complete:
            raise ExportError(
                f"{roster.path} has no column ({', '.join(self._IDS)}) that is filled in for "
                "everybody with a score: Moodle could give a grade to the wrong student. Nothing "
                "was written."
            )
        id_column = complete[0]
        max_scores = _max_scores(rows)
        grade_items = [f"{lesson} {_format_score(score)}" for lesson, score in max_scores.items()]
        self.messages.append(
            f"in Moodle, set Map from and Map to to {id_column}; the grade items need these "
            "maximum grades: " + ", ".join(grade_items)
        )
        table = [[id_column, *max_scores]]
        table += [[row[id_column], *_score_fields(totals, max_scores)] for row, totals in rows]
        return [_write_csv(output, table)]


class GradescopeExportPlugin(PlatformExportPlugin):
    """For each lesson, a zip that Gradescope accepts as the autograder of a programming assignment.

    Gradescope documents no import of scores from a table: scores come from manual grading on its
    site, or from an autograder, which writes ``results.json``. This autograder contains the
    recorded scores by email address, and runs no submitted code. In Gradescope, create a
    programming assignment worth the lesson's points (with extra credit, allow scores above the
    maximum), upload the zip under *Configure Autograder*, and run it on all submissions.
    ``self.to`` is a folder. The roster is Gradescope's own, with a column ``Email``.

    Sources: https://gradescope-autograders.readthedocs.io/en/latest/specs/ and
    https://guides.gradescope.com/hc/en-us/articles/22066635961357-Grading-a-Programming-Assignment
    """

    platform = "Gradescope"
    default_name = "gradescope"
    id_columns = ("Email", "SID", "Name", "Full Name")

    def write(self, rows: list[StudentScores], roster: Roster, output: Path) -> list[Path]:
        without_email = [describe_row(row) for row, _ in rows if not row.get("Email")]
        if without_email:
            raise ExportError(
                f"{roster.path} has no Email for {', '.join(without_email)}. Nothing was written."
            )
        output.mkdir(exist_ok=True)
        item_lines = defaultdict(list)
        for item in self.items:
            score = _format_score(item.score) if item.scored else "not graded yet"
            item_lines[item.student, item.lesson].append(
                f"{item.name}: {score} of {_format_score(item.max_score)}"
            )
        written = []
        for lesson in _max_scores(rows):
            results = {}
            for row, totals in rows:
                if lesson not in totals:
                    continue
                total = totals[lesson]
                lines = list(item_lines[total.student, lesson])
                if total.penalty:
                    lines.append(f"late: -{_format_score(total.penalty)}")
                results[row["Email"].strip().lower()] = {
                    "score": round(total.score, 4),
                    "output": "\n".join(lines),
                }
            written.append(_write_autograder(output / f"{lesson}.zip", results))
        return written


def _write_autograder(path: Path, results: dict[str, dict]) -> Path:
    files = {
        "run_autograder": Path(gradescope_autograder.__file__).read_text(encoding="utf-8"),
        "setup.sh": "#!/usr/bin/env bash\napt-get install -y python3\n",
        "scores.json": json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)  # without a date, so that two exports are identical
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, text)
    return path


def _max_scores(rows: list[StudentScores]) -> dict[str, float]:
    """The maximum score of each lesson with a submission, ordered by lesson."""
    return dict(
        sorted((lesson, total.max_score) for _, totals in rows for lesson, total in totals.items())
    )


def _score_fields(totals: dict[str, Total], lessons: dict[str, float]) -> list[str]:
    return [_format_score(totals[lesson].score) if lesson in totals else "" for lesson in lessons]


def _assignment_title(lesson: str, columns: list[str]) -> str:
    """A lesson's column title: the roster's, with the assignment's id, or the lesson's name."""
    pattern = re.compile(rf"{re.escape(lesson)}( \(\d+\))?")
    return next((column for column in columns if pattern.fullmatch(column)), lesson)


def _format_score(score: float) -> str:
    return f"{score:.4f}".rstrip("0").rstrip(".")


def _write_csv(path: Path, rows: list[list]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


PLUGINS = {
    "canvas": CanvasExportPlugin,
    "moodle": MoodleExportPlugin,
    "gradescope": GradescopeExportPlugin,
}
