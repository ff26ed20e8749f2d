"""Lesson 2's figures show the numbers of the layers they are drawn from, and its widgets answer."""

import io
import time

import ipywidgets
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image
from torch import nn

from course_lib.convolution import edge_kernels, learned_kernels
from course_lib.convolution.layers import conv2d, conv2d_im2col, true_convolution
from course_lib.data.photos import photo
from course_lib.figures.convolution import kernels as figures
from course_lib.figures.convolution import layers as layer_figures
from course_lib.widgets import show_widget
from course_lib.widgets.convolution import KernelEditor, KernelWalk, kernel_editor, kernel_walk

SOBEL = edge_kernels.kernel("vertical edges (Sobel)")


@pytest.fixture
def patch():
    return photo("camera", 32, grey=True)[0, 9:17, 14:24]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def words(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_walk_writes_the_sum_that_the_layer_computes(patch):
    found = words(figures.walk(patch, SOBEL, row=1, column=6))
    value = conv2d(patch[None, None], SOBEL[None, None])[0, 0, 1, 6]
    assert any(text.endswith(f"= {value:.2f}") for text in found)
    with pytest.raises(ValueError, match="outside the output"):
        figures.walk(patch, SOBEL, row=6, column=0)


def test_sum_of_products_is_the_sum(patch):
    terms = (
        figures.sum_of_products(patch[:3, :3].double(), SOBEL).replace("−", "-").replace("·", "*")
    )
    parts = [line for line in terms.split("\n + ") if "all 0" not in line]
    assert eval("+".join(parts)) == pytest.approx(float((patch[:3, :3] * SOBEL).sum()), abs=0.05)
    assert "all 0" in figures.sum_of_products(
        patch[:3, :3], edge_kernels.kernel("horizontal edges (Sobel)")
    )


@pytest.mark.parametrize(
    "number, written", [("-0.00", "0.00"), ("-1.50", "−1.50"), ("-0", "0"), ("2", "2")]
)
def test_typeset(number, written):
    assert figures.typeset(number) == written


def test_every_figure_is_drawn(patch):
    grey = photo("coffee", 64, grey=True)[0]
    dot, digits = torch.zeros(5, 5), torch.arange(1.0, 10).view(3, 3)
    dot[2, 2] = 1
    answers = [
        way(dot[None, None], digits[None, None], padding=1)[0, 0]
        for way in (conv2d, true_convolution)
    ]
    drawn = [
        figures.responses({"coffee": grey}, {"vertical edges (Sobel)": SOBEL}),
        figures.profile(grey, SOBEL, 20, slice(5, 60)),
        figures.flipped(dot, digits, *answers),
        figures.places([(7, 3, 1, 0), (7, 3, 2, 1)]),
        layer_figures.receptive_fields({"two": [(3, 1)] * 2}),
        layer_figures.beside(
            grey,
            {"0°": (SOBEL, learned_kernels.load()[0]), "90°": (SOBEL.T, learned_kernels.load()[1])},
        ),
    ]
    assert all(figure.axes for figure in drawn)


def test_channels_reads_shapes_and_numbers_off_the_layer():
    layer = nn.Conv2d(3, 2, 3)
    figure = layer_figures.channels(layer, photo("coffee", 32))
    assert figure.get_suptitle() == "input 3x32x32   weight 2x3x3x3   bias 2   output 2x30x30"
    assert figures.typeset(f"{layer.weight[1, 2, 0, 0]:.2f}") in words(figure)


def test_receptive_field_is_told_as_many_pixels_wide():
    figure = layer_figures.receptive_fields(
        {"three": [(3, 1)] * 3, "stride": [(3, 2), (3, 1)], "one": [(5, 1)]}
    )
    assert [text for text in words(figure) if "sees" in text] == [
        "input\nsees 7",
        "input\nsees 7",
        "input\nsees 5",
    ]


def test_gallery_shows_every_kernel_once():
    found = learned_kernels.load()
    mask = torch.arange(64) < 10
    figure = layer_figures.gallery(
        found, {"first": mask, "rest": ~mask, "none": torch.zeros(64, dtype=torch.bool)}
    )
    assert sum(len(axes.images) for axes in figure.axes) == 64


def test_parameters_are_counted_on_the_layers():
    figure = layer_figures.parameters(
        {
            "small": nn.Conv2d(1, 1, 5, bias=False),
            "large": nn.Linear(10**4, 10**4, bias=False, device="meta"),
        }
    )
    assert {"25", "100,000,000"} <= set(words(figure))


def test_walk_widget_follows_its_sliders(patch):
    widget = KernelWalk(patch, SOBEL)
    before = widget.picture.value
    widget.row.value, widget.column.value = 1, 6
    value = conv2d(patch[None, None], SOBEL[None, None])[0, 0, 1, 6]
    assert f"= {value:.2f}" in widget.sum.value and widget.picture.value != before
    assert (widget.row.max, widget.column.max) == (5, 7)


def one_image(image, kernel):
    return conv2d_im2col(image[None, None], kernel[None, None])[0, 0]


def picture_of(editor) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(editor.picture.value)))


def test_editor_calls_the_learners_function():
    seen = []
    editor = KernelEditor(
        lambda image, kernel: seen.append(kernel.clone()) or one_image(image, kernel), size=64
    )
    assert "Your function answers." in editor.message.value
    before = picture_of(editor)
    editor.numbers[4].value = 3.0
    assert seen[-1][1, 1] == 3 and (picture_of(editor) != before).any()
    assert before.shape == (256, 2 * 256 + 12, 3)


def test_a_preset_fills_all_nine_fields_and_draws_once():
    calls = []
    editor = KernelEditor(
        lambda image, kernel: calls.append(1) or one_image(image, kernel), size=64
    )
    calls.clear()
    editor.preset.value = "sharpen"
    torch.testing.assert_close(editor.kernel(), edge_kernels.kernel("sharpen"))
    assert len(calls) == 1
    editor.photo.value = "coffee"
    assert len(calls) == 2


def not_written(image, kernel):
    raise NotImplementedError


@pytest.mark.parametrize(
    "function, said",
    [
        (not_written, "not written yet"),
        (lambda image, kernel: image, "returned the shape (64, 64) where (62, 62) was expected"),
        (lambda image, kernel: None, "stopped with"),
        (lambda image, kernel: image[1:-1, 1:-1] / 0 * "a", "stopped with"),
        (lambda image, kernel: one_image(image, kernel) + 1, "not as the library does"),
    ],
)
def test_editor_says_what_is_wrong_and_goes_on(function, said):
    editor = KernelEditor(function, size=64)
    assert said in editor.message.value
    before = picture_of(editor)
    editor.preset.value = "blur"
    assert (picture_of(editor) != before).any()


def test_editor_takes_a_smaller_photo_for_a_slow_function():
    def slow(image, kernel):
        time.sleep(image.numel() * 2e-5)
        return one_image(image, kernel)

    sizes = []
    KernelEditor(
        lambda image, kernel: sizes.append(image.shape[0]) or slow(image, kernel), size=256
    )
    assert 32 <= sizes[-1] < 128


def test_the_editor_works_with_numpy_answers():
    editor = KernelEditor(lambda image, kernel: one_image(image, kernel).numpy(), size=64)
    assert "Your function answers." in editor.message.value


def test_every_input_has_a_name(patch):
    editor, walker = KernelEditor(one_image, size=64), KernelWalk(patch, SOBEL)
    for field in (*editor.numbers, editor.preset, editor.photo, walker.row, walker.column):
        assert field.description and (
            getattr(field, "tooltip", None) or getattr(field, "description_tooltip", None)
        )
    assert len({field.description for field in editor.numbers}) == 9


@pytest.mark.parametrize(
    "shown", [lambda patch: kernel_walk(patch, SOBEL), lambda patch: kernel_editor(one_image, 64)]
)
def test_a_widget_leaves_a_still_picture_with_alt_text(shown, patch, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append(what))
    shown(patch)
    live, still = displayed
    assert "application/vnd.jupyter.widget-view+json" in live
    assert '<img alt="A ' in still.data and "<figcaption" in still.data


def test_the_still_picture_can_be_found_by_the_widget_that_hides_it(monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append(what))
    slider = ipywidgets.IntSlider()
    show_widget(slider, b"picture", "what is seen", "what to see")
    assert f'<div id="still-{slider.model_id}">' in displayed[1].data


def test_unknown_kernels_are_told():
    with pytest.raises(ValueError, match="choose one of identity"):
        edge_kernels.kernel("diagonal")


def test_a_turned_sobel_kernel_passes_through_both():
    torch.testing.assert_close(edge_kernels.turned_sobel(0), SOBEL)
    torch.testing.assert_close(
        edge_kernels.turned_sobel(90),
        edge_kernels.kernel("horizontal edges (Sobel)"),
        atol=1e-6,
        rtol=0,
    )
