"""Which of torch's operations a call uses, by torch's own profiler."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from torch.profiler import ProfilerActivity, profile


def operations(call: Callable[[], object]) -> list[str]:
    """The names of the operations that a call runs on the CPU, such as ``aten::conv2d``, sorted.

    An operation that another one calls is listed too.
    """
    with _silent(), profile(activities=[ProfilerActivity.CPU]) as record:
        call()
    return sorted({event.key for event in record.key_averages()})


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Inside the block the process writes nothing: the profiler reports that it finds no GPU."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open(os.devnull, "w", encoding="utf-8") as sink, contextlib.ExitStack() as stack:
        for number in (1, 2):
            saved = os.dup(number)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, number)
            os.dup2(sink.fileno(), number)
        yield
