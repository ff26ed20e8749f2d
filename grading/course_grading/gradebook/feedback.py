"""Feedback pages: nbgrader makes them in processes of their own, while the gradebook takes the next
result.
"""

import collections
import functools
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from course_grading.autograde import processes
from course_grading.gradebook.nbgrader_api import open_desk
from course_grading.gradebook.record import succeed

# pages that may wait, for each process: a large class needs no more memory than a small one
AHEAD = 4


def page(workspace: Path, student: str, lesson: str) -> Path:
    """The file of a page."""
    return workspace / "feedback" / student / lesson / f"{lesson}.html"


def make(workspace: Path, student: str, lesson: str) -> str:
    """Make one page of what the gradebook holds; why that failed, or an empty text."""
    try:
        succeed(
            _desk(workspace).generate_feedback(lesson, student, force=True), "write feedback for"
        )
    except Exception as error:  # a page that is missing never stops a batch
        return str(error) or type(error).__name__
    return ""


@functools.cache
def _desk(workspace: Path):
    return open_desk(workspace)


class Pages:
    """Pages under way.

    Args:
        workspace: nbgrader's course directory.
        workers: processes on this machine.
    """

    def __init__(self, workspace: Path, workers: int):
        self.workspace, self.most = workspace, AHEAD * workers
        self.pool = processes.pool(workers)
        self.waiting: collections.deque[tuple[str, str, Future | None]] = collections.deque()
        self.failed: list[tuple[str, str, str]] = []

    def ask(self, student: str, lesson: str) -> None:
        """Have a page made; waits while too many are under way."""
        while len(self.waiting) >= self.most:
            self._finish()
        try:
            future = self.pool.submit(make, self.workspace, student, lesson)
        except BrokenProcessPool:
            future = None
        self.waiting.append((student, lesson, future))

    def unmade(self) -> Iterator[tuple[str, str, str]]:
        """Wait for all pages; student, lesson and reason of those that could not be made."""
        while self.waiting:
            self._finish()
        return iter(self.failed)

    def close(self) -> None:
        """End the processes."""
        self.pool.shutdown(cancel_futures=True)

    def _finish(self) -> None:
        student, lesson, future = self.waiting.popleft()
        try:
            why_not = future.result() if future else make(self.workspace, student, lesson)
        except BrokenProcessPool:  # somebody ended a process: here, then
            why_not = make(self.workspace, student, lesson)
        if why_not:
            self.failed.append((student, lesson, why_not))
