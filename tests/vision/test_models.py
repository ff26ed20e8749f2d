"""Properties of all five models: shapes, gradients, learning, and the size of their checkpoints."""

import pytest
import torch

from course_lib.assets import checkpoints
from course_lib.data import scenes
from course_lib.vision import tasks
from course_lib.vision.localizer import Localizer

CARD = {"command": "", "seed": 0, "data": "", "metrics": {}, "hardware": "", "minutes": 0}


@pytest.fixture(params=tasks.LEVELS)
def task(request):
    return tasks.LEVELS[request.param]


@pytest.fixture
def model(task):
    torch.manual_seed(0)
    return task.make_model()


def make_batch(task, count=4, size=64, **options):
    return scenes.collate(
        [scenes.scene(seed, size, objects=task.objects, **options) for seed in range(count)]
    )


@pytest.mark.parametrize("side", [128, 96, 160])
def test_shapes(task, model, side):
    images = torch.rand(2, 3, side, side)
    output, prediction = model(images), task.module.predict(model.eval(), images)
    cells = side // 4
    if task.name == "classifier":
        assert output.shape == prediction.shape == (2, 12)
    elif task.name == "localizer":
        assert [part.shape for part in output] == [(2, 12), (2, 4)]
        assert [part.shape for part in prediction] == [(2, 12), (2, 4)]
    elif task.name == "detector":
        logits, boxes = output
        assert logits.shape == (2, 12, cells, cells) and boxes.shape == (2, cells, cells, 4)
        assert len(prediction) == 2
    elif task.name == "segmenter":
        assert output.shape == prediction.shape == (2, 13, side, side)
    else:
        semantic_logits, centre_logits, offsets = output
        assert semantic_logits.shape == (2, 13, side, side)
        assert centre_logits.shape == (2, side, side) and offsets.shape == (2, 2, side, side)
        assert len(prediction) == 2 and prediction[0].masks.shape[1:] == (side, side)


def test_every_parameter_gets_a_finite_gradient(task, model):
    task.module.loss(model, *make_batch(task)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.any()), name


@pytest.mark.extended
def test_training_on_one_batch_lowers_the_loss(task, model):
    batch, optimizer = make_batch(task), torch.optim.AdamW(model.parameters(), lr=3e-3, fused=True)
    losses = []
    for _ in range(15):
        loss = task.module.loss(model, *batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0], losses


def test_loss_does_not_depend_on_padding(task, model):
    batch = scenes.collate([scenes.scene(seed, 64, objects=(1, 1)) for seed in range(2)])
    model.eval()
    narrow = batch._replace(labels=batch.labels[:, :1], boxes=batch.boxes[:, :1])
    torch.testing.assert_close(task.module.loss(model, *batch), task.module.loss(model, *narrow))


def test_prediction_does_not_depend_on_the_rest_of_the_batch(task, model):
    images = make_batch(task, 3).images
    model.eval()
    batched = task.module.predict(model, images)
    for index in range(3):
        single = task.module.predict(model, images[index : index + 1])
        if isinstance(single, tuple):
            first, second = [part[0] for part in single], [part[index] for part in batched]
        else:
            first, second = single[0], batched[index]
        for from_single, from_batch in zip(first, second, strict=True):
            torch.testing.assert_close(from_single, from_batch, rtol=1e-3, atol=1e-3)


def test_checkpoint_is_at_most_2_mib(task, model, tmp_path):
    path = checkpoints.save(task.name, model.state_dict(), CARD, tmp_path)
    assert path.stat().st_size <= 2 * 2**20


def test_localizer_returns_the_weighted_mean_of_its_votes():
    torch.manual_seed(0)
    model, images = Localizer().eval(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        cell_scores, boxes, weights = model.votes(images)
        scores, box = model(images)
    assert cell_scores.shape == (2, 16, 16, 12) and boxes.shape == (2, 16, 16, 4)
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(2))
    for index in range(2):
        votes = zip(weights[index].flatten(), boxes[index].reshape(-1, 4), strict=True)
        expected = sum(weight * voted_box for weight, voted_box in votes)
        torch.testing.assert_close(box[index], expected, rtol=1e-4, atol=1e-3)
        expected = torch.einsum("rc,rck->k", weights[index], cell_scores[index])
        torch.testing.assert_close(scores[index], expected, rtol=1e-4, atol=1e-4)


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="There is no model 'sorter': choose one of classifier"):
        tasks.load("sorter")
    model = tasks.LEVELS["classifier"].make_model()
    for count in (0, 1001):
        with pytest.raises(ValueError, match=f"not {count} test scenes: choose 1 to 1000"):
            tasks.evaluate("classifier", model, "seen", count)
    with pytest.raises(ValueError, match="There is no split 'none'"):
        tasks.evaluate("classifier", model, "none", 1)
