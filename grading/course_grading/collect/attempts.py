"""Choose which of several files of one student for one lesson is graded."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from course_grading.collect.lessons import NotebookFacts

T = TypeVar("T")


@dataclass(frozen=True)
class Attempt(Generic[T]):
    """One file of a student for a lesson.

    Args:
        submission: the file.
        handed_in: the platform's submission time, in seconds since 1970; None if unknown.
        number: the platform's number of the attempt; higher numbers are newer.
        facts: reads facts from the notebook; called only if needed.
        is_untouched: whether the notebook is unchanged since the release.
        modified: the file's modification time, in seconds since 1970.
    """

    submission: T
    handed_in: float | None
    number: int | None
    facts: Callable[[], NotebookFacts]
    is_untouched: Callable[[], bool]
    modified: float


def choose(attempts: Sequence[Attempt[T]]) -> tuple[Attempt[T], str]:
    """The attempt to grade, and why: the newest of those that are readable and contain work."""
    if len(attempts) == 1:
        return attempts[0], "the only one"
    readable = [attempt for attempt in attempts if not attempt.facts().error]
    if len(readable) == 1:
        return readable[0], "the only one that can be read"
    readable = readable or [*attempts]
    worked = [attempt for attempt in readable if not attempt.is_untouched()]
    if len(worked) == 1:
        return worked[0], "the only one that contains work"
    worked = worked or readable
    criteria: tuple[tuple[str, Callable[[Attempt[T]], float | None]], ...] = (
        ("newer by submission time", lambda attempt: attempt.handed_in),
        ("newer by the platform's number", lambda attempt: attempt.number),
        ("newer by the times in its cells", lambda attempt: attempt.facts().last_run),
        ("newer by its modification time", lambda attempt: attempt.modified),
    )
    reason = ""
    for why, value_of in criteria:
        known = [value_of(attempt) for attempt in worked]
        values = [value for value in known if value is not None]
        if len(values) == len(known) and len(set(values)) > 1:
            reason = reason or why
            newest = max(values)
            worked = [
                attempt for attempt, value in zip(worked, values, strict=True) if value == newest
            ]
        if len(worked) == 1:
            break
    return worked[0], reason or "equally new"


def modification_time(path: os.PathLike) -> float:
    """A file's modification time, in seconds since 1970; 0 if the file no longer exists."""
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
