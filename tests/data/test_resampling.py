"""Batches sliced from tensors."""

import pytest
import torch

from course_lib.data.resampling import SlicedTensors, loader


def test_sliced_batches_equal_stacked_examples():
    numbers = torch.arange(20)
    data = SlicedTensors(numbers, numbers[:, None] * 10)
    torch.manual_seed(0)
    sliced = list(loader(data, 12, batch_size=4, collate=tuple))
    torch.manual_seed(0)
    stacked = list(loader(torch.utils.data.TensorDataset(*data.tensors), 12, batch_size=4))
    assert len(sliced) == 3 and len(data) == 20
    for ours, theirs in zip(sliced, stacked, strict=True):
        assert all(map(torch.equal, ours, theirs))


def test_examples_are_drawn_in_proportion_to_their_weights():
    data = SlicedTensors(torch.arange(4))
    torch.manual_seed(0)
    weights = torch.tensor([0.0, 1, 0, 3])
    batches = loader(data, 4000, batch_size=100, collate=tuple, weights=weights)
    first, second = (torch.cat([batch[0] for batch in batches]) for _ in range(2))
    assert first.bincount(minlength=4)[[0, 2]].tolist() == [0, 0]
    assert (first == 3).float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert not torch.equal(first, second)  # every epoch is different
    torch.manual_seed(0)
    assert torch.equal(torch.cat([batch[0] for batch in batches]), first)


def test_tensors_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"lengths \[2, 3\]"):
        SlicedTensors(torch.zeros(2), torch.zeros(3))
