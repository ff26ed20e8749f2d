"""Levels 4 and 5: the truth for each pixel, and grouping pixels to objects."""

import numpy as np
import torch

from course_lib.data import scenes
from course_lib.vision import instances
from course_lib.vision.segmenter import semantic
from tests.support.stub_models import ConstantModel


def test_semantic_takes_the_class_from_the_objects_number():
    numbers = torch.tensor([[[0, 1, 2], [2, 2, 0]]])
    assert semantic(torch.tensor([[4, 0, -1]]), numbers).tolist() == [[[0, 5, 1], [1, 1, 0]]]


def test_semantic_is_what_the_scenes_say():
    made = [scenes.scene(seed) for seed in range(4)]
    batch = scenes.collate(made)
    assert torch.equal(
        semantic(batch.labels, batch.instances), torch.stack([one.semantic for one in made])
    )


def test_middles_are_centres_of_gravity():
    batch = scenes.collate([scenes.scene(seed, size=64) for seed in range(4)])
    found = instances.middles(batch.instances, most=5)
    assert found.shape == (4, 5, 2)
    for row, numbers in enumerate(batch.instances.numpy()):
        for number in range(1, 6):
            y, x = np.nonzero(numbers == number)
            if len(x):
                np.testing.assert_allclose(found[row, number - 1], [x.mean(), y.mean()], rtol=1e-5)
            else:
                assert (found[row, number - 1] < -1000).all()


def exact_maps(numbers, labels):
    """What a perfect model would say of these objects, given as 0 on the background and k on the
    k-th.
    """
    side = numbers.shape[-1]
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    scores = torch.zeros(1, 13, side, side)
    scores.scatter_(1, semantic(labels, numbers)[:, None], 20.0)
    hills, offsets = torch.full((1, side, side), -20.0), torch.zeros(1, 2, side, side)
    for number, (cx, cy) in enumerate(instances.middles(numbers, labels.shape[1])[0], start=1):
        inside = numbers[0] == number
        if inside.any():
            hills[0, cy.round().int(), cx.round().int()] = 6.0 - number
            offsets[0, :, inside] = torch.stack([cx - x, cy - y])[:, inside]
    return ConstantModel(scores, hills, offsets)


def test_exact_maps_give_exact_masks():
    numbers = torch.zeros(1, 32, 32, dtype=torch.int64)
    numbers[0, 4:14, 3:12] = 1
    numbers[0, 6:20, 12:25] = 2  # it touches the first
    (found,) = instances.predict(
        exact_maps(numbers, torch.tensor([[7, 7]])), torch.zeros(1, 3, 32, 32)
    )
    assert found.labels.tolist() == [7, 7]
    assert torch.equal(found.masks, torch.stack([numbers[0] == 1, numbers[0] == 2]))
    # the middle's, times almost 1
    torch.testing.assert_close(found.scores, torch.tensor([5.0, 4]).sigmoid())


def test_crumbs_and_empty_pictures():
    numbers = torch.zeros(1, 32, 32, dtype=torch.int64)
    images = torch.zeros(1, 3, 32, 32)
    (found,) = instances.predict(exact_maps(numbers, torch.tensor([[1]])), images)
    assert (
        found.masks.shape == (0, 32, 32)
        and found.labels.dtype == torch.int64
        and len(found.scores) == 0
    )
    numbers[0, 2:22, 2:22], numbers[0, 28, 28:30] = 1, 2  # two pixels are no object
    (found,) = instances.predict(exact_maps(numbers, torch.tensor([[1, 2]])), images)
    assert found.labels.tolist() == [1] and found.masks.sum() == 400


def test_peaks_are_the_highest_of_their_window_and_high_enough():
    hills = torch.zeros(1, 16, 16)
    hills[0, 4, 4], hills[0, 4, 7], hills[0, 12, 12] = 0.9, 0.8, 0.3
    assert instances.peaks(hills, 0.2, 9).nonzero().tolist() == [[0, 4, 4], [0, 12, 12]]
    assert instances.peaks(hills, 0.2, 5).nonzero().tolist() == [[0, 4, 4], [0, 4, 7], [0, 12, 12]]
    assert instances.peaks(hills, 0.3, 9).nonzero().tolist() == [[0, 4, 4]]


def test_the_loss_of_a_perfect_answer_is_smaller_than_of_one_that_points_nowhere():
    batch = scenes.collate([scenes.scene(3, size=64)])
    perfect = exact_maps(batch.instances, batch.labels)
    scores, hills, offsets = perfect.answer
    lost = ConstantModel(scores, hills, torch.zeros_like(offsets))
    assert instances.loss(perfect, *batch) < instances.loss(lost, *batch)
