"""The training loop: it learns, resumes exactly, keeps the best, and stops when told to."""

import multiprocessing
import os

import pytest
import torch
from torch import nn

from course_lib.data import scenes
from course_lib.profiling.timing import one_thread
from course_lib.training import resume
from course_lib.training.loop import accuracy, batches, cross_entropy, fit
from course_lib.vision import classifier


def problem(seed=0):
    """Two blobs of 4x4 images that a linear layer can tell apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(96) % 2
    images = torch.rand(96, 1, 4, 4, generator=generator) + labels.view(-1, 1, 1, 1) * 0.8
    return images, labels


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)
    )


def weights(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def test_it_learns_and_says_so_on_stdout(capsys):
    images, labels = problem()
    network = model()
    history = fit(
        network, cross_entropy, batches(images, labels, size=16), epochs=20, learning_rate=0.02
    )
    assert history.losses[-1] < history.losses[0] / 2 and len(history.losses) == 20
    assert (
        accuracy(network, images, labels) > 0.9 and history.seconds > 0 and not history.interrupted
    )
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
    assert sorted(file.name for file in path.parent.iterdir()) == ["run.pt", "run.pt.b.0"]


def three_epochs_of_scenes(checkpoint, workers=0, killed_at=None):
    """Two batches an epoch. ``killed_at``: the step in which this whole process dies at once, as by
    kill -9.
    """
    steps = 0

    def loss(*arguments):
        nonlocal steps
        steps += 1
        if steps == killed_at:
            os.kill(os.getpid(), 9)
        return classifier.loss(*arguments)

    torch.manual_seed(0)
    network = classifier.Classifier()
    data = scenes.loader(8, batch=4, workers=workers, size=32, objects=(1, 1))
    with one_thread():  # sums in another order would round differently
        history = fit(network, loss, data, epochs=3, checkpoint=checkpoint, seed=7)
    return network, history


@pytest.mark.parametrize("workers", [0, 1])
def test_killed_amid_an_epoch_of_scenes_it_resumes_to_the_same_weights(tmp_path, workers):
    path = tmp_path / "run.pt"
    process = multiprocessing.get_context("spawn").Process(
        target=three_epochs_of_scenes, args=(path, workers, 4)
    )
    process.start()
    process.join()
    assert process.exitcode in (-9, 9) and path.exists()  # after one whole epoch and one step
    resumed, history = three_epochs_of_scenes(path, workers)
    whole, expected = three_epochs_of_scenes(None)
    assert history.losses == expected.losses
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_state_is_cut_into_parts_and_a_lost_part_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "PART", 1000)
    path, values = tmp_path / "run.pt", {"a": torch.arange(2000.0), "b": 3}
    for number in range(3):
        resume.write(path, values | {"b": number})
    parts = sorted(set(tmp_path.iterdir()) - {path})
    assert len(parts) > 8 and max(part.stat().st_size for part in parts) <= 1000
    found = resume.read(path)
    assert torch.equal(found["a"], values["a"]) and found["b"] == 2
    parts[-1].rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="no whole state"):
        resume.read(path)
    resume.discard(path)
    assert [file.name for file in tmp_path.iterdir()] == ["elsewhere"]


def test_the_average_of_the_weights_is_what_is_kept(tmp_path):
    """By hand, from the weights after each step; and a run that was killed comes to the same."""
    images, labels = problem()
    averaged, seen = model(), []

    def loss(network, *batch):
        seen.append(weights(network).clone())
        return cross_entropy(network, *batch)

    fit(averaged, loss, batches(images, labels), epochs=3, seed=5, average=0.9)
    plain = model()
    fit(plain, cross_entropy, batches(images, labels), epochs=3, seed=5)
    after = [*seen[1:], weights(plain)]
    expected = after[0]
    for step in after[1:]:
        expected = 0.9 * expected + 0.1 * step
    torch.testing.assert_close(weights(averaged), expected)

    calls = 0

    def until_the_power_goes(network, *batch):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        return cross_entropy(network, *batch)

    options = {"epochs": 3, "seed": 5, "average": 0.9, "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(Killed):
        fit(model(), until_the_power_goes, batches(images, labels), **options)
    resumed = model()
    fit(resumed, cross_entropy, batches(images, labels), **options)
    assert torch.equal(weights(resumed), weights(averaged))


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    images, labels = problem()
    fit(model(), cross_entropy, batches(images, labels), epochs=1, checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match="steps.*delete it"):
        fit(
            model(),
            cross_entropy,
            batches(images, labels),
            epochs=2,
            checkpoint=tmp_path / "run.pt",
        )
    with pytest.raises(ValueError, match="seed 0, not 1.*delete it"):
        fit(
            model(),
            cross_entropy,
            batches(images, labels),
            epochs=1,
            checkpoint=tmp_path / "run.pt",
            seed=1,
        )


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


@pytest.mark.parametrize("scored", [True, False])
def test_stopped_amid_an_epoch(scored, capsys):
    """With a score the best epoch so far is kept, without one the weights as they stand; and it is
    said when.
    """
    images, labels = problem()
    network, seen, steps = model(), [], 0

    def until_stopped(network, *batch):
        nonlocal steps
        steps += 1
        seen.append(weights(network))
        if steps == 6:  # two batches an epoch: in the third
            raise KeyboardInterrupt
        return cross_entropy(network, *batch)

    scores = iter([0.9, 0.5])
    score = (lambda network: next(scores)) if scored else None
    history = fit(network, until_stopped, batches(images, labels), epochs=10, score=score)
    assert history.interrupted and len(history.losses) == 2
    assert torch.equal(weights(network), seen[2 if scored else 5])
    assert "Stopped after 2 of 10 epochs" in capsys.readouterr().out


def test_a_loss_that_is_no_number_ends_the_run():
    images, labels = problem()
    with pytest.raises(FloatingPointError, match="learning_rate"):
        fit(
            model(),
            lambda network, x, y: network(x).sum() * float("nan"),
            batches(images, labels),
            epochs=2,
        )


def test_tensors_of_different_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        batches(torch.zeros(3), torch.zeros(4))
