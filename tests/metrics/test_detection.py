"""The face over torchmetrics says what one can work out by hand."""

import sys
from collections import namedtuple

import pytest
import torch

from course_lib.metrics import detection

Boxes = namedtuple("Boxes", "labels scores boxes")
Masks = namedtuple("Masks", "labels scores masks")
HERE, THERE, NOWHERE = [0.0, 0, 10, 10], [50.0, 50, 90, 90], [200.0, 200, 220, 220]


def found(*rows):
    """Detections from (label, score, box)."""
    labels, scores, boxes = zip(*rows, strict=True)
    return Boxes(torch.tensor(labels), torch.tensor(scores), torch.tensor(boxes))


def test_average_precision_by_hand():
    truth = [torch.tensor([3, 3])], [torch.tensor([HERE, THERE])]
    # Found one of two objects, then something that is not there: precision is 1 up to a recall of
    # 0.5. COCO looks at 101 recalls, 0.00 to 1.00, and 51 of them are at most 0.5.
    surely_right = detection.average_precision([found((3, 0.9, HERE), (3, 0.8, NOWHERE))], *truth)
    assert surely_right == pytest.approx({"map": 51 / 101, "map50": 51 / 101, "map75": 51 / 101})
    # The wrong one first: of the two detections that this recall takes, one is right.
    surely_wrong = detection.average_precision([found((3, 0.8, HERE), (3, 0.9, NOWHERE))], *truth)
    assert surely_wrong == pytest.approx({name: value / 2 for name, value in surely_right.items()})


def test_a_loose_box_counts_at_low_overlaps_only():
    # IoU 0.72: enough for 0.50, 0.55, 0.60, 0.65 and 0.70 of the ten
    loose = found((0, 0.9, [0.0, 0, 72, 100]))
    result = detection.average_precision(
        [loose], [torch.tensor([0])], [torch.tensor([[0.0, 0, 100, 100]])]
    )
    assert result == pytest.approx({"map": 0.5, "map50": 1.0, "map75": 0.0})


def test_without_classes_a_wrong_name_does_not_matter():
    wrong = [found((1, 0.9, HERE))], [torch.tensor([2])], [torch.tensor([HERE])]
    assert detection.average_precision(*wrong)["map"] == 0
    assert detection.average_precision(*wrong, by_class=False)["map"] == pytest.approx(1)


def test_masks_and_pictures_in_which_nothing_is_found():
    mask = torch.zeros(1, 20, 20, dtype=torch.bool)
    mask[0, 5:15, 5:15] = True
    right = Masks(torch.tensor([4]), torch.tensor([0.7]), mask)
    nothing = Masks(torch.zeros(0, dtype=torch.int64), torch.zeros(0), mask[:0])
    labels = [torch.tensor([4])] * 2
    assert detection.average_precision([right, right], labels, [mask, mask])[
        "map"
    ] == pytest.approx(1)
    assert detection.average_precision([right, nothing], labels, [mask, mask])[
        "map"
    ] == pytest.approx(51 / 101)
    assert detection.average_precision([nothing, nothing], labels, [mask, mask])["map"] == 0


def test_average_precision_refuses_lists_of_different_length():
    with pytest.raises(ValueError, match="1 predictions, 2 label lists"):
        detection.average_precision(
            [found((1, 0.9, HERE))], [torch.tensor([2])] * 2, [torch.tensor([HERE])]
        )
    with pytest.raises(ValueError, match="no object in any.* at least one holds"):
        detection.average_precision(
            [found((1, 0.9, HERE))], [torch.zeros(0).long()], [torch.zeros(0, 4)]
        )


def test_foreground_iou_by_hand():
    truth = torch.tensor([[[0, 0, 1, 1], [0, 0, 2, 2]]])
    kinds = torch.tensor([[[0, 1, 1, 1], [0, 0, 2, 0]]])
    # class 1: 2 of 3 pixels; class 2: 1 of 2; class 3 is nowhere and does not count, nor does the
    # background
    assert detection.foreground_iou(kinds, truth, 3) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert detection.foreground_iou(truth, truth, 3) == 1
    with pytest.raises(ValueError, match="no object in any.* at least one holds"):
        detection.foreground_iou(kinds, torch.zeros_like(truth), 3)


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
                [found((1, 0.9, HERE))], [torch.tensor([1])], [torch.tensor([HERE])]
            )
        else:
            detection.foreground_iou(torch.zeros(1, 2, 2).long(), torch.ones(1, 2, 2).long(), 3)
