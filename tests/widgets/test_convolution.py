"""Lesson 2's widgets respond to their controls and to the learner's function."""

import time

import ipywidgets
import pytest
import torch

from course_lib.convolution import edge_kernels
from course_lib.convolution.layers import conv2d, conv2d_im2col
from course_lib.data.photos import photo
from course_lib.widgets import show_widget
from course_lib.widgets.convolution import (
    KernelEditor,
    SlidingKernel,
    kernel_editor,
    sliding_kernel,
)
from tests.support.widgets import assert_distinct_names, read_picture

SOBEL = edge_kernels.kernel("vertical edges (Sobel)")


@pytest.fixture
def patch():
    return photo("camera", 32, grey=True)[0, 9:17, 14:24]


def convolve(image, kernel):
    return conv2d_im2col(image[None, None], kernel[None, None])[0, 0]


def test_sliding_kernel_follows_its_sliders(patch):
    widget = SlidingKernel(patch, SOBEL)
    before = widget.picture.value
    widget.row.value, widget.column.value = 1, 6
    value = conv2d(patch[None, None], SOBEL[None, None])[0, 0, 1, 6]
    assert f"= {value:.2f}" in widget.sum.value and widget.picture.value != before
    assert (widget.row.max, widget.column.max) == (5, 7)


def test_editor_calls_the_learners_function():
    kernels = []

    def record(image, kernel):
        kernels.append(kernel.clone())
        return convolve(image, kernel)

    editor = KernelEditor(record, size=64)
    assert "Your function runs." in editor.message.value
    before = read_picture(editor)
    editor.weights[4].value = 3.0
    assert kernels[-1][1, 1] == 3 and (read_picture(editor) != before).any()
    assert before.shape == (256, 2 * 256 + 12, 3)
    # a browser sends 1e999 as infinity, which JSON can't transfer
    editor.weights[4].value = float("inf")
    assert editor.weights[4].value == 1000 and "Your function runs." in editor.message.value


def test_preset_fills_all_nine_fields_and_redraws_once():
    calls = []

    def record(image, kernel):
        calls.append(1)
        return convolve(image, kernel)

    editor = KernelEditor(record, size=64)
    calls.clear()
    editor.preset.value = "sharpen"
    torch.testing.assert_close(editor.kernel(), edge_kernels.kernel("sharpen"))
    assert len(calls) == 1
    editor.photo.value = "coffee"
    assert len(calls) == 2


def not_implemented(image, kernel):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (not_implemented, "not written yet"),
        (lambda image, kernel: image, "returned the shape (64, 64) where (62, 62) was expected"),
        (lambda image, kernel: None, "stopped with"),
        (lambda image, kernel: image[1:-1, 1:-1] / 0 * "a", "stopped with"),
        (lambda image, kernel: convolve(image, kernel) + 1, "differs from the library's"),
    ],
)
def test_editor_reports_errors_and_keeps_working(function, message):
    editor = KernelEditor(function, size=64)
    assert message in editor.message.value
    before = read_picture(editor)
    editor.preset.value = "blur"
    assert (read_picture(editor) != before).any()


def test_error_messages_are_escaped():
    def fail(image, kernel):
        raise RuntimeError("<script>alert(1)</script>")

    assert "<script" not in KernelEditor(fail, size=64).message.value


def test_editor_uses_a_smaller_photo_for_a_slow_function():
    sizes = []

    def slow(image, kernel):
        sizes.append(image.shape[0])
        time.sleep(image.numel() * 2e-5)
        return convolve(image, kernel)

    KernelEditor(slow, size=256)
    assert 32 <= sizes[-1] < 128


def test_editor_accepts_numpy_outputs():
    editor = KernelEditor(lambda image, kernel: convolve(image, kernel).numpy(), size=64)
    assert "Your function runs." in editor.message.value


def test_every_control_has_a_name(patch):
    editor, sliding = KernelEditor(convolve, size=64), SlidingKernel(patch, SOBEL)
    assert_distinct_names(*editor.weights, editor.preset, editor.photo)
    assert_distinct_names(sliding.row, sliding.column)
    assert len({field.description for field in editor.weights}) == 9


@pytest.mark.parametrize(
    "show", [lambda patch: sliding_kernel(patch, SOBEL), lambda patch: kernel_editor(convolve, 64)]
)
@pytest.mark.extended
def test_still_picture_with_alt_text_is_shown(show, patch, displayed):
    show(patch)
    live, still = displayed
    assert "application/vnd.jupyter.widget-view+json" in live
    assert '<img alt="A ' in still.data and "<figcaption" in still.data


def test_widget_hides_the_still_picture_by_its_id(displayed):
    slider = ipywidgets.IntSlider()
    show_widget(slider, b"picture", "what it shows", "what to notice")
    assert f'<div id="still-{slider.model_id}">' in displayed[1].data
