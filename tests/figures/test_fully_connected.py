"""Lesson 1's figures and widgets say what the layers say: their numbers are read back from what was
drawn.
"""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from course_lib.figures import fully_connected as figures
from course_lib.figures import png
from course_lib.profiling.cost import cost
from course_lib.vision.digits import ConvolutionalClassifier, FullyConnectedClassifier
from course_lib.widgets import fully_connected as widgets

SIDES = [8, 16, 32, 64]


@pytest.fixture(autouse=True)
def close_figures():
    torch.manual_seed(0)
    yield
    plt.close("all")


def words(figure):
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_the_wires_are_counted_from_the_layers():
    figure = figures.connections(nn.Linear(25, 25), nn.Conv2d(1, 1, 3, padding=1), torch.rand(5, 5))
    assert "fully connected: 625 wires" in words(figure) and "25 + 25 wires" in words(figure)
    # 13 x 13: the border has fewer neighbours
    assert f"convolution: {(3 * 5 - 2) ** 2} wires" in words(figure)
    assert "carrying 9 different weights" in words(figure)
    assert png(figure)[:4] == b"\x89PNG"


def test_the_matrix_of_a_convolution_is_almost_empty():
    figure = figures.matrices(nn.Linear(64, 64), nn.Conv2d(1, 1, 3, padding=1), 8, 8)
    assert f"{22 * 22 / 64 / 64:.1%} of 4,096" in words(
        figure
    ) and "with 9 different values" in words(figure)


def test_the_slopes_are_those_of_the_data():
    costs = {
        "fully connected": [
            cost(nn.Linear(s * s, s * s, bias=False, device="meta"), 1, s * s) for s in SIDES
        ],
        "convolution": [
            cost(nn.Conv2d(1, 1, 3, padding=1, device="meta"), 1, 1, s, s) for s in SIDES
        ],
    }
    seconds = {
        "fully connected": [1e-9 * s**3 for s in SIDES],
        "convolution": [1e-8 * s for s in SIDES],
    }
    text = words(figures.growth(SIDES, costs, dict.fromkeys(figures.KINDS, SIDES), seconds))
    for line in (
        "fully connected: slope 4.00",
        "convolution: slope 0.00",
        "convolution: slope 2.00",
    ):
        assert line in text
    assert "fully connected: slope 3.00" in text and "convolution: slope 1.00" in text
    assert "fully connected:  4.1" in figures.sizes(
        8, costs["fully connected"][0], costs["convolution"][0]
    ).replace("     ", " ")


def test_every_change_is_a_row_and_every_dot_a_seed():
    table = figures.changes(
        {"as taken": torch.rand(3, 1, 28, 28), "moved": torch.rand(3, 1, 28, 28)}
    )
    assert len(table.axes) == 6
    at = {kind: np.linspace(0.9, 0.2, 15).reshape(3, 5) for kind in figures.KINDS}
    plain = {kind: found[:, 0] for kind, found in at.items()}
    figure = figures.robustness(range(5), at, plain, plain, 0.1)
    assert len(figure.axes) == 2 and "guessing" in words(figure)


def test_the_prediction_picture_changes_with_the_digit():
    chance = {"fully connected": torch.full((10,), 0.1), "convolution": torch.eye(10)[3]}
    classes = tuple("0123456789")
    one = widgets.draw_predictions(torch.zeros(28, 28), chance, 3, classes)
    two = widgets.draw_predictions(torch.ones(28, 28), chance, 3, classes)
    assert one[:4] == b"\x89PNG" and one != two


def test_a_slider_redraws_the_picture_and_tells_it_in_words(monkeypatch):
    shown = []
    monkeypatch.setattr(
        widgets, "show_widget", lambda widget, image, **texts: shown.append((widget, image, texts))
    )
    models = {
        "fully connected": FullyConnectedClassifier(),
        "convolution": ConvolutionalClassifier(),
    }
    widgets.shift_explorer(models, torch.rand(4, 1, 28, 28), torch.arange(4), tuple("0123456789"))
    widgets.size_explorer()
    assert "17.2 GB" in shown[1][2]["alt"]
    for widget, image, texts in shown:
        sliders, picture, told = widget.children
        for slider in sliders.children:  # ipywidgets 7 keeps the tooltip elsewhere
            assert slider.description and (
                getattr(slider, "tooltip", None) or slider.description_tooltip
            )
        assert picture.value == image and all(texts.values())
        before = told.value
        sliders.children[1].value += 1
        assert picture.value != image and told.value != before


def test_a_wider_layer_costs_what_arithmetic_says():
    found = widgets.layer_costs(16, 2, 5)
    assert found["fully connected"].parameters == 512**2 + 512
    assert found["convolution"].parameters == 2 * (2 * 25 + 1)
