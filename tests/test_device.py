"""The device of a lesson is resolved, seeded and printed."""

import contextlib

import pytest
import torch

from course_lib.device import autocast, best_device, resolve_device, setup


def test_resolve_device():
    assert resolve_device(None) == best_device()
    assert resolve_device("cpu") == torch.device("cpu")
    for name in ("gpu", "cuda:99", ""):
        with pytest.raises(ValueError, match="cannot be used here: choose cpu"):
            resolve_device(name)


def test_setup_seeds_torch_and_prints_the_device(capsys):
    assert setup(seed=3) == best_device()
    first = torch.rand(4)
    setup(seed=3)
    assert torch.equal(torch.rand(4), first)
    assert "seed 3" in capsys.readouterr().out


def test_autocast_has_no_effect_on_a_cpu():
    assert isinstance(autocast(torch.device("cpu")), contextlib.nullcontext)


def test_autocast_computes_in_bfloat16_on_a_cpu_if_asked():
    a = torch.ones(2, 2)
    with autocast(torch.device("cpu"), bfloat16_on_cpu=True):
        assert (a @ a).dtype == torch.bfloat16
