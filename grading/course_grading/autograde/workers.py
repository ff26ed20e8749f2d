"""Many submissions: `mark` mapped over the processes of this machine, or over a Dask cluster."""

import itertools
import os
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from course_grading.autograde import processes
from course_grading.autograde.answer_keys import Key
from course_grading.autograde.grade import Marked, Task, mark

TRIES = 3  # how often a submission may end the process that marks it


def marks(
    tasks: Iterable[Task],
    keys: dict[str, Key],
    *,
    workers: int | None = None,
    dask: str | None = None,
) -> Iterator[Marked]:
    """Every task marked, in the order in which they are done. Only a few are read ahead, however
    many there are.

    Args:
        tasks: the submissions.
        keys: the key of each lesson.
        workers: processes on this machine, by default one a processor core.
        dask: the address of a Dask scheduler, to use its workers instead.
    """
    if dask is not None:
        return _on_cluster(tasks, keys, dask)
    return _here(tasks, keys, workers or len(os.sched_getaffinity(0)))


def unmarked(task: Task, reason: str) -> Marked:
    """The result of a submission that could not be marked. It has no digest: the next run tries it
    again.
    """
    return Marked(task.student, task.lesson, task.file, "", when=task.when, problem=reason)


def safely(task: Task, key: Key) -> Marked:
    """Mark one submission; what goes wrong is its result."""
    os.environ["COURSE_MODE"] = "grading"  # nothing trains
    try:
        return mark(task, key)
    except Exception as error:  # one broken submission never stops a batch
        return unmarked(task, f"not graded: {error or type(error).__name__}")


def _here(tasks: Iterable[Task], keys: dict[str, Key], workers: int) -> Iterator[Marked]:
    source = iter(tasks)
    while True:
        unfinished = yield from _until_broken(source, keys, workers, ahead=2 * workers)
        if not unfinished:
            return
        for (
            task
        ) in unfinished:  # one of them ended a process; alone, each shows whether it is the one
            for _ in range(TRIES - 1):
                if not (yield from _until_broken(iter([task]), keys, 1, ahead=1)):
                    break
            else:
                yield unmarked(
                    task, f"not graded: {TRIES} times the process that marked it was ended"
                )


def _until_broken(
    source: Iterator[Task], keys: dict[str, Key], workers: int, ahead: int
) -> Generator[Marked, None, list[Task]]:
    """Mark what ``source`` gives, until it is empty or a process has died; return what was under
    way then.
    """
    running = {}
    with processes.pool(workers, _hold, keys) as pool:
        while True:
            for task in itertools.islice(source, ahead - len(running)):
                try:
                    running[pool.submit(_mark_here, task)] = task
                except BrokenProcessPool:
                    return [*running.values(), task]
            if not running:
                return []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                try:
                    marked = future.result()
                except BrokenProcessPool:
                    return list(running.values())
                del running[future]
                yield marked


_keys: dict[str, Key] = {}


def _hold(keys: dict[str, Key]) -> None:
    _keys.update(keys)


def _mark_here(task: Task) -> Marked:
    return safely(task, _keys[task.lesson])


def _on_cluster(tasks: Iterable[Task], keys: dict[str, Key], address: str) -> Iterator[Marked]:
    from distributed import Client, as_completed

    with Client(address) as client:
        held = {lesson: client.scatter(key, broadcast=True) for lesson, key in keys.items()}
        source, waiting = iter(tasks), as_completed()
        asked: dict[str, Task] = {}

        def ask(count: int) -> None:
            for task in itertools.islice(source, count):
                name = f"mark-{task.digest(keys[task.lesson])}"
                future = client.submit(safely, task, held[task.lesson], key=name, retries=TRIES)
                asked[future.key] = replace(task, data=b"")
                waiting.add(future)

        ask(max(4, 4 * sum(client.nthreads().values())))
        for future in waiting:
            task = asked.pop(future.key)
            error = future.exception()
            yield unmarked(task, f"not graded: {error}") if error else future.result()
            ask(1)
