"""Training in two processes gives the same result as training in one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from course_lib.training import distributed
from tests.support.checkout import ROOT

SCRIPT = ROOT / "tests" / "support" / "distributed_fit.py"


def _run(processes: int, result: Path, checkpoint: Path) -> list[dict]:
    """The results of all ranks."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    arguments = [*(launcher if processes > 1 else []), str(SCRIPT), str(result), str(checkpoint)]
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(f"{result}.{rank}", weights_only=True) for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_match_one_and_resume_its_file(tmp_path):
    [single] = _run(1, tmp_path / "single", tmp_path / "single.resume")
    rank_0, rank_1 = _run(2, tmp_path / "pair", tmp_path / "pair.resume")
    for name, weights in single["weights"].items():
        torch.testing.assert_close(rank_0["weights"][name], weights)
        torch.testing.assert_close(rank_1["weights"][name], weights)
    assert rank_0["losses"] == pytest.approx(single["losses"], rel=1e-5)
    assert rank_0["losses"] == rank_1["losses"]
    assert rank_0["noise"] != rank_1["noise"]
    # The run of the single process is complete: nothing is left to train.
    resumed, _ = _run(2, tmp_path / "resumed", tmp_path / "single.resume")
    assert resumed["losses"] == single["losses"]
    torch.testing.assert_close(resumed["weights"], single["weights"], rtol=0, atol=0)


def test_batch_must_be_divisible_by_the_world_size(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="3 processes can't divide batches of 32"):
        distributed.local_batch_size(32)
    assert distributed.local_batch_size(33) == 11
