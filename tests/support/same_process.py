"""The grader's worker processes as plain calls in the process of the test.

What is tested with them is what a run records; that processes start, die and are replaced is tested
in ``test_batch.py`` and ``test_workers.py``. A new process, its imports and its sandbox cost more
than all the rest of a small run.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future

from course_grading.autograde import grade
from course_grading.gradebook import feedback


class SameProcess(Executor):
    """Stands in for :func:`course_grading.autograde.processes.pool`: each call is made at once."""

    def __init__(self, workers: int, initializer: Callable[..., None] | None = None, *arguments):
        feedback._api.cache_clear()  # a new process would read nbgrader's configuration again
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
    """End the sandbox that this process has used, if any."""
    sandbox = grade._thread_local.__dict__.pop("sandbox", None)
    if sandbox is not None:
        sandbox.close()
