"""Detection metrics equal manually computed results."""

import sys
from collections import namedtuple

import pytest
import torch

from course_lib.metrics import detection

Boxes = namedtuple("Boxes", "labels scores boxes")
Masks = namedtuple("Masks", "labels scores masks")
FIRST, SECOND, EMPTY = [0.0, 0, 10, 10], [50.0, 50, 90, 90], [200.0, 200, 220, 220]


def predict(*rows):
    """Predictions from rows of (label, score, box)."""
    labels, scores, boxes = zip(*rows, strict=True)
    return Boxes(torch.tensor(labels), torch.tensor(scores), torch.tensor(boxes))


def test_average_precision_equals_manual_results():
    targets = [torch.tensor([3, 3])], [torch.tensor([FIRST, SECOND])]
    # One of two objects, then a false positive: precision is 1 up to a recall of 0.5. COCO averages
    # over 101 recalls, 0.00 to 1.00, and 51 of them are at most 0.5.
    correct_first = predict((3, 0.9, FIRST), (3, 0.8, EMPTY))
    result = detection.average_precision([correct_first], *targets)
    assert result == pytest.approx({"map": 51 / 101, "map50": 51 / 101, "map75": 51 / 101})
    # With the false positive first, this recall needs two predictions, of which one is correct.
    wrong_first = predict((3, 0.8, FIRST), (3, 0.9, EMPTY))
    halved = {name: value / 2 for name, value in result.items()}
    assert detection.average_precision([wrong_first], *targets) == pytest.approx(halved)


def test_loose_box_counts_only_at_low_iou_thresholds():
    # IoU 0.72 exceeds five of the ten thresholds: 0.50, 0.55, 0.60, 0.65 and 0.70
    loose = predict((0, 0.9, [0.0, 0, 72, 100]))
    targets = [torch.tensor([0])], [torch.tensor([[0.0, 0, 100, 100]])]
    result = detection.average_precision([loose], *targets)
    assert result == pytest.approx({"map": 0.5, "map50": 1.0, "map75": 0.0})


def test_labels_are_ignored_without_classes():
    wrong = [predict((1, 0.9, FIRST))], [torch.tensor([2])], [torch.tensor([FIRST])]
    assert detection.average_precision(*wrong)["map"] == 0
    assert detection.average_precision(*wrong, by_class=False)["map"] == pytest.approx(1)


def test_masks_and_images_without_predictions():
    mask = torch.zeros(1, 20, 20, dtype=torch.bool)
    mask[0, 5:15, 5:15] = True
    right = Masks(torch.tensor([4]), torch.tensor([0.7]), mask)
    nothing = Masks(torch.zeros(0, dtype=torch.int64), torch.zeros(0), mask[:0])
    targets = [torch.tensor([4])] * 2, [mask, mask]
    assert detection.average_precision([right, right], *targets)["map"] == pytest.approx(1)
    assert detection.average_precision([right, nothing], *targets)["map"] == pytest.approx(51 / 101)
    assert detection.average_precision([nothing, nothing], *targets)["map"] == 0


def test_average_precision_refuses_invalid_lists():
    predictions = [predict((1, 0.9, FIRST))]
    with pytest.raises(ValueError, match="1 predictions, 2 label lists"):
        detection.average_precision(predictions, [torch.tensor([2])] * 2, [torch.tensor([FIRST])])
    with pytest.raises(ValueError, match="None of these images.* at least one image"):
        detection.average_precision(predictions, [torch.zeros(0).long()], [torch.zeros(0, 4)])


def test_foreground_iou_equals_manual_result():
    targets = torch.tensor([[[0, 0, 1, 1], [0, 0, 2, 2]]])
    predicted = torch.tensor([[[0, 1, 1, 1], [0, 0, 2, 0]]])
    # Class 1: 2 of 3 pixels; class 2: 1 of 2. The background and class 3, which does not occur, are
    # ignored.
    assert detection.foreground_iou(predicted, targets, 3) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert detection.foreground_iou(targets, targets, 3) == 1
    with pytest.raises(ValueError, match="None of these images.* at least one image"):
        detection.foreground_iou(predicted, torch.zeros_like(targets), 3)


@pytest.mark.parametrize(
    "module", ["torchmetrics.detection", "torchmetrics.functional.classification"]
)
def test_without_torchmetrics_the_fix_is_named(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ModuleNotFoundError, match="uv sync --extra lab.* pip install torchmetrics pycocotools"
    ):
        if module.endswith("detection"):
            detection.average_precision(
                [predict((1, 0.9, FIRST))], [torch.tensor([1])], [torch.tensor([FIRST])]
            )
        else:
            detection.foreground_iou(torch.zeros(1, 2, 2).long(), torch.ones(1, 2, 2).long(), 3)


def test_counting_threshold_by_hand():
    scores = [torch.tensor([0.9, 0.5, 0.25]), torch.tensor([0.75]), torch.zeros(0)]
    choose = detection.counting_threshold
    assert choose(scores, [2, 1, 0], [0.25, 0.5, 0.75]) == 0.5  # a score of 0.5 is enough
    assert choose(scores, [1, 1, 0], [0.25, 0.6, 0.75]) == 0.6  # the first of two
    # Errors in two images don't cancel: at 0.5 the total is right, and no image.
    assert choose(scores[:2], [1, 2], [0.5, 0.6]) == 0.6
    assert choose(scores, [9, 9, 9], [0.25, 0.5]) == 0.25
