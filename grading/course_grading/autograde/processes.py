"""Worker processes on this machine. Where the system can fork, they fork from a server process that
has already imported the modules that they need.

This module is not a part of :mod:`.workers`, because ``course grade`` calls :func:`prepare` before
it imports anything large.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver

_PRELOADED = [
    "course_grading.autograde.grade",
    "course_grading.gradebook.preprocessors",
    "nbgrader.apps.api",
]
_START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def prepare() -> None:
    """Start importing, in the background, the modules that the processes need. Called early, it
    adds no time to a run.
    """
    if _START_METHOD == "forkserver":
        multiprocessing.set_forkserver_preload(_PRELOADED)
        forkserver.ensure_running()


def pool(
    workers: int, initializer: Callable[..., None] | None = None, *arguments
) -> ProcessPoolExecutor:
    """``workers`` processes. Each calls ``initializer`` first, and ends when this process ends."""
    prepare()
    return ProcessPoolExecutor(
        workers,
        multiprocessing.get_context(_START_METHOD),
        initializer=_initialise,
        initargs=(dict(os.environ), initializer, arguments),
    )


def _initialise(
    environment: dict[str, str], initializer: Callable[..., None] | None, arguments: tuple
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()  # a forked process inherits the environment of the server's start
    os.environ.update(environment)
    if initializer is not None:
        initializer(*arguments)


def _end_with_parent() -> None:
    """End this process when its parent has ended; waiting for work, it would not notice."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
