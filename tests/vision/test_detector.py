"""The detector: which cell is asked for which object, and what is read from its maps."""

import torch

from course_lib.data import scenes
from course_lib.vision import detector
from course_lib.vision.boxes import cell_centres
from course_lib.vision.detector import Detector, assign, predict
from tests.support.stub_models import ConstantModel

CENTRES = cell_centres(8, 8, 4, torch.device("cpu"))


def test_cells_near_a_middle_are_asked_and_the_smaller_object_wins(monkeypatch):
    monkeypatch.setattr(detector, "REACH", 1.5)
    large, small, none = [0.0, 0, 32, 32], [12.0, 12, 20, 20], [0.0, 0, 0, 0]
    for labels, boxes, winner in (
        ([3, 5, -1], [large, small, none], 1),
        ([5, 3, -1], [small, large, none], 0),
        ([3, -1, -1], [large, small, none], 0),  # the small one is only padding here
    ):
        asked = assign(CENTRES, torch.tensor([labels]), torch.tensor([boxes]), stride=4)
        expected = torch.full((1, 8, 8), -1)
        # middles at 14 and 18: within 6 pixels of 16, as 10 and 22 are not
        expected[0, 3:5, 3:5] = winner
        assert torch.equal(asked, expected)
    apart = [[0.0, 0, 16, 16], [22.0, 22, 26, 26], none]  # their middles are 8 and 24
    expected = torch.full((1, 8, 8), -1)
    expected[0, 1:3, 1:3], expected[0, 5:7, 5:7] = 0, 1
    assert torch.equal(
        assign(CENTRES, torch.tensor([[3, 5, -1]]), torch.tensor([apart]), stride=4), expected
    )


def test_padding_is_never_assigned_not_even_at_the_corner_where_it_lies():
    asked = assign(CENTRES, torch.full((2, 5), -1), torch.zeros(2, 5, 4), stride=4)
    assert bool((asked == -1).all())


def test_every_object_of_a_scene_is_asked_for_unless_a_smaller_one_covers_it():
    batch = scenes.collate([scenes.scene(seed) for seed in range(8)])
    centres = cell_centres(32, 32, 4, torch.device("cpu"))
    asked = assign(centres, batch.labels, batch.boxes, stride=4)
    covered = 0
    for row, labels in enumerate(batch.labels):
        there = (labels >= 0).nonzero()[:, 0].tolist()
        assert set(asked[row].unique().tolist()) - {-1} <= set(there)
        sizes, middles = (
            detector.area(batch.boxes[row]),
            (batch.boxes[row, :, :2] + batch.boxes[row, :, 2:]) / 2,
        )
        for number in there:
            away = (middles[there] - middles[number]).abs().amax(-1)
            rivals = (sizes[there] < sizes[number]) & (away < 2 * detector.REACH * 4)
            assert rivals.any() or (asked[row] == number).any()
            covered += bool(rivals.any())
    assert covered < (batch.labels >= 0).sum() / 2


def maps(*cells):
    """Score maps of 12 classes that say nothing but (class, row, column, logit, box)."""
    scores, boxes = torch.full((1, 12, 8, 8), -20.0), torch.zeros(1, 8, 8, 4)
    for label, row, column, logit, box in cells:
        scores[0, label, row, column], boxes[0, row, column] = logit, torch.tensor(box)
    return ConstantModel(scores, boxes)


def test_decoding_keeps_the_surest_box_of_each_object():
    here, nearly, there = [4.0, 4, 20, 20], [5.0, 4, 21, 20], [40.0, 4, 60, 24]
    model = maps(
        (5, 2, 3, 2.0, nearly), (5, 2, 2, 4.0, here), (5, 6, 6, 1.0, there), (1, 7, 7, 3.0, here)
    )
    (found,) = predict(model, torch.zeros(1, 3, 32, 32))
    # another class on the same box stays, the second look at it goes
    assert found.labels.tolist() == [
        5,
        1,
        5,
    ]
    torch.testing.assert_close(found.scores, torch.tensor([4.0, 3, 1]).sigmoid())
    assert found.boxes.tolist() == [here, here, there]


def test_decoding_obeys_its_limits():
    model = maps((0, 1, 1, 2.0, [0.0, 0, 8, 8]), (0, 6, 6, 1.0, [20.0, 20, 30, 30]))
    images = torch.zeros(1, 3, 32, 32)
    assert len(predict(model, images, most=1)[0].labels) == 1
    # sigmoid(1) = 0.73, sigmoid(2) = 0.88
    assert len(predict(model, images, least_score=0.8)[0].labels) == 1
    assert len(predict(model, images, least_score=0.99)[0].boxes) == 0
    (nothing,) = predict(maps(), images)
    assert nothing.boxes.shape == (0, 4) and nothing.labels.dtype == torch.int64


def test_what_stands_in_padded_places_does_not_matter():
    batch = scenes.collate([scenes.scene(seed, objects=(1, 2)) for seed in range(3)])
    torch.manual_seed(0)
    model = Detector().eval()
    expected = detector.loss(model, *batch)
    padded = batch.labels == -1
    assert padded.any()
    junk = batch.boxes.masked_fill(padded[..., None], 0) + padded[..., None] * torch.tensor(
        [10.0, 10, 60, 60]
    )
    torch.testing.assert_close(
        detector.loss(model, batch.images, batch.labels, junk, batch.instances), expected
    )
    narrow = (batch.images, batch.labels[:, :2], batch.boxes[:, :2], batch.instances)
    torch.testing.assert_close(detector.loss(model, *narrow), expected)


def test_the_loss_sees_the_boxes_where_the_model_puts_them_at_any_size():
    """At 90 pixels the map has 23 cells a side, and a cell is still 4 pixels wide."""
    batch = scenes.collate([scenes.scene(0, size=90, objects=(1, 1))])
    middle = (batch.boxes[0, 0, :2] + batch.boxes[0, 0, 2:]) / 2
    row, column = (middle / 4).int().flip(0).tolist()
    scores, boxes = (
        torch.full((1, 12, 23, 23), -20.0),
        batch.boxes[0, 0].expand(1, 23, 23, 4).clone(),
    )
    near = cell_centres(23, 23, 4, torch.device("cpu")) - middle
    scores[0, batch.labels[0, 0], near.abs().amax(-1) < detector.REACH * 4] = 20.0
    assert scores[0, batch.labels[0, 0], row, column] == 20
    assert detector.loss(ConstantModel(scores, boxes), *batch) < 1e-3
