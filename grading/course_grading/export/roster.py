"""Match the student ids of submissions with a platform's roster."""

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from course_grading.errors import RosterError

# a column that instructors may add to a roster: the student's id in the gradebook
OWN_COLUMN = "student_id"


class Roster:
    """The rows of a roster, searchable by student.

    Args:
        path: a CSV file with commas, semicolons or tabs: the platform's own export.
        platform: the platform's name, for messages.
        id_columns: the columns that may identify a student; those that the file lacks are ignored.

    Raises:
        RosterError: if the file is missing, is not UTF-8, or has none of these columns.
    """

    def __init__(self, path: Path, platform: str, id_columns: Iterable[str]):
        id_columns = list(id_columns)
        if not path.is_file():
            raise RosterError(
                f"{path} does not exist: export the roster from {platform} as CSV and save it there"
            )
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise RosterError(f"{path} is not UTF-8: save it as 'CSV UTF-8'") from error
        first_line = text.split("\n", 1)[0]
        delimiter = max(",;\t", key=first_line.count)
        table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        header, *lines = [[field.strip() for field in line] for line in table] or [[]]
        present = [column for column in id_columns if column in header]
        if not present:
            raise RosterError(
                f"{path} has none of the columns {', '.join(id_columns)}: is it the export of "
                f"{platform}?"
            )
        rows = [
            dict(zip(header, line + [""] * len(header), strict=False))
            for line in lines
            if any(line)
        ]
        self.path = path
        self.columns = header
        self.rows = [
            row
            for row in rows
            if any(row[column] for column in present) and not _is_points_row(row)
        ]
        self._by_own_column = self._index([OWN_COLUMN] if OWN_COLUMN in header else [])
        self._by_id = self._index(present)

    def _index(self, columns: list[str]) -> dict[str, set[int]]:
        index = defaultdict(set)
        for number, row in enumerate(self.rows):
            for column in columns:
                if row[column]:
                    index[normalise_name(row[column])].add(number)
        return index

    def find(self, student: str) -> int:
        """The number of a student's row.

        Raises:
            LookupError: if there is none, or more than one; the message says so.
        """
        for index in (self._by_own_column, self._by_id):
            numbers = index.get(normalise_name(student), set())
            if len(numbers) == 1:
                return next(iter(numbers))
            if numbers:
                rows = ", ".join(describe_row(self.rows[number]) for number in sorted(numbers))
                raise LookupError(f"{len(numbers)} rows of the roster match: {rows}")
        raise LookupError("not in the roster")


def normalise_name(name: str) -> str:
    """A name without differences of case, punctuation and Unicode form; collecting submissions,
    too, replaces what a file name can't hold by ``_``.
    """
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", name)).strip("_").casefold()


def describe_row(row: dict[str, str]) -> str:
    """A row in a message: its first three non-empty fields."""
    return " / ".join([field for field in row.values() if field][:3])


def _is_points_row(row: dict[str, str]) -> bool:
    """Whether it is the row of maximum scores that Canvas exports above the students."""
    return describe_row(row).startswith("Points Possible")
