"""Lesson 1's figures show the values of the layers that they are drawn from."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.text import Text
from torch import nn

from course_lib.figures import figure_png
from course_lib.figures import fully_connected as figures
from course_lib.profiling.cost import forward_cost

SIDES = [8, 16, 32, 64]


@pytest.fixture(autouse=True)
def _close_figures():
    torch.manual_seed(0)
    yield
    plt.close("all")


def texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_connections_are_counted_on_the_layers():
    figure = figures.connections(nn.Linear(25, 25), nn.Conv2d(1, 1, 3, padding=1), torch.rand(5, 5))
    text = texts(figure)
    assert "the input: 5 x 5 pixels" in text
    assert "fully connected: 625 connections" in text and "25 + 25 connections" in text
    # Fewer than 9 x 25: pixels at the border have fewer neighbours.
    assert f"convolution: {(3 * 5 - 2) ** 2} connections" in text
    assert "the same 9 weights" in text and "50 different weights" in text
    assert figure_png(figure)[:4] == b"\x89PNG"


def test_matrix_of_a_convolution_is_sparse():
    figure = figures.weight_matrices(nn.Linear(64, 64), nn.Conv2d(1, 1, 3, padding=1), 8, 8)
    text = texts(figure)
    assert "484 of 4,096" in text and "from 9 weights" in text and "from 4,096 weights" in text
    outlined = [len(axes.collections[0].get_paths()) for axes in figure.axes if axes.collections]
    assert 484 in outlined


def test_cost_growth_shows_the_slopes_of_the_data():
    costs = {
        "fully connected": [
            forward_cost(nn.Linear(s * s, s * s, bias=False, device="meta"), 1, s * s)
            for s in SIDES
        ],
        "convolution": [
            forward_cost(nn.Conv2d(1, 1, 3, padding=1, device="meta"), 1, 1, s, s) for s in SIDES
        ],
    }
    seconds = {
        "fully connected": [1e-9 * s**3 for s in SIDES],
        "convolution": [1e-8 * s for s in SIDES],
    }
    timed_sides = dict.fromkeys(figures.LAYER_KINDS, SIDES)
    figure = figures.cost_growth(SIDES, costs, timed_sides, seconds)
    text = texts(figure)
    for line in (
        "fully connected, parameters: slope 4.000",
        "convolution, parameters: slope 0.000",
        "convolution, FLOPs: slope 2.000",
        "fully connected, time: slope 3.00",
        "convolution, time: slope 1.00",
        "2 to the power of the side",
    ):
        assert line in text
    figure.canvas.draw()
    decades_per_height = [
        np.ptp(np.log10(axes.get_ylim())) / axes.get_position().height for axes in figure.axes
    ]
    # a factor of ten has the same height in every panel
    assert max(decades_per_height) / min(decades_per_height) < 1.05
    line = figures.format_costs(8, costs["fully connected"][0], costs["convolution"][0])
    assert "fully connected:  4.1" in line.replace("     ", " ")


def test_every_perturbation_has_a_row():
    figure = figures.perturbed_images(
        {"original": torch.rand(3, 1, 28, 28), "shifted": torch.rand(3, 1, 28, 28)}, "408"
    )
    assert len(figure.axes) == 6
    assert [axes.get_title("center") for axes in figure.axes] == [*"408", "", "", ""]


def test_robustness_is_drawn_for_several_seeds():
    accuracy = {kind: np.linspace(0.9, 0.2, 15).reshape(3, 5) for kind in figures.LAYER_KINDS}
    figure = figures.robustness(range(5), accuracy, 0.1)
    assert len(figure.axes) == 1 and "guessing" in texts(figure)


def test_accuracies_are_drawn_with_the_mean_test_accuracy():
    pairs = dict.fromkeys(figures.LAYER_KINDS, [(0.9, 0.5), (0.8, 0.7)])
    figure = figures.compare_accuracies({"centred": pairs, "moved": pairs}, chance=0.1)
    axes = figure.axes[0]
    means = [text for text in axes.texts if text.get_text() == "0.60"]
    assert len(means) == 4 and "moved" in texts(figure)
    # the axis starts below the lowest marker; a chance level further down is not drawn
    assert axes.get_ylim()[0] == pytest.approx(0.4) and "guessing" not in texts(figure)
    assert "guessing" in texts(figures.compare_accuracies({"centred": pairs}, chance=0.45))
    # the markers of two seeds are side by side
    assert all(len(set(line.get_xdata())) == 2 for line in axes.lines)


def test_learned_weights_are_drawn_for_both_kinds_of_layers():
    hidden, kernels = torch.randn(3, 8, 8), torch.randn(6, 3, 3)
    figure = figures.learned_weights(hidden, kernels)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    # one row of hidden units and two of kernels, and one colour scale for each layer
    assert len(images) == 3 + 6
    assert {image.get_clim()[1] for image in images[:3]} == {float(hidden.abs().max())}
    assert {image.get_clim()[1] for image in images[3:]} == {float(kernels.abs().max())}


def test_learned_matrices_stand_above_the_errors():
    found = {count: count * torch.randn(4, 4) for count in (1, 2)}
    errors = {"fully connected": [1.0, 0.5, 0.0], "convolution": [0.0, 0.0, 0.0]}
    figure = figures.learned_matrices(found, [1, 2, 3], errors)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 2 and len({image.get_clim() for image in images}) == 1
    assert "2 images" in texts(figure) and "error of the weights" in texts(figure)
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[-1].lines}
    assert lines == errors


def test_class_weights_have_one_image_for_each_class():
    weights = torch.randn(4, 5, 5)
    figure = figures.class_weights(weights, list("abcd"))
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert [axes.get_title("center") for axes in figure.axes][:4] == list("abcd")
    assert {image.get_clim()[1] for image in images} == {float(weights.abs().max())}


def test_learning_curves_have_one_line_for_each_rate():
    figure = figures.learning_curves({0.1: [2.3, 1.0, 0.5], 10.0: [2.3, 40.0, 30.0]})
    assert [line.get_ydata()[-1] for line in figure.axes[0].lines] == [0.5, 30.0]
    for text in ("learning rate 0.1", "learning rate 10", "first step with 10"):
        assert text in texts(figure)


def test_both_matrices_have_one_colour_scale():
    figure = figures.weight_matrices(nn.Linear(16, 16), nn.Conv2d(1, 1, 3, padding=1), 4, 4)
    limits = {axes.images[0].get_clim() for axes in figure.axes if axes.images}
    assert len(limits) == 1
