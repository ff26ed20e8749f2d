"""Feedback pages: nbgrader makes them in separate processes while the gradebook takes the next
result.
"""

import collections
import functools
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from course_grading.autograde import processes
from course_grading.gradebook.feedback_page import read_fingerprint
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.gradebook.record import raise_on_failure

__all__ = ["FeedbackPages", "make_page", "page_path", "read_fingerprint"]

# Requests that may wait, per process: a large class needs no more memory than a small one.
MAX_WAITING = 4


def page_path(workspace: Path, student: str, lesson: str) -> Path:
    """The file of a page."""
    return workspace / "feedback" / student / lesson / f"{lesson}.html"


def make_page(workspace: Path, student: str, lesson: str) -> str:
    """Make one page from the gradebook; return why that failed, or an empty string."""
    try:
        raise_on_failure(
            _api(workspace).generate_feedback(lesson, student, force=True), "write feedback for"
        )
    except Exception as error:  # a missing page must not stop the batch
        return str(error) or type(error).__name__
    return ""


@functools.cache
def _api(workspace: Path):
    return open_api(workspace)


class FeedbackPages:
    """Makes pages in the background.

    Args:
        workspace: nbgrader's course directory.
        workers: processes on this machine.
    """

    def __init__(self, workspace: Path, workers: int):
        self.workspace = workspace
        self.max_waiting = MAX_WAITING * workers
        self.pool = processes.pool(workers)
        self.waiting: collections.deque[tuple[str, str, Future | None]] = collections.deque()
        self.failures: list[tuple[str, str, str]] = []

    def request(self, student: str, lesson: str) -> None:
        """Have a page made; blocks while too many requests wait."""
        while len(self.waiting) >= self.max_waiting:
            self._finish_first()
        try:
            future = self.pool.submit(make_page, self.workspace, student, lesson)
        except BrokenProcessPool:
            future = None
        self.waiting.append((student, lesson, future))

    def wait(self) -> Iterator[tuple[str, str, str]]:
        """Wait for all pages; student, lesson and reason of those that could not be made."""
        while self.waiting:
            self._finish_first()
        return iter(self.failures)

    def close(self) -> None:
        """End the processes."""
        self.pool.shutdown(cancel_futures=True)

    def _finish_first(self) -> None:
        student, lesson, future = self.waiting.popleft()
        try:
            reason = future.result() if future else make_page(self.workspace, student, lesson)
        except BrokenProcessPool:  # somebody ended a process: make it in this one
            reason = make_page(self.workspace, student, lesson)
        if reason:
            self.failures.append((student, lesson, reason))
