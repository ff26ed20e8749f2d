"""Lesson 1's widgets show the networks' predictions and the layers' costs."""

import pytest
import torch

from course_lib.vision.digits import ConvolutionalClassifier, FullyConnectedClassifier
from course_lib.widgets import fully_connected as widgets
from tests.support.widgets import assert_distinct_names


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_picture_of_predictions_changes_with_the_image():
    probabilities = {"fully connected": torch.full((10,), 0.1), "convolution": torch.eye(10)[3]}
    classes = tuple("0123456789")
    black = widgets.draw_predictions(torch.zeros(28, 28), probabilities, 3, classes)
    white = widgets.draw_predictions(torch.ones(28, 28), probabilities, 3, classes)
    assert black[:4] == b"\x89PNG" and black != white


def test_slider_updates_the_picture_and_its_description(monkeypatch):
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
        sliders, picture, description = widget.children
        assert_distinct_names(*sliders.children)
        assert picture.value == image and all(texts.values())
        # in a narrow cell nothing is cut
        assert sliders.layout.flex_flow == "row wrap" and picture.layout.max_width == "100%"
        before = description.value
        sliders.children[1].value += 1
        assert picture.value != image and description.value != before


def test_first_image_is_one_that_only_the_convolution_recognises():
    class Answers(torch.nn.Module):
        def __init__(self, answers):
            super().__init__()
            self.scores = torch.nn.Parameter(torch.nn.functional.one_hot(answers, 3).float())

        def forward(self, images):
            return self.scores

    labels, images = torch.tensor([0, 1, 2, 0]), torch.rand(4, 1, 28, 28)
    models = {
        "fully connected": Answers(torch.tensor([0, 0, 1, 1])),
        "convolution": Answers(torch.tensor([0, 0, 2, 0])),
    }
    assert widgets._distinguishing_image(models, images, labels, 2) == 2
    assert (
        widgets._distinguishing_image(
            dict.fromkeys(models, models["convolution"]), images, labels, 2
        )
        == 0
    )


def test_layer_costs_agree_with_arithmetic():
    costs = widgets.layer_costs(16, 2, 5)
    assert costs["fully connected"].parameters == 512**2 + 512
    assert costs["convolution"].parameters == 2 * (2 * 25 + 1)
