"""The training loop lowers the loss, resumes exactly, and keeps the best weights if interrupted."""

import multiprocessing
import os

import pytest
import torch
from torch import nn

from course_lib.data import scenes
from course_lib.profiling.timing import one_thread
from course_lib.training.loop import accuracy, batches, cross_entropy, fit
from course_lib.vision import classifier


def make_data(seed=0):
    """96 images of 4 x 4 pixels, of two classes that a linear layer can separate. ``batches``
    makes two batches of them, of 64 and 32.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(96) % 2
    images = torch.rand(96, 1, 4, 4, generator=generator) + labels.view(-1, 1, 1, 1) * 0.8
    return images, labels


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)
    )


def flat_weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


class Killed(Exception):
    pass


def loss_that_raises_in_step(step, error, on_step=lambda model: None):
    """Cross-entropy that raises ``error`` in the given training step."""
    steps = 0

    def loss(model, *batch):
        nonlocal steps
        steps += 1
        on_step(model)
        if steps == step:
            raise error
        return cross_entropy(model, *batch)

    return loss


def test_fit_learns_and_shows_progress_on_stdout(capsys):
    images, labels = make_data()
    model = make_model()
    data = batches(images, labels, size=16)
    history = fit(model, cross_entropy, data, epochs=20, learning_rate=0.02)
    assert history.losses[-1] < history.losses[0] / 2 and len(history.losses) == 20
    assert accuracy(model, images, labels) > 0.9
    assert history.seconds > 0 and not history.interrupted
    out, err = capsys.readouterr()
    assert err == "" and "images/s" in out and "loss=" in out


def test_gradients_are_scaled_down_to_the_given_norm():
    """Gradients far below AdamW's epsilon change hardly anything."""

    def change(**options):
        model = make_model()
        before = flat_weights(model)
        fit(model, cross_entropy, batches(*make_data()), epochs=2, learning_rate=0.02, **options)
        return (flat_weights(model) - before).abs().max()

    assert change(max_grad_norm=1e-14) < 1e-3 < 0.01 < change(max_grad_norm=1e6)
    assert change(max_grad_norm=1e6) == change()


def test_bfloat16_trains_float32_weights_with_attention_in_separate_operations():
    dtypes, fused = set(), set()

    def attention_loss(model, images, labels):
        logits = model(images)
        fused.add(torch.backends.cuda.flash_sdp_enabled())
        dtypes.add(logits.dtype)
        return nn.functional.cross_entropy(logits.float(), labels)

    model = make_model()
    data = batches(*make_data(), size=16)
    history = fit(model, attention_loss, data, epochs=20, learning_rate=0.02, bfloat16=True)
    assert history.losses[-1] < history.losses[0] / 2
    assert dtypes == {torch.bfloat16} and flat_weights(model).dtype == torch.float32
    assert fused == {False} and torch.backends.cuda.flash_sdp_enabled()


def test_accuracy_keeps_the_training_mode():
    images = torch.zeros(4, 1, 1, 1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([0.0, 1.0]))
    assert accuracy(model, images, torch.tensor([1, 1, 1, 0])) == 0.75
    assert model.training


def test_killed_run_resumes_to_the_same_weights(tmp_path):
    data = batches(*make_data())
    path, uninterrupted = tmp_path / "missing_folder" / "run.pt", make_model()
    expected = fit(uninterrupted, cross_entropy, data, epochs=6, seed=5)
    loss = loss_that_raises_in_step(8, Killed)  # in the fourth epoch
    with pytest.raises(Killed):
        fit(make_model(), loss, data, epochs=6, seed=5, checkpoint=path)
    resumed = make_model()
    history = fit(resumed, cross_entropy, data, epochs=6, seed=5, checkpoint=path)
    assert torch.equal(flat_weights(resumed), flat_weights(uninterrupted))
    assert history.losses == expected.losses
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


def train_on_scenes(checkpoint, workers=0, killed_in_step=None):
    """Three epochs of two batches; in step ``killed_in_step`` the process sends itself SIGKILL."""
    steps = 0

    def loss(*arguments):
        nonlocal steps
        steps += 1
        if steps == killed_in_step:
            os.kill(os.getpid(), 9)
        return classifier.loss(*arguments)

    torch.manual_seed(0)
    model = classifier.Classifier()
    data = scenes.loader(8, batch_size=4, workers=workers, size=32, objects=(1, 1))
    with one_thread():  # more threads sum in a different order
        history = fit(model, loss, data, epochs=3, checkpoint=checkpoint, seed=7)
    return model, history


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_process_killed_in_an_epoch_resumes_to_the_same_weights(tmp_path, workers):
    path = tmp_path / "run.pt"
    process = multiprocessing.get_context("spawn").Process(
        target=train_on_scenes, args=(path, workers, 4)
    )
    process.start()
    process.join()
    assert process.exitcode in (-9, 9) and path.exists()  # after one epoch and one step
    resumed, history = train_on_scenes(path, workers)
    uninterrupted, expected = train_on_scenes(None)
    assert history.losses == expected.losses
    for name, value in uninterrupted.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_moving_average_of_the_weights_is_kept(tmp_path):
    """The weights equal a directly computed EMA, even if the run was killed and resumed."""
    data = batches(*make_data())
    averaged, before_steps = make_model(), []

    def loss(model, *batch):
        before_steps.append(flat_weights(model).clone())
        return cross_entropy(model, *batch)

    fit(averaged, loss, data, epochs=3, seed=5, ema_decay=0.9)
    plain = make_model()
    fit(plain, cross_entropy, data, epochs=3, seed=5)
    after_steps = [*before_steps[1:], flat_weights(plain)]
    expected = after_steps[0]
    for weights in after_steps[1:]:
        expected = 0.9 * expected + 0.1 * weights
    torch.testing.assert_close(flat_weights(averaged), expected)

    options = {"epochs": 3, "seed": 5, "ema_decay": 0.9, "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(Killed):
        fit(make_model(), loss_that_raises_in_step(4, Killed), data, **options)
    resumed = make_model()
    fit(resumed, cross_entropy, data, **options)
    assert torch.equal(flat_weights(resumed), flat_weights(averaged))


def test_checkpoint_of_a_different_run_is_refused(tmp_path):
    data, path = batches(*make_data()), tmp_path / "run.pt"
    fit(make_model(), cross_entropy, data, epochs=1, checkpoint=path)
    with pytest.raises(ValueError, match="steps.*delete it"):
        fit(make_model(), cross_entropy, data, epochs=2, checkpoint=path)
    with pytest.raises(ValueError, match="seed 0, not 1.*delete it"):
        fit(make_model(), cross_entropy, data, epochs=1, checkpoint=path, seed=1)


def test_best_weights_are_kept_when_interrupted():
    scores, weights = iter([0.2, 0.9, 0.5]), []

    def score(model):
        weights.append(flat_weights(model))
        try:
            return next(scores)
        except StopIteration:
            raise KeyboardInterrupt from None

    model = make_model()
    history = fit(model, cross_entropy, batches(*make_data()), epochs=10, score=score)
    assert history.interrupted and history.scores == [0.2, 0.9, 0.5]
    assert torch.equal(flat_weights(model), weights[1])


@pytest.mark.parametrize("has_score", [True, False])
def test_interruption_in_an_epoch_keeps_the_right_weights(has_score, capsys):
    """With a score function the best epoch's weights are kept; without it, the current weights."""
    before_steps = []
    # in the third epoch
    loss = loss_that_raises_in_step(
        6, KeyboardInterrupt, lambda m: before_steps.append(flat_weights(m))
    )
    scores = iter([0.9, 0.5])
    score = (lambda model: next(scores)) if has_score else None
    model = make_model()
    history = fit(model, loss, batches(*make_data()), epochs=10, score=score)
    assert history.interrupted and len(history.losses) == 2
    assert torch.equal(flat_weights(model), before_steps[2 if has_score else 5])
    assert "Stopped after 2 of 10 epochs" in capsys.readouterr().out


def test_nan_loss_ends_the_run():
    def loss(model, images, labels):
        return model(images).sum() * float("nan")

    with pytest.raises(FloatingPointError, match="learning_rate"):
        fit(make_model(), loss, batches(*make_data()), epochs=2)


def test_batches_need_tensors_of_equal_length():
    with pytest.raises(ValueError, match="one length"):
        batches(torch.zeros(3), torch.zeros(4))
