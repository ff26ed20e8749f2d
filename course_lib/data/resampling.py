"""Training batches with fresh examples in every epoch, reproducible from the seed."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from course_lib.training import distributed


def loader(
    data: Dataset,
    count: int,
    *,
    batch_size: int,
    workers: int = 0,
    collate: Callable | None = None,
    weights: Float[Tensor, " examples"] | None = None,
) -> DataLoader:
    """Training batches: ``count`` examples per epoch, sampled from ``data`` with replacement.

    Sampling uses torch's global generator only, so a seeded run sees the same examples with any
    number of ``workers`` (processes that load ahead). In distributed training each process gets its
    share of every batch of ``batch_size``. ``collate`` turns a list of examples into a batch.
    With ``weights``, an example is drawn with a probability in proportion to its weight.
    """
    return DataLoader(
        data,
        distributed.local_batch_size(batch_size),
        sampler=_EpochSampler(data, count, weights),
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
        generator=torch.Generator(),
    )


class SlicedTensors(Dataset):
    """Tensors of equal length, of which a ``DataLoader`` takes each batch with one index operation
    instead of one per example. :func:`loader` needs ``collate=tuple`` for it.
    """

    def __init__(self, *tensors: Tensor) -> None:
        """
        Raises:
            ValueError: if the tensors differ in length.
        """
        if len({len(tensor) for tensor in tensors}) != 1:
            raise ValueError(f"Tensors of lengths {[len(t) for t in tensors]}: give equal lengths.")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, ...]:  # called by DataLoader
        return tuple(tensor[indices] for tensor in self.tensors)


class _EpochSampler(RandomSampler):
    """Indices for one epoch that depend on torch's global generator only.

    A ``DataLoader`` draws its workers' base seed from its generator: with persistent workers in the
    first epoch only, otherwise in every epoch. So :func:`loader` gives it a separate generator, and
    the sampler instead always draws one number.

    In distributed training every process draws the same indices and keeps its own share; then each
    process continues with its own random numbers.
    """

    def __init__(self, data: Dataset, count: int, weights: Tensor | None) -> None:
        super().__init__(data, replacement=True, num_samples=count)
        self.weights = weights

    def __iter__(self) -> Iterator[int]:
        torch.empty((), dtype=torch.int64).random_()
        if self.weights is None:
            indices = super().__iter__()
        else:
            drawn = torch.multinomial(self.weights, self.num_samples, replacement=True)
            indices = iter(drawn.tolist())
        if distributed.world_size() == 1:
            return indices
        rank, world_size = distributed.rank(), distributed.world_size()
        # truncated, so that all processes take the same number of steps
        local_indices = list(indices)[rank::world_size][: len(self)]
        # an offset above the number of epochs: no two processes or epochs have the same seed
        torch.manual_seed(torch.initial_seed() + 2**16 * rank)
        return iter(local_indices)

    def __len__(self) -> int:
        return super().__len__() // distributed.world_size()
