"""Who is who: from the student ids under which work was handed in to a platform's own ids, by the
platform's roster.
"""

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

# a column of our own that anybody may add: the id under which the work was handed in
OWN = "student_id"


class RosterError(Exception):
    """A roster can't be used; the message says why and how to mend it."""


class Roster:
    """The rows of a roster, and the one that belongs to a student.

    Args:
        path: a CSV file, separated by commas, semicolons or tabs: the platform's own export.
        platform: its name, for messages.
        known_by: the columns that may tell who a row is; what the file lacks of them is passed
            over.

    Raises:
        RosterError: if it isn't there, isn't UTF-8, or has none of these columns.
    """

    def __init__(self, path: Path, platform: str, known_by: Iterable[str]):
        known_by = list(known_by)
        if not path.is_file():
            raise RosterError(
                f"{path} is not there: export the roster from {platform} as CSV and save it there"
            )
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise RosterError(f"{path} is not saved as UTF-8: save it as 'CSV UTF-8'") from error
        first = text.split("\n", 1)[0]
        table = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
        header, *lines = [[field.strip() for field in line] for line in table] or [[]]
        self.path = path
        self.columns = header
        self.present = [column for column in known_by if column in header]
        if not self.present:
            raise RosterError(
                f"{path} has none of the columns {', '.join(known_by)}: is it {platform}'s own export?"
            )
        filled = [
            dict(zip(header, line + [""] * len(header), strict=False))
            for line in lines
            if any(line)
        ]
        self.rows = [
            row
            for row in filled
            if any(row[c] for c in self.present) and not _is_points(line_of(row))
        ]
        self._own = self._index([OWN] if OWN in header else [])
        self._known = self._index(self.present)

    def _index(self, columns: list[str]) -> dict[str, set[int]]:
        index = defaultdict(set)
        for number, row in enumerate(self.rows):
            for column in columns:
                if row[column]:
                    index[key(row[column])].add(number)
        return index

    def find(self, student: str) -> int:
        """The number of a student's row.

        Raises:
            LookupError: if there is none, or if there are several; the message says so.
        """
        for index in (self._own, self._known):
            numbers = index.get(key(student), set())
            if len(numbers) == 1:
                return next(iter(numbers))
            if numbers:
                rows = ", ".join(line_of(self.rows[number]) for number in sorted(numbers))
                raise LookupError(f"{len(numbers)} rows of the roster could be meant: {rows}")
        raise LookupError("not in the roster")


def key(name: str) -> str:
    """What two spellings of one name share: intake, too, writes ``_`` for what a file's name can't
    hold.
    """
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", name)).strip("_").casefold()


def line_of(row: dict[str, str]) -> str:
    """A row in a message: its first three fields that hold something."""
    return " / ".join([field for field in row.values() if field][:3])


def _is_points(line: str) -> bool:
    """Canvas's own export has a row, above the students, that tells what each assignment is
    worth.
    """
    return line.startswith("Points Possible")
