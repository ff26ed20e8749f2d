"""Processes of this machine. Where the system can fork, they come from one that has already
imported what they need.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver

_NEEDED = [
    "course_grading.autograde.grade",
    "course_grading.gradebook.preprocessors",
    "nbgrader.apps.api",
]
_HOW = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def prepare() -> None:
    """Begin to import, in the background, what the processes need. Called early, it costs a run no
    time of its own.
    """
    if _HOW == "forkserver":
        multiprocessing.set_forkserver_preload(_NEEDED)
        forkserver.ensure_running()


def pool(workers: int, begin: Callable[..., None] | None = None, *arguments) -> ProcessPoolExecutor:
    """``workers`` processes, each of which first calls ``begin``, and ends with the process that
    asked for them.
    """
    prepare()
    return ProcessPoolExecutor(
        workers,
        multiprocessing.get_context(_HOW),
        initializer=_begin,
        initargs=(dict(os.environ), begin, arguments),
    )


def _begin(
    environment: dict[str, str], begin: Callable[..., None] | None, arguments: tuple
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()  # a forked process has the environment of the day its server was started
    os.environ.update(environment)
    if begin is not None:
        begin(*arguments)


def _end_with_parent() -> None:
    """End this process when the one that asked for it is gone: waiting for work, it would not
    notice a kill.
    """
    multiprocessing.parent_process().join()
    os._exit(1)
