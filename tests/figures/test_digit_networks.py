"""The diagrams of lesson 1's networks and of shifted maps."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from course_lib.data.digits import shift
from course_lib.figures import digit_networks as figures
from course_lib.vision.digits import ConvolutionalClassifier, FullyConnectedClassifier


@pytest.fixture(autouse=True)
def _close_figures():
    torch.manual_seed(0)
    yield
    plt.close("all")


def test_stages_are_those_of_the_network():
    stages = figures.network_stages(FullyConnectedClassifier().layers, torch.rand(1, 1, 28, 28))
    assert stages == [
        ("image", (1, 28, 28)),
        ("flatten", (784,)),
        ("fully connected, ReLU", (128,)),
        ("fully connected", (10,)),
    ]


def test_diagram_has_every_shape_and_at_most_four_squares_for_each_stage():
    networks = {
        "fully connected": FullyConnectedClassifier().layers,
        "convolution": ConvolutionalClassifier().layers,
    }
    figure = figures.network_diagram(networks, torch.rand(1, 1, 28, 28))
    text = "\n".join(each.get_text() for each in figure.findobj(Text))
    for expected in ("784 numbers", "12 x 14 x 14", "24 x 3 x 3", "216 numbers", "max pooling"):
        assert expected in text
    # an image, six stages of maps with four squares each, and two lists
    boxes = [patch for patch in figure.axes[1].patches if isinstance(patch, Rectangle)]
    assert len(boxes) == 1 + 6 * 4 + 2


def test_a_shifted_map_has_no_new_values_and_a_changed_one_has():
    before = torch.rand(8, 8)
    after = shift(before, 1)
    assert not figures.changed_pixels(before, after, 1).any()
    after[3, 4] += 1
    after[0, 0] += 1  # on the border, which is not compared
    assert np.argwhere(figures.changed_pixels(before, after, 1)).tolist() == [[3, 4]]
    rows = {"before": [before, before], "after": [shift(before, 1), after]}
    figure = figures.shifted_maps(rows, ["image", "map"])
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["", "", "new values: 0", "new values: 1"]
