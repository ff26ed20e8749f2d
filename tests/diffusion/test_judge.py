"""The judge: training, augmentation and accuracy."""

import pytest
import torch

from course_lib.data.captioned import captioned_picture
from course_lib.diffusion import judge as judging


def test_training_is_reproducible_and_evaluation_returns_accuracies(monkeypatch):
    monkeypatch.setattr(judging, "EXAMPLES_PER_EPOCH", 8)
    monkeypatch.setattr(judging, "BATCH", 4)
    first, _ = judging.train(epochs=1, seed=1)
    second, _ = judging.train(epochs=1, seed=1)
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    metrics = judging.evaluate(first, "held-out-style", 10)
    assert set(metrics) == {"object", "colour", "both"}
    assert all(0 <= accuracy <= 1 for accuracy in metrics.values())
    with pytest.raises(ValueError, match="no split 'x'"):
        judging.evaluate(first, "x", 10)


def test_augmentation_keeps_the_background_colour():
    torch.manual_seed(0)
    images = torch.stack([captioned_picture(seed).image for seed in range(16)])
    augmented = judging.augment(images)
    assert augmented.shape == images.shape and not torch.equal(augmented, images)
    corners = augmented[:, :, :8, :8].mean((2, 3))
    torch.testing.assert_close(corners, images[:, :, 0, 0], atol=0.06, rtol=0)


def test_accuracy_counts_objects_colours_and_both():
    verdicts = [judging.Verdict("fox", "red"), judging.Verdict("owl", "blue")]
    expected = [("fox", "blue"), ("owl", "blue")]
    accuracies = judging.accuracy(verdicts, expected)
    assert accuracies == {"object": 1.0, "colour": 0.5, "both": 0.5}


def test_classify_works_in_batches(monkeypatch):
    torch.manual_seed(0)
    judge = judging.Judge().eval()
    images = torch.rand(5, 3, 32, 32)
    at_once = judge.classify(images)
    monkeypatch.setattr(judging, "_BATCH", 2)
    assert judge.classify(images) == at_once and len(at_once) == 5
