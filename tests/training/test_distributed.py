"""A training in two processes is the training in one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from course_lib.training import distributed
from tests.support.checkout import ROOT

SCRIPT = ROOT / "tests" / "support" / "distributed_fit.py"


def _run(processes: int, result: Path, state: Path) -> list[dict]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [
        sys.executable,
        *(launcher if processes > 1 else []),
        str(SCRIPT),
        str(result),
        str(state),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(f"{result}.{number}", weights_only=True) for number in range(processes)]


def test_two_processes_train_what_one_trains_and_go_on_from_its_file(tmp_path):
    [alone] = _run(1, tmp_path / "alone", tmp_path / "alone.resume")
    first, second = _run(2, tmp_path / "two", tmp_path / "two.resume")
    for name, weights in alone["weights"].items():
        torch.testing.assert_close(first["weights"][name], weights)
        torch.testing.assert_close(second["weights"][name], weights)
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert first["losses"] == second["losses"]
    assert first["noise"] != second["noise"]
    # it is at its end: nothing is left to train
    again, _ = _run(2, tmp_path / "again", tmp_path / "alone.resume")
    assert again["losses"] == alone["losses"]
    torch.testing.assert_close(again["weights"], alone["weights"], rtol=0, atol=0)


def test_a_batch_that_cannot_be_divided_is_told(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="3 processes can't divide batches of 32"):
        distributed.share(32)
    assert distributed.share(33) == 11
