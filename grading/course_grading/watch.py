"""Watch a folder, and grade submissions as they arrive.

The folder is polled every few seconds. A file is complete once it has not changed between two
polls; then a normal run (:func:`.batch.grade_batch`) grades the complete files that are new or
changed. Errors of a run are reported, and do not end the watch.
"""

import os
import signal
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from course_grading.batch import Batch
from course_grading.collect.files import is_ignored, list_files
from course_grading.collect.problems import Problem
from course_grading.errors import GradingError
from course_grading.gradebook.recorded import SubmissionId
from course_grading.gradebook.state import State

INTERVAL = 2.0  # seconds between two polls
RETRY_AFTER = 15  # polls after a failed run

Stamp = tuple[int, int, int]  # of a file: inode, size, and time of change in nanoseconds


class FolderWatch:
    """Finds the files that have arrived in a folder since it was last graded.

    Args:
        folder: the folder; it may be empty, or missing for a while.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._last: dict[str, Stamp] = {}
        self._graded: dict[str, Stamp] = {}
        self._complete: dict[str, Stamp] = {}

    def poll(self) -> frozenset[str]:
        """Read the folder once.

        Returns:
            The names of all complete files, if one of them is new or has changed since it was
            graded; else nothing.
        """
        stamps = _read_stamps(self.folder)
        complete = {name: stamp for name, stamp in stamps.items() if self._last.get(name) == stamp}
        self._last = stamps
        if all(self._graded.get(name) == stamp for name, stamp in complete.items()):
            return frozenset()
        self._complete = complete
        return frozenset(complete)

    def accept(self) -> None:
        """Record that the files of the last poll were graded."""
        self._graded = self._complete


def _read_stamps(folder: Path) -> dict[str, Stamp]:
    stamps = {}
    for name, path in list_files(folder).items():
        if is_ignored(name):
            continue
        try:
            status = path.lstat()
        except OSError:  # it has just been deleted
            continue
        if not stat.S_ISDIR(status.st_mode):
            stamps[name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return stamps


@dataclass
class Reporter:
    """Reports the news of each run: one line for each new grade, problem or audit finding.

    Args:
        known: the state of the gradebook before the first run.
    """

    known: State
    _shown: dict[SubmissionId, tuple] = field(default_factory=dict)
    _problems: set[Problem] = field(default_factory=set)

    def __post_init__(self) -> None:
        for id, entry in self.known.items():
            self._shown[id] = (entry.result, entry.score, entry.waits)

    def lines(self, batch: Batch) -> Iterator[str]:
        """The lines for a run."""
        for grade in batch.class_grades:
            id = grade.student, grade.lesson
            result = batch.class_results.get(id)
            shown = (result.digest if result else "", grade.score, grade.needs_manual)
            if self._shown.get(id) != shown:
                self._shown[id] = shown
                late = ", late" if grade.late else ""
                manual = ", to be graded manually" if grade.needs_manual else ""
                yield (
                    f"{grade.student}, {grade.lesson}: {grade.score:g} of {grade.max_score:g} "
                    f"points{late}{manual}"
                )
        problems = set(batch.problems)
        for problem in batch.problems:
            if problem not in self._problems:
                yield f"{problem.file or problem.student}: not graded: {problem.reason}"
        self._problems = problems
        yield from (f"the audit found: {finding}" for finding in batch.audit_findings)


class StopWatching(Exception):
    """The user wants to end the watch."""


class Interruption:
    """Handles Ctrl-C: the first ends the watch after the current run, a second one ends the run,
    too.

    The worker processes must be started while SIGINT is ignored, because a terminal sends it to all
    processes.
    """

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._is_at_work = self._stop_requested = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle SIGINT inside this context."""
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Delay the first Ctrl-C to the end of this context."""
        self._is_at_work = True
        try:
            yield
        finally:
            self._is_at_work = False

    def wait(self) -> None:
        """Wait until the next poll.

        Raises:
            StopWatching: on Ctrl-C, or if it was pressed during a run.
        """
        if self._stop_requested:
            raise StopWatching
        time.sleep(INTERVAL)

    def _interrupt(self, number: int, frame: object) -> None:
        if not self._is_at_work:
            raise StopWatching
        if self._stop_requested:
            raise KeyboardInterrupt
        self._stop_requested = True
        self._say("stopping as soon as this run has written everything; Ctrl-C again stops at once")


def watch(
    folder: Path,
    grade: Callable[[Collection[str]], Iterable[str]],
    say: Callable[[str], None],
    wait: Callable[[], None],
    at_work: Callable[[], AbstractContextManager] = nullcontext,
) -> None:
    """Grade submissions as they arrive, until :class:`StopWatching` is raised.

    Args:
        folder: the folder to watch.
        grade: grades the files with these names, writes all outputs of a run, and returns the lines
            to show.
        say: shows a line.
        wait: waits until the next poll.
        at_work: a context for each run, see :meth:`Interruption.at_work`.
    """
    arrivals = FolderWatch(folder)
    last_error, polls_to_skip = "", 0
    with suppress(StopWatching):
        while True:
            names = arrivals.poll()
            if names and not polls_to_skip:
                with at_work():
                    error = _run(grade, names, say)
                if not error:
                    arrivals.accept()
                elif error != last_error:
                    say(error)
                last_error, polls_to_skip = error, RETRY_AFTER if error else 0
            polls_to_skip = max(0, polls_to_skip - 1)
            wait()


def _run(
    grade: Callable[[Collection[str]], Iterable[str]],
    names: Collection[str],
    say: Callable[[str], None],
) -> str:
    """Grade and show the lines; return the error, if any, which must not end the watch."""
    try:
        for line in grade(names):
            say(line)
    except StopWatching:
        raise
    except Exception as error:
        kind = "" if isinstance(error, (GradingError, OSError)) else f"{type(error).__name__}: "
        return f"nothing was graded: {kind}{error}"
    return ""


def refuse_reason(folder: Path, out: Path) -> str:
    """Why a folder can't be watched; empty if it can."""
    if not folder.is_dir():
        return f"--watch needs a folder, and {folder} is not one: give the folder of submissions"
    if out.resolve().is_relative_to(folder.resolve()):
        return (
            f"--out {out} lies in the watched folder: its files would be treated as submissions. "
            "Give another folder with --out"
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        return f"{folder} can't be read: change its permissions"
    return ""
