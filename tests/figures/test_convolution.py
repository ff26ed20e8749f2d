"""Lesson 2's figures show the values of the layers that they are drawn from."""

import re

import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from course_lib.convolution import edge_kernels, learned_kernels
from course_lib.convolution.layers import conv2d, true_convolution
from course_lib.data.photos import photo
from course_lib.figures.convolution import kernels as figures
from course_lib.figures.convolution import layers as layer_figures
from course_lib.figures.convolution import learned as learned_figures
from course_lib.figures.convolution.descriptions import describe
from tests.support.lessons import course_lesson

SOBEL = edge_kernels.kernel("vertical edges (Sobel)")


@pytest.fixture
def patch():
    return photo("camera", 32, grey=True)[0, 9:17, 14:24]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_convolution_step_shows_the_output_of_the_layer(patch):
    labels = texts(figures.convolution_step(patch, SOBEL, row=1, column=6))
    value = conv2d(patch[None, None], SOBEL[None, None])[0, 0, 1, 6]
    assert any(text.endswith(f"= {value:.2f}") for text in labels)
    with pytest.raises(ValueError, match="outside the output"):
        figures.convolution_step(patch, SOBEL, row=6, column=0)


def test_sum_of_products_evaluates_to_the_sum(patch):
    window = patch[:3, :3]
    text = figures.sum_of_products(window.double(), SOBEL).replace("−", "-").replace("·", "*")
    terms = [line for line in text.split("\n + ") if "all 0" not in line]
    assert eval("+".join(terms)) == pytest.approx(float((window * SOBEL).sum()), abs=0.05)
    horizontal = edge_kernels.kernel("horizontal edges (Sobel)")
    assert "all 0" in figures.sum_of_products(window, horizontal)


@pytest.mark.parametrize(
    ("number", "formatted"), [("-0.00", "0.00"), ("-1.50", "−1.50"), ("-0", "0"), ("2", "2")]
)
def test_format_number(number, formatted):
    assert figures.format_number(number) == formatted


def test_every_figure_is_drawn(patch):
    grey = photo("coffee", 64, grey=True)[0]
    dot, digits = torch.zeros(5, 5), torch.arange(1.0, 10).view(3, 3)
    dot[2, 2] = 1
    outputs = [
        convolve(dot[None, None], digits[None, None], padding=1)[0, 0]
        for convolve in (conv2d, true_convolution)
    ]
    learned = learned_kernels.load()
    drawings = [
        figures.kernel_responses({"coffee": grey}, {"vertical edges (Sobel)": SOBEL}),
        figures.row_profile(grey, SOBEL, 20, slice(5, 60)),
        figures.one_photo_many_kernels(grey, {"blur": edge_kernels.kernel("blur")}),
        figures.one_photo_many_kernels(grey, {"Sobel": SOBEL}, crop=(8, 8, 32)),
        figures.correlation_vs_convolution(dot, digits, *outputs),
        figures.kernel_positions([(7, 3, 1, 0), (7, 3, 2, 1)]),
        layer_figures.receptive_fields({"two": [(3, 1)] * 2}),
        layer_figures.compare_kernels(
            grey, {"0°": (SOBEL, learned[0]), "90°": (SOBEL.T, learned[1])}
        ),
    ]
    assert all(figure.axes for figure in drawings)


def test_layer_channels_shows_the_shapes_and_weights_of_the_layer():
    layer = nn.Conv2d(3, 2, 3)
    figure = layer_figures.layer_channels(layer, photo("coffee", 32))
    assert figure.get_suptitle() == "input 3x32x32   weight 2x3x3x3   bias 2   output 2x30x30"
    assert figures.format_number(f"{layer.weight[1, 2, 0, 0]:.2f}") in texts(figure)


def test_receptive_fields_are_labelled_with_their_width():
    figure = layer_figures.receptive_fields(
        {"three": [(3, 1)] * 3, "stride": [(3, 2), (3, 1)], "one": [(5, 1)]}
    )
    assert [text for text in texts(figure) if "field" in text] == [
        "input\nfield: 7",
        "input\nfield: 7",
        "input\nfield: 5",
    ]


@pytest.mark.extended
def test_kernel_gallery_shows_every_kernel_once():
    first = torch.arange(64) < 10
    groups = {"first": first, "rest": ~first, "none": torch.zeros(64, dtype=torch.bool)}
    figure = layer_figures.kernel_gallery(learned_kernels.load(), groups)
    assert sum(len(axes.images) for axes in figure.axes) == 64


def test_parameters_are_counted_on_the_layers():
    figure = layer_figures.parameter_counts(
        {
            "small": nn.Conv2d(1, 1, 5, bias=False),
            "large": nn.Linear(10**4, 10**4, bias=False, device="meta"),
        }
    )
    assert {"25", "100,000,000"} <= set(texts(figure))


def test_figures_of_learned_kernels_are_drawn():
    kernels = learned_kernels.load()[:8]
    fit = learned_kernels.fit_gabor(kernels)
    points, turns = torch.randn(20, 2), torch.tensor([0.0, 45, 90])
    drawings = [
        learned_figures.code_sizes(turns, {"pixels": [1.5, 1.3, 1.5]}),
        learned_figures.whitened_pairs(points, points, torch.eye(2), torch.ones(2)),
        learned_figures.pattern_spreads(torch.eye(243), torch.rand(243), {"limit": 0.1}),
        learned_figures.compare_galleries({"a": kernels, "b": kernels}),
        learned_figures.compare_with_functions(kernels, fit.functions, fit.explained),
        learned_figures.tuning_curves({"one": torch.rand(1, 3), "some": torch.rand(5, 3)}, turns),
    ]
    assert all(figure.axes for figure in drawings)


def test_patch_as_sum_shows_the_largest_codes():
    kernels = learned_kernels.load()[:8]
    codes = torch.tensor([0.1, -2.5, 0, 0.3, 1.25, 0.2, 0, 0.05])
    figure = learned_figures.patch_as_sum(kernels[0], codes, kernels, count=2)
    titles = [axes.get_title(loc="center") for axes in figure.axes]
    assert titles[:4] == ["the patch", "−2.50 ×", "+1.25 ×", "reconstructed"]
    figure = learned_figures.patch_as_sum(kernels[0], codes, kernels, kernels[1], count=1)
    titles = [axes.get_title(loc="center") for axes in figure.axes]
    assert titles[:4] == ["the patch", "whitened", "−2.50 ×", "reconstructed"]


def test_a_prediction_is_not_answered_by_the_cell_below_it():
    """Alt text and caption of its figure are in the library; the lesson uses all of them."""
    text = course_lesson("02_convolution_by_hand").path.read_text(encoding="utf-8")
    _, *predictions = re.split(r"^\*\*Predict\.\*\*", text, flags=re.MULTILINE)
    for prediction in predictions:
        cells = re.split(r"^(?=\*\*|[A-Z#])", prediction.partition("\n\n")[2], flags=re.MULTILINE)[
            0
        ]
        assert "alt=" not in cells and "caption=" not in cells, cells
    used = re.findall(r'describe\("([^"]+)"\)', text)
    assert len(used) == len(set(used))
    for name in used:
        assert min(map(len, describe(name).values())) > 30
    with pytest.raises(
        ValueError, match=f"no description 'none': choose one of {used[0]}, "
    ) as error:
        describe("none")
    assert str(error.value).count(",") == len(used) - 1


def test_every_curve_is_drawn_or_refused():
    turns, curves = torch.arange(3.0), {str(n): torch.rand(1, 3) for n in range(5)}
    (axes,) = learned_figures.tuning_curves(curves, turns).axes
    assert [line.get_label() for line in axes.lines] == list(curves)
    with pytest.raises(ValueError, match="There are 6 lines: at most 5"):
        learned_figures.tuning_curves(curves | {"sixth": torch.rand(1, 3)}, turns)
