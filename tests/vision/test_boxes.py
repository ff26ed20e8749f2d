"""Boxes by hand agree with torchvision's, and with what one can work out on paper."""

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


@settings(deadline=None)  # a busy machine is no mistake
@given(st.lists(st.tuples(box, box), min_size=1, max_size=8))
def test_they_agree_with_torchvision(pairs):
    first, second = boxes(*[a for a, _ in pairs]), boxes(*[b for _, b in pairs])
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(area(first), ops.box_area(first), **close)
    torch.testing.assert_close(iou(first, second), ops.box_iou(first, second).diagonal(), **close)
    torch.testing.assert_close(
        giou(first, second), ops.generalized_box_iou(first, second).diagonal(), **close
    )


def test_worked_out_on_paper():
    square = boxes([0, 0, 4, 4])
    # itself; its right half; shifted by half: shared 8 of 16 + 16 - 8; touching; apart by one more
    # width
    others = boxes([0, 0, 4, 4], [2, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4], [8, 0, 12, 4])
    squares = square.expand(5, 4)
    torch.testing.assert_close(iou(squares, others), torch.tensor([1, 1 / 2, 1 / 3, 0, 0]))
    # The hull of the last pair is 12 x 4, of which 16 belong to neither.
    torch.testing.assert_close(giou(squares, others), torch.tensor([1, 1 / 2, 1 / 3, 0, -1 / 3]))


def test_a_box_turned_inside_out_is_empty():
    inside_out, square = boxes([4, 4, 0, 0]), boxes([0, 0, 4, 4])
    assert area(inside_out) == 0 and iou(inside_out, square) == 0 and giou(inside_out, square) <= 0


def test_only_giou_pulls_boxes_that_do_not_touch():
    target = boxes([0, 0, 4, 4])
    for measure, pulls in ((iou, False), (giou, True)):
        far = boxes([10, 0, 14, 4]).requires_grad_()
        measure(far, target).sum().backward()
        assert bool(far.grad.abs().max() > 0) == pulls


def test_cells_and_their_boxes():
    centres = cell_centres(2, 3, 4, torch.device("cpu"))
    assert centres.shape == (2, 3, 2)
    assert centres[0, 0].tolist() == [2, 2] and centres[1, 2].tolist() == [10, 6]
    # left, top, right, bottom
    distances = torch.tensor([1.0, 2, 3, 4])[None, :, None, None].expand(1, 4, 2, 3)
    found = from_distances(centres, distances)
    assert found.shape == (1, 2, 3, 4)
    assert found[0, 1, 2].tolist() == [9, 4, 13, 10]
