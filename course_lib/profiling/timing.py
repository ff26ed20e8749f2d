"""Fair times: what is compared runs in turns, so that a slow moment of the machine hits everyone
alike.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import torch


def medians(functions: Mapping[str, Callable[[], object]], repeats: int = 15) -> dict[str, float]:
    """The median seconds that each function takes, all of them called in turns.

    Args:
        functions: by name; each is called twice to warm up.
        repeats: how many turns are timed.
    """
    for function in [*functions.values()] * 2:
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread meanwhile: in small work, waiting for a second thread takes longer than the work
    itself.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
