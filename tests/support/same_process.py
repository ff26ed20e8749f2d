"""Replaces the grader's worker processes with calls in the test's process.

Starting a process with its imports and its sandbox takes longer than the rest of a small run.
``test_batch.py`` and ``test_workers.py`` test that processes start, die and are replaced.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future

from course_grading.autograde import grade
from course_grading.gradebook import feedback


class SameProcess(Executor):
    """Replaces :func:`course_grading.autograde.processes.pool`; ``submit`` calls immediately."""

    def __init__(self, workers: int, initializer: Callable[..., None] | None = None, *arguments):
        feedback._api.cache_clear()  # a new process reads nbgrader's configuration again
        if initializer is not None:
            initializer(*arguments)

    def submit(self, function, /, *arguments, **keywords) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*arguments, **keywords))
        except Exception as error:
            future.set_exception(error)
        return future


def close_sandbox() -> None:
    """Close this process's sandbox, if any."""
    sandbox = grade._thread_local.__dict__.pop("sandbox", None)
    if sandbox is not None:
        sandbox.close()
