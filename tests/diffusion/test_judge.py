"""The judge: descriptions and verdicts, labels, training, augmentation, accuracy."""

import pytest
import torch

from course_lib.data import described
from course_lib.data.captioned import captioned_picture
from course_lib.data.descriptions import Description, Item
from course_lib.diffusion import judge as judging
from course_lib.diffusion import judge_training as training
from course_lib.diffusion.judge import Judge, Logits, Verdict, description_accuracy
from course_lib.diffusion.judge_training import to_labels


def perfect_logits(description):
    """Logits of which the labels of a description have the highest score."""
    sizes = [len(judging.COLOURS), len(judging.LAYOUTS), len(judging.OBJECTS), 3, 3]
    slots = len(judging.SLOTS)
    labels = to_labels(description).clamp(min=0).split([1, 1, slots, slots, slots])
    one_hot = [
        torch.nn.functional.one_hot(label, size).float()
        for label, size in zip(labels, sizes, strict=True)
    ]
    return Logits(*one_hot[:2], *(scores[None] for scores in one_hot[2:]))


def as_set(description):
    return set(description.objects), description.colour


@pytest.mark.parametrize("seed", range(12))
def test_labels_and_descriptions_are_inverse(seed, monkeypatch):
    description = described.sample_description(seed)
    judge = Judge().eval()
    monkeypatch.setattr(Judge, "forward", lambda self, images: perfect_logits(description))
    (found,) = judge.describe(torch.zeros(1, 3, 128, 128))
    assert as_set(found) == as_set(description)


def test_two_equal_objects_count_as_one(monkeypatch):
    pair = Description(
        (Item("fox", "flat", place="left"), Item("owl", "flat", place="right")), "red"
    )
    logits = perfect_logits(pair)
    monkeypatch.setattr(
        Judge,
        "forward",
        lambda self, images: logits._replace(name=logits.name[:, 1:2].expand(-1, 5, -1)),
    )
    (found,) = Judge().describe(torch.zeros(1, 3, 128, 128))
    assert found == Description((Item("fox", "flat", place="left"),), "red")


def test_loss_is_finite_and_ignores_empty_slots():
    torch.manual_seed(0)
    pictures = [described.described_picture(seed) for seed in range(4)]
    images = torch.stack([picture.image for picture in pictures])
    labels = torch.stack([to_labels(picture.description) for picture in pictures])
    model = Judge()
    training.loss(model, images, labels).backward()
    assert all(value.grad is not None for value in model.parameters())
    only = to_labels(Description((Item("fox", "flat"),), "red"))
    assert (only[2:] >= 0).sum() == 3 and only.shape == labels[0].shape


def test_training_is_reproducible_and_evaluation_returns_accuracies(monkeypatch):
    monkeypatch.setattr(training, "EXAMPLES_PER_EPOCH", 8)
    first, _ = training.train(epochs=1, seed=1, batch_size=4)
    second, _ = training.train(epochs=1, seed=1, batch_size=4)
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    metrics = training.evaluate(first, "seen", 12)
    assert set(metrics) >= {"object", "colour", "style", "place", "both", "all"}
    assert all(0 <= accuracy <= 1 for accuracy in metrics.values())
    assert not {"style", "all"} & set(training.evaluate(first, "held-out-style", 4))
    with pytest.raises(ValueError, match="no split 'x'"):
        training.evaluate(first, "x", 10)


def test_augmentation_keeps_the_background_colour():
    torch.manual_seed(0)
    images = torch.stack([captioned_picture(seed).image for seed in range(16)])
    augmented = training.augment(images)
    assert augmented.shape == images.shape and not torch.equal(augmented, images)
    corners = augmented[:, :, :8, :8].mean((2, 3))
    torch.testing.assert_close(corners, images[:, :, 0, 0], atol=0.06, rtol=0)


def test_accuracy_counts_objects_colours_and_both():
    verdicts = [Verdict("fox", "red"), Verdict("owl", "blue")]
    expected = [("fox", "blue"), ("owl", "blue")]
    accuracies = judging.accuracy(verdicts, expected)
    assert accuracies == {"object": 1.0, "colour": 0.5, "both": 0.5}


def test_classify_names_the_object_and_works_in_batches(monkeypatch):
    pictures = [captioned_picture(seed, objects=judging.OBJECTS) for seed in range(5)]
    images = torch.stack([picture.image for picture in pictures])
    judge = judging.load()
    at_once = judge.classify(images)
    assert at_once == [(picture.name, picture.colour) for picture in pictures]
    monkeypatch.setattr(judging, "_BATCH", 2)
    assert judge.classify(images) == at_once


def test_accuracy_counts_only_what_was_asked():
    fox, owl = Item("fox", "flat", None, "left"), Item("owl", "shiny", "small", "right")
    found = [Description((fox, owl), "red")]

    def score(*items, colour="red"):
        return description_accuracy(found, [Description(items, colour)])

    right = {"colour": 1.0, "object": 1.0, "both": 1.0, "all": 1.0}
    assert score(Item("owl"), Item("fox")) == right
    assert score(owl, fox) == right | {"style": 1.0, "place": 1.0, "size": 1.0}
    assert score(Item("owl", "flat"), Item("cat", "flat"), colour="blue") == {
        "colour": 0.0,
        "object": 0.5,
        "style": 0.0,
        "both": 0.0,
        "all": 0.0,
    }
    assert score(Item("fox"))["object"] == 0.0  # an owl is there too
    alone = [Description((fox,), "red")]
    assert (
        description_accuracy(alone, [Description((Item("fox", size="large"),), "red")])["size"]
        == 0.0
    )
    assert description_accuracy(found + alone, [found[0], alone[0]])["all"] == 1.0
