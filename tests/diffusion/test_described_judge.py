"""The judge of described pictures: labels, training, conversion of weights, accuracy."""

import pytest
import torch

from course_lib.assets import checkpoints
from course_lib.data import described
from course_lib.data.descriptions import Description, Item
from course_lib.diffusion import described_judge as judging
from course_lib.diffusion import judge as former
from course_lib.diffusion.described_judge import Judge, Logits, accuracy, to_labels


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
    judging.loss(model, images, labels).backward()
    assert all(value.grad is not None for value in model.parameters())
    only = to_labels(Description((Item("fox", "flat"),), "red"))
    assert (only[2:] >= 0).sum() == 3 and only.shape == labels[0].shape


def test_training_is_reproducible_and_evaluation_returns_accuracies(monkeypatch):
    monkeypatch.setattr(judging, "EXAMPLES_PER_EPOCH", 8)
    first, _ = judging.train(epochs=1, seed=1, batch_size=4)
    second, _ = judging.train(epochs=1, seed=1, batch_size=4)
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    metrics = judging.evaluate(first, "seen", 12)
    assert set(metrics) >= {"object", "colour", "style", "place", "both", "all"}
    assert all(0 <= accuracy <= 1 for accuracy in metrics.values())
    assert not {"style", "all"} & set(judging.evaluate(first, "held-out-style", 4))
    with pytest.raises(ValueError, match="no split 'x'"):
        judging.evaluate(first, "x", 10)


def test_weights_of_the_former_judge_are_converted():
    converted = judging.convert_weights(checkpoints.load("judge"))
    model = Judge()
    model.load_state_dict(converted)
    images = torch.rand(2, 3, 128, 128)
    torch.testing.assert_close(model.eval().features(images), former.load().features(images))
    assert torch.equal(model(images).colour, former.load()(images)[1])
    assert not model(images).name.any() and not model(images).layout.any()
    own = Judge().state_dict()
    assert all(torch.equal(value, own[key]) for key, value in judging.convert_weights(own).items())
    other = {"weight": torch.zeros(2)}
    assert judging.convert_weights(other) == other


def test_accuracy_counts_only_what_was_asked():
    fox, owl = Item("fox", "flat", None, "left"), Item("owl", "shiny", "small", "right")
    found = [Description((fox, owl), "red")]

    def score(*items, colour="red"):
        return accuracy(found, [Description(items, colour)])

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
    assert accuracy(alone, [Description((Item("fox", size="large"),), "red")])["size"] == 0.0
    assert accuracy(found + alone, [found[0], alone[0]])["all"] == 1.0
