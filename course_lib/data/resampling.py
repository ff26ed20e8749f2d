"""Batches from a data set that never ends: new examples in every epoch, the same ones again from
the same seed.
"""

from collections.abc import Callable, Iterator

import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

from course_lib.training import distributed


def loader(
    data: Dataset, count: int, *, batch: int, workers: int = 0, collate: Callable | None = None
) -> DataLoader:
    """Batches for training: ``count`` examples an epoch, drawn from all of ``data`` anew in every
    epoch.

    They are drawn by torch's generator, so a run that is seeded sees the same examples with any
    number of ``workers`` (processes that make them ahead of time). ``collate`` makes a batch of a
    list of examples. Where several processes train together, each gets its share of every batch.
    """
    return DataLoader(
        *(data, distributed.share(batch)),
        sampler=_New(data, replacement=True, num_samples=count),
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
        generator=torch.Generator(),
    )


class _New(RandomSampler):
    """Numbers for an epoch, which depend on nothing but torch's generator.

    A loader draws a number of its own before them, from the generator that it is given: with
    workers that persist only in the first epoch, else in each. Here it is given another, and the
    number is drawn in its place.

    Of several processes that train together each draws the same numbers, takes its own of them, and
    goes on with random numbers of its own.
    """

    def __iter__(self) -> Iterator[int]:
        torch.empty((), dtype=torch.int64).random_()
        numbers = super().__iter__()
        if distributed.count() == 1:
            return numbers
        # all take equally many steps
        own = list(numbers)[distributed.number() :: distributed.count()][: len(self)]
        # no epoch is seeded with that
        torch.manual_seed(torch.initial_seed() + 2**16 * distributed.number())
        return iter(own)

    def __len__(self) -> int:
        return super().__len__() // distributed.count()
