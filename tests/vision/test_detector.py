"""The detector: assignment of cells to objects, decoding of its maps, and its loss."""

import torch

from course_lib.data import scenes
from course_lib.vision import detector
from course_lib.vision.boxes import area, cell_centres
from course_lib.vision.detector import Detector, assign, predict
from tests.support.stub_models import ConstantModel

CELLS = cell_centres(8, 8, 4, torch.device("cpu"))
PADDING = [0.0, 0, 0, 0]


def test_cells_near_a_centre_are_assigned_and_the_smaller_object_wins(monkeypatch):
    monkeypatch.setattr(detector, "CENTRE_RADIUS", 1.5)
    large, small = [0.0, 0, 32, 32], [12.0, 12, 20, 20]
    for labels, boxes, winner in (
        ([3, 5, -1], [large, small, PADDING], 1),
        ([5, 3, -1], [small, large, PADDING], 0),
        ([3, -1, -1], [large, small, PADDING], 0),  # the small box is only padding here
    ):
        assigned = assign(CELLS, torch.tensor([labels]), torch.tensor([boxes]), stride=4)
        expected = torch.full((1, 8, 8), -1)
        # cell centres 14 and 18 are within 6 pixels of 16, 10 and 22 are not
        expected[0, 3:5, 3:5] = winner
        assert torch.equal(assigned, expected)
    disjoint = [[0.0, 0, 16, 16], [22.0, 22, 26, 26], PADDING]  # centres 8 and 24
    assigned = assign(CELLS, torch.tensor([[3, 5, -1]]), torch.tensor([disjoint]), stride=4)
    expected = torch.full((1, 8, 8), -1)
    expected[0, 1:3, 1:3] = 0
    expected[0, 5:7, 5:7] = 1
    assert torch.equal(assigned, expected)


def test_padding_is_never_assigned():
    assigned = assign(CELLS, torch.full((2, 5), -1), torch.zeros(2, 5, 4), stride=4)
    assert bool((assigned == -1).all())


def test_every_object_is_assigned_unless_a_smaller_one_covers_it():
    batch = scenes.collate([scenes.scene(seed) for seed in range(8)])
    cells = cell_centres(32, 32, 4, torch.device("cpu"))
    assigned = assign(cells, batch.labels, batch.boxes, stride=4)
    covered = 0
    for row, labels in enumerate(batch.labels):
        present = (labels >= 0).nonzero()[:, 0].tolist()
        assert set(assigned[row].unique().tolist()) - {-1} <= set(present)
        sizes = area(batch.boxes[row])
        centres = (batch.boxes[row, :, :2] + batch.boxes[row, :, 2:]) / 2
        for index in present:
            distance = (centres[present] - centres[index]).abs().amax(-1)
            near = distance < 2 * detector.CENTRE_RADIUS * 4
            rivals = (sizes[present] < sizes[index]) & near
            assert rivals.any() or (assigned[row] == index).any()
            covered += bool(rivals.any())
    assert covered < (batch.labels >= 0).sum() / 2


def model_with(*detections):
    """A model whose maps are background, except for (class, row, column, logit, box)."""
    logits, boxes = torch.full((1, 12, 8, 8), -20.0), torch.zeros(1, 8, 8, 4)
    for label, row, column, logit, box in detections:
        logits[0, label, row, column] = logit
        boxes[0, row, column] = torch.tensor(box)
    return ConstantModel(logits, boxes)


def test_suppression_keeps_the_best_box_of_each_object():
    box, similar, distant = [4.0, 4, 20, 20], [5.0, 4, 21, 20], [40.0, 4, 60, 24]
    model = model_with(
        (5, 2, 3, 2.0, similar), (5, 2, 2, 4.0, box), (5, 6, 6, 1.0, distant), (1, 7, 7, 3.0, box)
    )
    (detections,) = predict(model, torch.zeros(1, 3, 32, 32))
    # another class with the same box is kept, the similar box of the same class is suppressed
    assert detections.labels.tolist() == [5, 1, 5]
    torch.testing.assert_close(detections.scores, torch.tensor([4.0, 3, 1]).sigmoid())
    assert detections.boxes.tolist() == [box, box, distant]


def test_score_threshold_and_max_detections():
    model = model_with((0, 1, 1, 2.0, [0.0, 0, 8, 8]), (0, 6, 6, 1.0, [20.0, 20, 30, 30]))
    images = torch.zeros(1, 3, 32, 32)
    assert len(predict(model, images, max_detections=1)[0].labels) == 1
    # sigmoid(1) = 0.73, sigmoid(2) = 0.88
    assert len(predict(model, images, score_threshold=0.8)[0].labels) == 1
    assert len(predict(model, images, score_threshold=0.99)[0].boxes) == 0
    (empty,) = predict(model_with(), images)
    assert empty.boxes.shape == (0, 4) and empty.labels.dtype == torch.int64


def test_loss_ignores_padding():
    batch = scenes.collate([scenes.scene(seed, objects=(1, 2)) for seed in range(3)])
    torch.manual_seed(0)
    model = Detector().eval()
    expected = detector.loss(model, *batch)
    padded = (batch.labels == -1)[..., None]
    assert padded.any()
    arbitrary_boxes = torch.where(padded, torch.tensor([10.0, 10, 60, 60]), batch.boxes)
    changed = batch._replace(boxes=arbitrary_boxes)
    torch.testing.assert_close(detector.loss(model, *changed), expected)
    narrow = batch._replace(labels=batch.labels[:, :2], boxes=batch.boxes[:, :2])
    torch.testing.assert_close(detector.loss(model, *narrow), expected)


def test_loss_uses_the_right_cells_at_any_image_size():
    """At 90 pixels the map has 23 cells a side, and a cell is still 4 pixels wide."""
    batch = scenes.collate([scenes.scene(0, size=90, objects=(1, 1))])
    centre = (batch.boxes[0, 0, :2] + batch.boxes[0, 0, 2:]) / 2
    row, column = (centre / 4).int().flip(0).tolist()
    logits = torch.full((1, 12, 23, 23), -20.0)
    boxes = batch.boxes[0, 0].expand(1, 23, 23, 4).clone()
    distance = (cell_centres(23, 23, 4, torch.device("cpu")) - centre).abs().amax(-1)
    logits[0, batch.labels[0, 0], distance < detector.CENTRE_RADIUS * 4] = 20.0
    assert logits[0, batch.labels[0, 0], row, column] == 20
    assert detector.loss(ConstantModel(logits, boxes), *batch) < 1e-3
