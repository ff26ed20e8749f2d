"""Box geometry agrees with torchvision and with values computed by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import ops

from course_lib.vision.boxes import area, cell_centres, from_distances, giou, iou

side = st.floats(0.5, 100, width=32)
corner = st.floats(0, 100, width=32)
box = st.tuples(corner, corner, side, side).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32)


@settings(deadline=None)  # no failures on a busy machine
@given(st.lists(st.tuples(box, box), min_size=1, max_size=8))
def test_area_iou_and_giou_agree_with_torchvision(pairs):
    first, second = boxes(*[a for a, _ in pairs]), boxes(*[b for _, b in pairs])
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(area(first), ops.box_area(first), **close)
    torch.testing.assert_close(iou(first, second), ops.box_iou(first, second).diagonal(), **close)
    torch.testing.assert_close(
        giou(first, second), ops.generalized_box_iou(first, second).diagonal(), **close
    )


def test_iou_and_giou_by_hand():
    # identical; the right half; shifted by half the side, where 8 of 16 + 16 - 8 are shared;
    # touching; one side apart
    others = boxes([0, 0, 4, 4], [2, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4], [8, 0, 12, 4])
    squares = boxes([0, 0, 4, 4]).expand(5, 4)
    torch.testing.assert_close(iou(squares, others), torch.tensor([1, 1 / 2, 1 / 3, 0, 0]))
    # The enclosing box of the last pair has 12 x 4 pixels, of which 16 belong to neither.
    torch.testing.assert_close(giou(squares, others), torch.tensor([1, 1 / 2, 1 / 3, 0, -1 / 3]))


def test_inverted_box_has_area_0():
    inverted, square = boxes([4, 4, 0, 0]), boxes([0, 0, 4, 4])
    assert area(inverted) == 0 and iou(inverted, square) == 0 and giou(inverted, square) <= 0


def test_only_giou_has_a_gradient_for_disjoint_boxes():
    target = boxes([0, 0, 4, 4])
    for measure, has_gradient in ((iou, False), (giou, True)):
        far = boxes([10, 0, 14, 4]).requires_grad_()
        measure(far, target).sum().backward()
        assert bool(far.grad.abs().max() > 0) == has_gradient


def test_cell_centres_and_boxes_from_distances():
    centres = cell_centres(2, 3, 4, torch.device("cpu"))
    assert centres.shape == (2, 3, 2)
    assert centres[0, 0].tolist() == [2, 2] and centres[1, 2].tolist() == [10, 6]
    # left, top, right, bottom
    distances = torch.tensor([1.0, 2, 3, 4])[None, :, None, None].expand(1, 4, 2, 3)
    decoded = from_distances(centres, distances)
    assert decoded.shape == (1, 2, 3, 4)
    assert decoded[0, 1, 2].tolist() == [9, 4, 13, 10]
