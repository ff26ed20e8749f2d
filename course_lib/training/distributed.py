"""One training over several processes, a GPU each: torchrun starts them, and torch's own DDP joins
them.

    torchrun --standalone --nproc-per-node 4 --no-python course train tiny-sd

Each batch is divided among them. So a run is the same with any number of processes: its steps, its
learning rates, and the file that it goes on from. ``DistributedDataParallel`` adds up what each has
learned: Li et al. (2020), arXiv:2006.15704.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def count() -> int:
    """How many processes train together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", 1))


def number() -> int:
    """Which of them this one is: 0 is the one that shows its progress, saves, measures and
    ships.
    """
    return int(os.environ.get("RANK", 0))


def share(batch: int) -> int:
    """How many examples of each batch are for this process.

    Raises:
        ValueError: if they can't be divided evenly.
    """
    if batch % count():
        raise ValueError(
            f"{count()} processes can't divide batches of {batch}: start torchrun with a divisor of it."
        )
    return batch // count()


class _Loss(nn.Module):
    def __init__(self, model: nn.Module, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *batch: Tensor) -> Tensor:
        return self.loss(self.model, *batch)


def joined(model: nn.Module, loss: Callable[..., Tensor]) -> nn.Module:
    """``loss(model, *batch)`` as a function of the batch, after whose backward all processes have
    the same gradients.

    ``DistributedDataParallel`` watches what goes through ``forward``, and some losses use a model's
    parts one by one: so what it is given is the loss itself.
    """
    whole = _Loss(model, loss)
    if count() == 1:
        return whole
    _begin()
    return DistributedDataParallel(whole)


@contextmanager
def in_turn() -> Iterator[None]:
    """The first process goes through the block, and then the others: for files that are made
    once.
    """
    if count() > 1:
        _begin()
    if number() > 0:
        distributed.barrier()
    yield
    if count() > 1 and number() == 0:
        distributed.barrier()


def summed(total: Tensor) -> float:
    """The sum of a number that each process has its own of."""
    if count() > 1:
        distributed.all_reduce(total)
    return total.item()


def _begin() -> None:
    """Meet the others, once, and take a GPU of one's own."""
    if distributed.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
