"""Choose which of a student's files for a lesson to grade."""

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
        submission: the submission that the file belongs to.
        submitted_at: the platform's submission time, in seconds since 1970; None if unknown.
        attempt_number: the platform's attempt number; higher numbers are newer.
        read_facts: reads facts from the notebook; called only if needed.
        is_untouched: whether the notebook is unchanged since the release.
        modified_at: the file's modification time, in seconds since 1970.
    """

    submission: T
    submitted_at: float | None
    attempt_number: int | None
    read_facts: Callable[[], NotebookFacts]
    is_untouched: Callable[[], bool]
    modified_at: float


def choose(attempts: Sequence[Attempt[T]]) -> tuple[Attempt[T], str]:
    """The attempt to grade, and why: the newest readable one with work, if there is one."""
    if len(attempts) == 1:
        return attempts[0], "the only one"
    readable = [attempt for attempt in attempts if not attempt.read_facts().error]
    if len(readable) == 1:
        return readable[0], "the only one that can be read"
    readable = readable or [*attempts]
    with_work = [attempt for attempt in readable if not attempt.is_untouched()]
    if len(with_work) == 1:
        return with_work[0], "the only one that contains work"
    with_work = with_work or readable
    criteria: tuple[tuple[str, Callable[[Attempt[T]], float | None]], ...] = (
        ("newer by submission time", lambda attempt: attempt.submitted_at),
        ("newer by the platform's attempt number", lambda attempt: attempt.attempt_number),
        ("newer by the times in its cells", lambda attempt: attempt.read_facts().last_run),
        ("newer by its modification time", lambda attempt: attempt.modified_at),
    )
    reason = ""
    for why, value_of in criteria:
        known = [value_of(attempt) for attempt in with_work]
        values = [value for value in known if value is not None]
        if len(values) == len(known) and len(set(values)) > 1:
            reason = reason or why
            newest = max(values)
            with_work = [
                attempt for attempt, value in zip(with_work, values, strict=True) if value == newest
            ]
        if len(with_work) == 1:
            break
    return with_work[0], reason or "as new as the others"


def modification_time(path: os.PathLike) -> float:
    """A file's modification time, in seconds since 1970; 0 if the file no longer exists."""
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
