"""The errors of a segmentation by their distance from the nearest border."""

import numpy as np
import pytest
import torch

from course_lib.unet import border_errors


def test_border_distance_counts_pixels():
    semantic = torch.zeros(6, 6, dtype=torch.int64)
    semantic[:, 3:] = 2
    assert border_errors.border_distance(semantic)[0].tolist() == [3, 2, 1, 1, 2, 3]
    assert border_errors.border_distance(torch.zeros(3, 3, dtype=torch.int64)).isinf().all()


def test_error_rates_count_each_pixel_once():
    target = torch.zeros(8, 12, dtype=torch.int64)
    target[:, 6:] = 1
    prediction = target.clone()
    prediction[:, 6] = 0  # wrong next to the border, on one of its two sides
    prediction[0, 0] = 1  # wrong in one pixel far from it
    rates, shares = border_errors.error_rates_by_distance([target], [prediction])
    assert rates[0] == pytest.approx(0.5) and rates[1:4] == [0, 0, 0]
    assert sum(shares) == pytest.approx(1) and shares[0] == pytest.approx(8 / 9)
    assert rates[-1] == 0  # no pixel is that far from the border
    enough, _ = border_errors.error_rates_by_distance([target], [prediction], fewest=2)
    assert enough[0] == rates[0] and np.isnan(enough[4])  # 8 wrong pixels, and a single one


def test_added_errors_are_counted_at_one_distance():
    truth = torch.zeros(1, 2, 4, dtype=torch.int64)
    before, after = truth.clone(), truth.clone()
    before[0, 0, :2], after[0, 0, 1:], after[0, 1, 0] = 1, 2, 1
    distance = torch.tensor([1.0, 2, 3, 4]).expand(1, 2, 4)
    assert border_errors.added_errors(truth, before, after, distance, 1, 3) == (1, 25)
    assert border_errors.added_errors(truth, after, before, distance, 0, 4) == (-2, -25)
    assert border_errors.added_errors(truth, before, after, distance, 5, 6) == (0, 0)
