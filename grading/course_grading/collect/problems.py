"""Why a file or submission was not graded: a record for a person, never a silent zero."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A file or submission that was not graded, and why."""

    student: str
    lesson: str
    file: str
    reason: str
