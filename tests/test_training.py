"""The training loop: it learns, resumes exactly, keeps the best, and stops when told to."""

import pytest
import torch
from torch import nn

from course_lib.training import accuracy, batches, cross_entropy, fit


def problem(seed=0):
    """Two blobs of 4x4 images that a linear layer can tell apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(96) % 2
    images = torch.rand(96, 1, 4, 4, generator=generator) + labels.view(-1, 1, 1, 1) * 0.8
    return images, labels


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def weights(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def test_it_learns_and_says_so_on_stdout(capsys):
    images, labels = problem()
    network = model()
    history = fit(network, cross_entropy, batches(images, labels, size=16), epochs=20, learning_rate=0.02)
    assert history.losses[-1] < history.losses[0] / 2 and len(history.losses) == 20
    assert accuracy(network, images, labels) > 0.9 and history.seconds > 0 and not history.interrupted
    out, err = capsys.readouterr()
    assert err == "" and "images/s" in out and "loss=" in out


def test_accuracy_counts_and_leaves_the_mode_alone():
    images = torch.zeros(4, 1, 1, 1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        network[1].bias.copy_(torch.tensor([0.0, 1.0]))
    assert accuracy(network, images, torch.tensor([1, 1, 1, 0])) == 0.75
    assert network.training


class Killed(Exception):
    pass


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    images, labels = problem()
    path, whole, cut = tmp_path / "deep" / "run.pt", model(), model()
    expected = fit(whole, cross_entropy, batches(images, labels), epochs=6, seed=5)

    calls = 0

    def until_the_power_goes(network, *batch):
        nonlocal calls
        calls += 1
        if calls == 8:  # two batches an epoch: in the fourth
            raise Killed
        return cross_entropy(network, *batch)

    with pytest.raises(Killed):
        fit(cut, until_the_power_goes, batches(images, labels), epochs=6, seed=5, checkpoint=path)
    fresh = model()
    history = fit(fresh, cross_entropy, batches(images, labels), epochs=6, seed=5, checkpoint=path)
    assert torch.equal(weights(fresh), weights(whole))
    assert history.losses == expected.losses
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    images, labels = problem()
    fit(model(), cross_entropy, batches(images, labels), epochs=1, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match="delete it"):
        fit(model(), cross_entropy, batches(images, labels), epochs=2, checkpoint=tmp_path / "run.pt")


def test_the_weights_of_the_best_epoch_are_kept_even_when_stopped():
    images, labels = problem()
    scores, kept = iter([0.2, 0.9, 0.5]), []

    def score(network):
        kept.append(weights(network))
        try:
            return next(scores)
        except StopIteration:
            raise KeyboardInterrupt from None

    network = model()
    history = fit(network, cross_entropy, batches(images, labels), epochs=10, score=score)
    assert history.interrupted and history.scores == [0.2, 0.9, 0.5]
    assert torch.equal(weights(network), kept[1])


def test_a_loss_that_is_no_number_ends_the_run():
    images, labels = problem()
    with pytest.raises(FloatingPointError, match="learning_rate"):
        fit(model(), lambda network, x, y: network(x).sum() * float("nan"), batches(images, labels), epochs=2)


def test_tensors_of_different_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        batches(torch.zeros(3), torch.zeros(4))
