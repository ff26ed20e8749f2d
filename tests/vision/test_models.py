"""What holds of all five models: shapes, gradients, learning, and the size of what is shipped."""

import pytest
import torch

from course_lib.assets import checkpoints
from course_lib.data import scenes
from course_lib.vision import tasks
from course_lib.vision.localizer import Localizer

CARD = {"command": "", "seed": 0, "data": "", "metrics": {}, "hardware": "", "minutes": 0}


@pytest.fixture(params=tasks.LEVELS)
def level(request):
    return tasks.LEVELS[request.param]


@pytest.fixture
def model(level):
    torch.manual_seed(0)
    return level.model()


def batch_of(level, count=4, size=64, **options):
    return scenes.collate(
        [scenes.scene(seed, size, objects=level.objects, **options) for seed in range(count)]
    )


@pytest.mark.parametrize("side", [128, 96, 160])
def test_shapes(level, model, side):
    images = torch.rand(2, 3, side, side)
    out, answer = model(images), level.module.predict(model.eval(), images)
    cells = side // 4
    if level.name == "classifier":
        assert out.shape == answer.shape == (2, 12)
    elif level.name == "localizer":
        assert [part.shape for part in out] == [part.shape for part in answer] == [(2, 12), (2, 4)]
    elif level.name == "detector":
        assert [part.shape for part in out] == [
            (2, 12, cells, cells),
            (2, cells, cells, 4),
        ] and len(answer) == 2
    elif level.name == "segmenter":
        assert out.shape == answer.shape == (2, 13, side, side)
    else:
        assert [part.shape for part in out] == [
            (2, 13, side, side),
            (2, side, side),
            (2, 2, side, side),
        ]
        assert len(answer) == 2 and answer[0].masks.shape[1:] == (side, side)


def test_every_parameter_gets_a_finite_gradient(level, model):
    level.module.loss(model, *batch_of(level)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.any()), name


def test_a_few_steps_on_one_batch_lower_the_loss(level, model):
    batch, optimizer = batch_of(level), torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        value = level.module.loss(model, *batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    assert losses[-1] < 0.75 * losses[0], losses


def test_a_single_object_and_no_room_for_more(level, model):
    """Places for objects that are not there change nothing, whatever their number."""
    batch = scenes.collate([scenes.scene(seed, 64, objects=(1, 1)) for seed in range(2)])
    model.eval()
    narrow = (batch.images, batch.labels[:, :1], batch.boxes[:, :1], batch.instances)
    torch.testing.assert_close(level.module.loss(model, *batch), level.module.loss(model, *narrow))


def test_alone_or_among_others_the_answer_is_the_same(level, model):
    images = batch_of(level, 3).images
    model.eval()
    together = level.module.predict(model, images)
    for number in range(3):
        alone = level.module.predict(model, images[number : number + 1])
        one = [part[0] for part in alone] if isinstance(alone, tuple) else alone[0]
        many = (
            [part[number] for part in together] if isinstance(together, tuple) else together[number]
        )
        for first, second in zip(one, many, strict=True):
            torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)


def test_a_checkpoint_is_small_enough(level, model, tmp_path):
    assert (
        checkpoints.save(level.name, model.state_dict(), CARD, tmp_path).stat().st_size <= 2 * 2**20
    )


def test_the_localizers_answer_is_the_weighted_mean_of_its_votes():
    torch.manual_seed(0)
    model, images = Localizer().eval(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        votes, boxes, weights = model.votes(images)
        scores, box = model(images)
    assert votes.shape == (2, 16, 16, 12) and boxes.shape == (2, 16, 16, 4)
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(2))
    for number in range(2):
        expected = sum(
            w * b
            for w, b in zip(weights[number].flatten(), boxes[number].reshape(-1, 4), strict=True)
        )
        torch.testing.assert_close(box[number], expected, rtol=1e-4, atol=1e-3)
        expected = torch.einsum("rc,rck->k", weights[number], votes[number])
        torch.testing.assert_close(scores[number], expected, rtol=1e-4, atol=1e-4)


def test_levels_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="There is no model 'sorter': choose one of classifier"):
        tasks.load("sorter")
    for count in (0, 1001):
        with pytest.raises(ValueError, match=f"not {count} test scenes: choose 1 to 1000"):
            tasks.evaluate("classifier", tasks.LEVELS["classifier"].model(), "seen", count)
    with pytest.raises(ValueError, match="There is no split 'none'"):
        tasks.evaluate("classifier", tasks.LEVELS["classifier"].model(), "none", 1)
