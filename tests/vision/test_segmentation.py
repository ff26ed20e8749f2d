"""Levels 4 and 5: semantic maps, and grouping of pixels into instances."""

import numpy as np
import torch

from course_lib.data import scenes
from course_lib.vision import instances
from course_lib.vision.segmenter import semantic_map
from tests.support.stub_models import ConstantModel


def test_semantic_map_from_labels_and_instance_map():
    instance_map = torch.tensor([[[0, 1, 2], [2, 2, 0]]])
    expected = [[[0, 5, 1], [1, 1, 0]]]
    assert semantic_map(torch.tensor([[4, 0, -1]]), instance_map).tolist() == expected


def test_semantic_map_agrees_with_the_scenes():
    examples = [scenes.scene(seed) for seed in range(4)]
    batch = scenes.collate(examples)
    expected = torch.stack([scene.semantic for scene in examples])
    assert torch.equal(semantic_map(batch.labels, batch.instances), expected)


def test_centres_of_mass():
    batch = scenes.collate([scenes.scene(seed, size=64) for seed in range(4)])
    centres = instances.centres_of_mass(batch.instances, max_objects=5)
    assert centres.shape == (4, 5, 2)
    for row, instance_map in enumerate(batch.instances.numpy()):
        for number in range(1, 6):
            y, x = np.nonzero(instance_map == number)
            centre = centres[row, number - 1]
            if len(x):
                np.testing.assert_allclose(centre, [x.mean(), y.mean()], rtol=1e-5)
            else:
                assert (centre < -1000).all()


def perfect_model(instance_map, labels):
    """A model that always returns the exact maps of an instance map: 0 background, k object k."""
    side = instance_map.shape[-1]
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    semantic_logits = torch.zeros(1, 13, side, side)
    semantic_logits.scatter_(1, semantic_map(labels, instance_map)[:, None], 20.0)
    centre_logits, offsets = torch.full((1, side, side), -20.0), torch.zeros(1, 2, side, side)
    centres = instances.centres_of_mass(instance_map, labels.shape[1])[0]
    for number, (cx, cy) in enumerate(centres, start=1):
        inside = instance_map[0] == number
        if inside.any():
            centre_logits[0, cy.round().int(), cx.round().int()] = 6.0 - number
            offsets[0, :, inside] = torch.stack([cx - x, cy - y])[:, inside]
    return ConstantModel(semantic_logits, centre_logits, offsets)


def test_exact_maps_give_exact_masks():
    instance_map = torch.zeros(1, 32, 32, dtype=torch.int64)
    instance_map[0, 4:14, 3:12] = 1
    instance_map[0, 6:20, 12:25] = 2  # touches the first object
    model = perfect_model(instance_map, torch.tensor([[7, 7]]))
    (predicted,) = instances.predict(model, torch.zeros(1, 3, 32, 32))
    assert predicted.labels.tolist() == [7, 7]
    assert torch.equal(predicted.masks, torch.stack([instance_map[0] == 1, instance_map[0] == 2]))
    # the scores of the centres, times nearly 1
    torch.testing.assert_close(predicted.scores, torch.tensor([5.0, 4]).sigmoid())


def test_empty_images_and_tiny_groups():
    instance_map = torch.zeros(1, 32, 32, dtype=torch.int64)
    images = torch.zeros(1, 3, 32, 32)
    (empty,) = instances.predict(perfect_model(instance_map, torch.tensor([[1]])), images)
    assert empty.masks.shape == (0, 32, 32)
    assert empty.labels.dtype == torch.int64 and len(empty.scores) == 0
    instance_map[0, 2:22, 2:22] = 1
    instance_map[0, 28, 28:30] = 2  # two pixels are too few for an instance
    (predicted,) = instances.predict(perfect_model(instance_map, torch.tensor([[1, 2]])), images)
    assert predicted.labels.tolist() == [1] and predicted.masks.sum() == 400


def test_find_peaks():
    heatmap = torch.zeros(1, 16, 16)
    heatmap[0, 4, 4], heatmap[0, 4, 7], heatmap[0, 12, 12] = 0.9, 0.8, 0.3

    def peaks(score_threshold, window):
        return instances.find_peaks(heatmap, score_threshold, window).nonzero().tolist()

    assert peaks(0.2, 9) == [[0, 4, 4], [0, 12, 12]]
    assert peaks(0.2, 5) == [[0, 4, 4], [0, 4, 7], [0, 12, 12]]
    assert peaks(0.3, 9) == [[0, 4, 4]]


def test_loss_is_lower_for_correct_offsets():
    batch = scenes.collate([scenes.scene(3, size=64)])
    perfect = perfect_model(batch.instances, batch.labels)
    semantic_logits, centre_logits, offsets = perfect.output
    without_offsets = ConstantModel(semantic_logits, centre_logits, torch.zeros_like(offsets))
    assert instances.loss(perfect, *batch) < instances.loss(without_offsets, *batch)
