"""What can go wrong with what was handed in, told so that nothing ends as a silent zero."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A file or submission that was not graded, and why. Never a silent zero."""

    student: str
    lesson: str
    file: str
    reason: str


class IntakeError(Exception):
    """Nothing can be taken in; the message says why and what is expected."""
