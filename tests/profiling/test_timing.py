"""Timing: functions are called alternately, and the number of threads is restored."""

import pytest
import torch
from torch import nn

from course_lib.profiling.timing import forward_seconds, medians, one_thread


def test_medians_calls_the_functions_alternately():
    calls = []
    seconds = medians({name: lambda name=name: calls.append(name) for name in "ab"}, repeats=3)
    assert calls == ["a", "b"] * 5 and set(seconds) == {"a", "b"}
    assert all(value >= 0 for value in seconds.values())


def test_forward_seconds_restores_the_threads_and_refuses_meta():
    threads = torch.get_num_threads()
    assert forward_seconds(nn.Linear(4, 4), 1, 4, repeats=3) > 0
    assert torch.get_num_threads() == threads
    with pytest.raises(ValueError, match="device='meta'"):
        forward_seconds(nn.Linear(4, 4, device="meta"), 1, 4)


def test_one_thread_restores_the_threads():
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError), one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == threads
