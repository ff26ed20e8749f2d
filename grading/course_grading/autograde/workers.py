"""Grade many submissions in worker processes on this machine, or on a Dask cluster."""

import faulthandler
import itertools
import os
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from course_grading.autograde import processes
from course_grading.autograde.answer_keys import AnswerKey
from course_grading.autograde.grade import GradingTask, SubmissionResult, grade_submission
from course_grading.sandbox.limits import GRADING_TIME_LIMIT

MAX_ATTEMPTS = 3  # how often a submission may crash its worker process before it is given up
TOO_LONG = (
    f"not graded: grading took more than {GRADING_TIME_LIMIT / 60:.0f} minutes; inspect the "
    "notebook manually"
)


def grade_all(
    tasks: Iterable[GradingTask],
    keys: dict[str, AnswerKey],
    *,
    workers: int | None = None,
    dask: str | None = None,
) -> Iterator[SubmissionResult]:
    """Grade every task; yield results in order of completion. Only a few tasks are read ahead,
    however many there are.

    Args:
        tasks: the submissions.
        keys: the answer key of each lesson.
        workers: processes on this machine, by default one per processor core.
        dask: the address of a Dask scheduler, to use its workers instead.
    """
    if dask is not None:
        return _grade_on_cluster(tasks, keys, dask)
    return _grade_here(tasks, keys, workers or len(os.sched_getaffinity(0)))


def failure(task: GradingTask, reason: str) -> SubmissionResult:
    """The result of a submission that could not be graded. It has no digest: the next run grades it
    again.
    """
    return SubmissionResult(
        task.student, task.lesson, task.file, "", timestamp=task.timestamp, problem=reason
    )


def grade_safely(task: GradingTask, key: AnswerKey) -> SubmissionResult:
    """Grade one submission; an exception becomes the problem in its result."""
    os.environ["COURSE_MODE"] = "grading"  # lessons train very little
    try:
        return grade_submission(task, task.key or key)
    except Exception as error:  # one broken submission must not stop the batch
        return failure(task, f"not graded: {error or type(error).__name__}")


def _grade_here(
    tasks: Iterable[GradingTask], keys: dict[str, AnswerKey], workers: int
) -> Iterator[SubmissionResult]:
    source = iter(tasks)
    while True:
        unfinished = yield from _until_broken(source, keys, workers, ahead=2 * workers)
        if not unfinished:
            return
        # one of them ended a process: grade each alone to find it
        for task in unfinished:
            for _ in range(MAX_ATTEMPTS - 1):
                start = time.monotonic()
                if not (yield from _until_broken(iter([task]), keys, 1, ahead=1)):
                    break
                if time.monotonic() - start >= GRADING_TIME_LIMIT:
                    yield failure(task, TOO_LONG)
                    break
            else:
                yield failure(
                    task,
                    f"not graded: its worker process died {MAX_ATTEMPTS} times; inspect the "
                    "notebook manually",
                )


def _until_broken(
    source: Iterator[GradingTask], keys: dict[str, AnswerKey], workers: int, ahead: int
) -> Generator[SubmissionResult, None, list[GradingTask]]:
    """Grade the tasks of ``source`` until it is empty or a process has died; return the tasks that
    were running then.
    """
    running: dict[Future, GradingTask] = {}
    with processes.pool(workers, _set_keys, keys) as pool:
        while True:
            for task in itertools.islice(source, ahead - len(running)):
                try:
                    running[pool.submit(_grade_in_worker, task)] = task
                except BrokenProcessPool:
                    return [*running.values(), task]
            if not running:
                return []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                try:
                    result = future.result()
                except BrokenProcessPool:
                    return list(running.values())
                del running[future]
                yield result


_keys: dict[str, AnswerKey] = {}  # in each worker process


def _set_keys(keys: dict[str, AnswerKey]) -> None:
    _keys.update(keys)


def _grade_in_worker(task: GradingTask) -> SubmissionResult:
    with open(os.devnull, "w") as sink:
        # a watchdog thread in C, which ends the process even if Python is blocked
        faulthandler.dump_traceback_later(GRADING_TIME_LIMIT, exit=True, file=sink)
        try:
            return grade_safely(task, _keys[task.lesson])
        finally:
            faulthandler.cancel_dump_traceback_later()


def _grade_on_cluster(
    tasks: Iterable[GradingTask], keys: dict[str, AnswerKey], address: str
) -> Iterator[SubmissionResult]:
    from distributed import Client, as_completed

    with Client(address) as client:
        remote_keys = {lesson: client.scatter(key, broadcast=True) for lesson, key in keys.items()}
        source = iter(tasks)
        futures = as_completed()
        running: dict[str, GradingTask] = {}

        def submit(count: int) -> None:
            for task in itertools.islice(source, count):
                name = f"grade-{task.digest(task.key or keys[task.lesson])}"
                future = client.submit(
                    grade_safely, task, remote_keys[task.lesson], key=name, retries=MAX_ATTEMPTS
                )
                running[future.key] = replace(task, data=b"")
                futures.add(future)

        submit(max(4, 4 * sum(client.nthreads().values())))
        for future in futures:
            task = running.pop(future.key)
            error = future.exception()
            yield failure(task, f"not graded: {error}") if error else future.result()
            submit(1)
