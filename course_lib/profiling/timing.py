"""Fair timing: the calls of compared functions alternate, so that a temporary slowdown affects all
of them.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn


def medians(functions: Mapping[str, Callable[[], object]], repeats: int = 15) -> dict[str, float]:
    """The median time of each function in seconds; they are called alternately.

    Args:
        functions: by name; each is called twice to warm up.
        repeats: the number of timed calls of each function.
    """
    for function in [*functions.values()] * 2:
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


@torch.no_grad()
def forward_seconds(module: nn.Module, *input_shape: int, repeats: int = 31) -> float:
    """The shortest time of a forward pass on the module's device, in seconds, after two warm-up
    passes.

    The minimum and not the median: other programs can only lengthen a pass. On the CPU it uses one
    thread: for a small layer, starting several takes longer than the work.

    Raises:
        ValueError: if the module is on the ``meta`` device, where nothing can run.
    """
    device = next(module.parameters()).device
    if device.type == "meta":
        raise ValueError(
            "A module on the meta device has no weights to run: build it without device='meta'."
        )
    inputs = torch.rand(input_shape, device=device)
    seconds = []
    with one_thread():
        for _ in range(repeats + 2):
            start = synchronized_time(device)
            module(inputs)
            seconds.append(synchronized_time(device) - start)
    return min(seconds[2:])


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Inside the block torch uses one thread: in small operations, synchronising several threads
    takes longer than the work.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def synchronized_time(device: torch.device) -> float:
    """The current time in seconds, after a CUDA device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
