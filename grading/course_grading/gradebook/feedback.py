"""Feedback pages: nbgrader makes them in worker processes while the next results are recorded."""

import collections
import functools
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from course_grading.autograde import processes
from course_grading.gradebook import shared
from course_grading.gradebook.feedback_page import read_fingerprint
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.gradebook.record import raise_on_failure

__all__ = ["FeedbackPages", "make_page", "page_path", "read_fingerprint"]

# Queued requests per process, so that memory does not grow with the class.
MAX_WAITING = 4


def page_path(workspace: Path, student: str, lesson: str) -> Path:
    """The file of a page."""
    return workspace / "feedback" / student / lesson / f"{lesson}.html"


def make_page(workspace: Path, student: str, lesson: str) -> str:
    """Make one page from the gradebook, and return why that failed, or an empty string."""
    try:
        api = _api(workspace)
        with shared.share(api):
            raise_on_failure(
                api.generate_feedback(lesson, student, force=True), "write feedback for"
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
        """Queue a page; blocks while the queue is full."""
        while len(self.waiting) >= self.max_waiting:
            self._finish_first()
        try:
            future = self.pool.submit(make_page, self.workspace, student, lesson)
        except BrokenProcessPool:
            future = None
        self.waiting.append((student, lesson, future))

    def wait(self) -> Iterator[tuple[str, str, str]]:
        """Wait for all pages, and return the student, lesson and reason of each failure."""
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
        except BrokenProcessPool:  # a worker was killed: make the page in this process
            reason = make_page(self.workspace, student, lesson)
        if reason:
            self.failures.append((student, lesson, reason))
