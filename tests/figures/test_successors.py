"""Lesson 8's figures show the given data."""

import pytest
import torch
from matplotlib import pyplot as plt

from course_lib.diffusion.small_denoiser import SCHEDULE
from course_lib.figures.successors import blocks, charts, paths
from course_lib.metrics.generation import wilson_interval

POINTS = torch.tensor([[0.0, 1.0], [1.0, -1.0]])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_paths_begin_in_rings_and_end_in_dots():
    drawn = torch.tensor([[[2.0, 2.0], [-2.0, 1.0]], [[1.0, 0.0], [0.0, 0.5]]])
    figure = paths.many_paths(POINTS, {"first": drawn, "second": drawn})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["first", "second"]
    lines = figure.axes[0].lines
    rings, dots = lines[-2:]
    assert rings.get_fillstyle() == "none" and rings.get_xydata().tolist() == drawn[0].tolist()
    assert dots.get_xydata().tolist() == drawn[1].tolist()
    with pytest.raises(ValueError, match="at least one set of paths"):
        paths.many_paths(POINTS, {})


def test_timesteps_lie_on_the_circle_and_their_times_on_the_line():
    figure = paths.weight_plane(SCHEDULE.alphas_cumprod, marked=(999, 500))
    (axes,) = figure.axes
    marks = {
        marker: [line.get_xydata()[0] for line in axes.lines if line.get_marker() == marker]
        for marker in ("o", "s")
    }
    for a, s in marks["o"]:
        assert a**2 + s**2 == pytest.approx(1, abs=1e-5)
    for (a, s), (x, y) in zip(marks["o"], marks["s"], strict=True):
        assert x + y == pytest.approx(1, abs=1e-5) and y / x == pytest.approx(s / a, rel=1e-4)
    labels = [text.get_text() for text in axes.texts]
    assert "timestep 999" in labels and "t = 0.94" in labels


def test_gain_is_drawn_over_the_histogram_of_times():
    times, gain = [0.2, 0.8], [0.7, 0.1]
    figure = charts.times_and_gain(times, gain, torch.tensor([0.5, 0.51, 0.9]))
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0.2, 0.7], [0.8, 0.1]]
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    assert heights[20] == max(heights) and heights[0] == 0
    with pytest.raises(ValueError, match="2 times and 1 gains"):
        charts.times_and_gain(times, gain[:1], torch.rand(3))


def test_quality_has_intervals_and_the_distance_of_real_images():
    right = {"flow": {1: 0.1, 4: 0.9}, "DDIM": {1: 0.0, 4: 1.0}}
    distances = {"flow": {1: 90.0, 4: 30.0}, "DDIM": {1: 95.0, 4: 40.0}}
    figure = charts.quality_by_steps(right, 20, distances, real_distance=12.0)
    left, middle = figure.axes
    bars = left.collections[0].get_segments()
    assert [bar[0][1] for bar in bars] == pytest.approx(
        [wilson_interval(2, 20)[0], 0.6990], abs=1e-3
    )
    assert [line.get_ydata()[0] for line in middle.lines] == [90.0, 95.0, 12.0]
    assert [label.get_text() for label in middle.get_xticklabels()] == ["1", "4"]
    with pytest.raises(ValueError, match="at least one method"):
        charts.quality_by_steps({}, 20, {}, 12.0)


def test_loss_is_drawn_against_the_operations():
    figure = charts.loss_by_cost({"U-Net": [(0.0, 2.0), (3e12, 1.0)], "DiT": [(0.0, 2.0)]})
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0, 2], [3000, 1]]
    with pytest.raises(ValueError, match="at least one network"):
        charts.loss_by_cost({})


def test_errors_are_drawn_against_the_time():
    figure = charts.errors_by_time([0.2, 0.8], {"flow": [0.5, 0.4], "denoiser": [0.8, 0.4]})
    assert figure.axes[0].lines[1].get_xydata().tolist() == [[0.2, 0.8], [0.8, 0.4]]
    with pytest.raises(ValueError, match="one error for each time"):
        charts.errors_by_time([0.2], {"flow": []})


def test_both_kinds_of_tokens_pass_the_same_layers():
    (axes,) = blocks.joint_block_diagram().axes
    labels = [text.get_text() for text in axes.texts]
    assert labels.count("joint\nattention") == 1
    for layer, count in {
        "modulate": 4,
        "q, k, v": 2,
        "feed-\nforward": 2,
        "gate": 4,
        "+": 4,
    }.items():
        assert labels.count(layer) == count, layer
