"""Read a platform's roster, and match submissions' student ids with its rows."""

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from course_grading.errors import RosterError
from course_grading.export.column_names import to_english

# A column that instructors may add to a roster: the student's id in the gradebook.
STUDENT_ID_COLUMN = "student_id"

_CANVAS_DOWNLOAD = re.compile(r"(?P<name>[^\W_]+)_(?:LATE_)?(?P<id>\d+)(?:_\d+)?", re.IGNORECASE)


class Roster:
    """The rows of a roster, searchable by student.

    Column names are translated to those of the platform's current English version.

    Args:
        path: a CSV file with commas, semicolons or tabs: the platform's own export.
        platform: the platform's name, for messages.
        id_columns: the columns that may identify a student; missing ones are ignored.

    Raises:
        RosterError: if the file is missing, is neither UTF-8 nor UTF-16 with a byte-order mark, or
            has no column that identifies a student.
    """

    def __init__(self, path: Path, platform: str, id_columns: Iterable[str]):
        id_columns = list(id_columns)
        header, records = read_table(path, platform, id_columns)
        if "Student" in id_columns and "Student" not in header and "Last name" in header:
            header, records = _with_student_column(header, records)
        present = [column for column in id_columns if column in header]
        # the full name may be in two columns
        has_split_name = {"First name", "Last name"} <= set(header) and "Full name" in id_columns
        if not present and not has_split_name:
            raise RosterError(
                f"{path} has none of the columns {', '.join(id_columns)}: is it the export of "
                f"{platform}?"
            )
        rows = [
            dict(zip(header, record + [""] * len(header), strict=False))
            for record in records
            if any(record)
        ]
        identifying = present or ["First name", "Last name"]
        self.path = path
        self.columns = header
        self.rows = [
            row
            for row in rows
            if any(row[column] for column in identifying) and not _is_points_row(row)
        ]
        added_columns = [STUDENT_ID_COLUMN] if STUDENT_ID_COLUMN in header else []
        self._id_columns = [*added_columns, *present]
        # The student_id before the platform's columns; in each, a match in all but case before a
        # normalised one: ann.lee is not ann_lee.
        self._indexes = [
            self._index(columns, normalise)
            for columns in (added_columns, present)
            for normalise in (_ignore_case, normalise_name)
        ]

    def _index(
        self, columns: list[str], normalise: Callable[[str], str]
    ) -> tuple[Callable[[str], str], dict[str, set[int]]]:
        index = defaultdict(set)
        for row_index, row in enumerate(self.rows):
            for column in columns:
                if row[column]:
                    index[normalise(row[column])].add(row_index)
        return normalise, index

    def find(self, student: str) -> int:
        """The index of a student's row.

        Raises:
            LookupError: if there is none, or more than one; the message says so.
        """
        for normalise, index in self._indexes:
            row_indices = index.get(normalise(student), set())
            if row_indices:
                return self.require_single_row(row_indices)
        raise LookupError("not in the roster" + self._leading_zeros_hint(student))

    def require_single_row(self, row_indices: Iterable[int]) -> int:
        """The one row index in ``row_indices``.

        Raises:
            LookupError: if there is none, or more than one.
        """
        row_indices = sorted(row_indices)
        if len(row_indices) == 1:
            return row_indices[0]
        if not row_indices:
            raise LookupError("not in the roster")
        rows = ", ".join(describe_row(self.rows[index]) for index in row_indices)
        raise LookupError(f"{len(row_indices)} rows of the roster match: {rows}")

    def _leading_zeros_hint(self, student: str) -> str:
        """A hint for an id whose leading zeros Excel has dropped; else empty."""
        if not student.isdigit():
            return ""
        for row in self.rows:
            for column in self._id_columns:
                value = row[column]
                if value.isdigit() and value.lstrip("0") == student.lstrip("0"):
                    remedy = (
                        "Write the ids with their leading zeros in this column, formatted as text"
                        if column == STUDENT_ID_COLUMN
                        else "Export the roster again and don't save it from Excel, or format the "
                        "column as text"
                    )
                    return (
                        f", but {column} {value} is: Excel may have dropped the leading zeros. "
                        f"{remedy}"
                    )
        return ""


def read_table(
    path: Path, platform: str, expected: Iterable[str] = ()
) -> tuple[list[str], list[list[str]]]:
    """The header, with English column names, and the rows of a CSV file.

    The separator is detected; a byte-order mark, blank lines before the header and Excel's line
    ``sep=;`` are skipped. A column's name is not translated if another column already has the
    translated name.

    Raises:
        RosterError: if the file is missing or is not UTF-8 (or UTF-16 with a byte-order mark).
    """
    if not path.is_file():
        raise RosterError(
            f"{path} does not exist: export the roster from {platform} as CSV and save it there"
        )
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise RosterError(f"{path} is not UTF-8: save it as 'CSV UTF-8'") from error
    text = text.lstrip("\r\n \t\ufeff")
    first_line, _, rest = text.partition("\n")
    declared = re.fullmatch(r'"?sep=(.)"?\s*', first_line, re.IGNORECASE)
    if declared:
        text = rest.lstrip("\r\n")
        first_line = text.split("\n", 1)[0]
    delimiter = declared[1] if declared else max(",;\t", key=first_line.count)
    table = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    while table and not any(field.strip() for field in table[0]):
        table.pop(0)
    header, *records = [[field.strip() for field in record] for record in table] or [[]]
    kept = {*header} & {*expected, STUDENT_ID_COLUMN}
    names = []
    for column in header:
        name = column if column in kept else to_english(column)
        names.append(column if name in names or (name != column and name in kept) else name)
    return names, records


def _with_student_column(
    header: list[str], records: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """Add the column ``Student``, which newer exports of Canvas split into two."""
    last = header.index("Last name")
    first = header.index("First name") if "First name" in header else None

    def name(record: list[str]) -> str:
        parts = [record[n] for n in (last, first) if n is not None and n < len(record)]
        return ", ".join(part for part in parts if part)

    return ["Student", *header], [[name(record), *record] for record in records]


def find_row_by_canvas_file_name(student: str, roster: Roster) -> int | None:
    """The index of the row that has both the name and the id at the start of a file in a download
    from Canvas, such as ``lovelaceada_101_98765``; None if there is none.
    """
    download = _CANVAS_DOWNLOAD.fullmatch(student)
    if not download:
        return None
    try:
        row_index = roster.find(download["id"])
    except LookupError:
        return None
    name = normalise_name(roster.rows[row_index].get("Student", "")).replace("_", "")
    return row_index if normalise_name(download["name"]) == name else None


def find_rows_by_full_name(student: str, roster: Roster) -> list[int]:
    """The indices of the rows with the full name of a folder in a download from Moodle, such as
    ``Ada Lovelace_1234567``.
    """
    name = normalise_name(re.sub(r"_\d+$", "", student))
    return [index for index, row in enumerate(roster.rows) if name and name in full_names(row)]


def full_names(row: dict[str, str]) -> set[str]:
    """A row's full names, normalised, with the first name first."""
    last, _, first = row.get("Student", "").partition(",")
    names = {
        row.get("Full name", ""),
        f"{row.get('First name', '')} {row.get('Last name', '')}",
        f"{first} {last}",
    }
    return {normalise_name(name) for name in names} - {""}


def _ignore_case(name: str) -> str:
    """A name without differences of case and of composed characters (Unicode form NFC)."""
    return unicodedata.normalize("NFC", name).casefold()


def normalise_name(name: str) -> str:
    """A name without differences of case, punctuation and Unicode form (NFKC).

    As in the file names of submissions, ``_`` stands for each run of characters that are neither
    letters nor digits; there is none at the ends.
    """
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", name)).strip("_").casefold()


def describe_row(row: dict[str, str]) -> str:
    """A row's first three non-empty fields, for a message."""
    return " / ".join([field for field in row.values() if field][:3])


def _is_points_row(row: dict[str, str]) -> bool:
    """Whether it is Canvas's row of maximum scores above the students."""
    return describe_row(row).startswith("Points Possible")
