"""Data-parallel training with torchrun and ``DistributedDataParallel``, one process per GPU.

    torchrun --standalone --nproc-per-node 4 --no-python -- course train tiny-sd

Each batch is split across the processes, so steps, learning rates and the resume file do not depend
on their number. ``DistributedDataParallel`` averages the gradients: Li et al.
(2020), arXiv:2006.15704.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def world_size() -> int:
    """The number of processes that train together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """The index of this process. Rank 0 shows the progress, saves, evaluates and publishes."""
    return int(os.environ.get("RANK", 0))


def local_batch_size(batch_size: int) -> int:
    """The number of examples of each batch that this process trains on.

    Raises:
        ValueError: if the batch can't be split evenly.
    """
    if batch_size % world_size():
        raise ValueError(
            f"{world_size()} processes can't divide batches of {batch_size}: "
            f"give torchrun --nproc-per-node a divisor of {batch_size}."
        )
    return batch_size // world_size()


class _Loss(nn.Module):
    def __init__(self, model: nn.Module, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, *batch: Tensor) -> Tensor:
        return self.loss(self.model, *batch)


def wrap_ddp(model: nn.Module, loss: Callable[..., Tensor]) -> nn.Module:
    """A module that maps a batch to ``loss(model, *batch)``, with gradients averaged over all
    processes.

    ``DistributedDataParallel`` only hooks ``forward``, but some losses call other methods of the
    model: so it wraps the loss, not the model.
    """
    module = _Loss(model, loss)
    if world_size() == 1:
        return module
    _init_process_group()
    return DistributedDataParallel(module)


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """Rank 0 runs the block before the other processes: for files that only it writes."""
    if world_size() > 1:
        _init_process_group()
    if rank() > 0:
        distributed.barrier()
    yield
    if world_size() > 1 and rank() == 0:
        distributed.barrier()


def all_reduce_sum(value: Tensor) -> float:
    """The sum of a scalar over all processes."""
    if world_size() > 1:
        distributed.all_reduce(value)
    return value.item()


def _init_process_group() -> None:
    """Initialise the process group, once, and select this rank's GPU."""
    if distributed.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
