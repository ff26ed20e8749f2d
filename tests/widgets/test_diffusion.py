"""Lesson 6's widgets answer to their controls, and say in words what they show."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.compression import autoencoder
from course_lib.diffusion import small_denoiser
from course_lib.diffusion.trajectory import Frame
from course_lib.widgets import diffusion as widgets


@pytest.fixture(scope="module")
def model():
    return autoencoder.load()


@pytest.fixture(scope="module")
def pictures():
    return small_denoiser.pictures(2)


@pytest.fixture
def frames():
    torch.manual_seed(0)
    return [
        Frame(t, torch.randn(4, 16, 16), torch.rand(3, 128, 128), torch.rand(3, 128, 128))
        for t in (999, 499, 0)
    ]


def picture_of(widget) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(widget.picture.value))).astype(int)


def test_the_time_sets_signal_and_noise(model, pictures):
    widget = widgets.ForwardNoise(model, pictures)
    before = picture_of(widget)
    widget.time.value = 900
    square = float(small_denoiser.SCHEDULE.alphas_cumprod[900])
    assert f"signal {square**0.5:.3f}, noise {(1 - square) ** 0.5:.3f}" in widget.message.value
    assert (picture_of(widget) != before).any()


def test_another_picture_is_another_picture(model, pictures):
    widget = widgets.ForwardNoise(model, pictures)
    widget.time.value = 0
    before = picture_of(widget)
    widget.chosen.value = 1
    assert np.abs(picture_of(widget) - before).mean() > 5


def test_without_pictures_there_is_nothing_to_show(model):
    with pytest.raises(ValueError, match="at least one"):
        widgets.ForwardNoise(model, [])


def test_the_scrubber_shows_the_step_that_is_asked_for(frames):
    widget = widgets.Scrubber(frames, small_denoiser.SCHEDULE)
    assert (widget.step.max, widget.play.max) == (
        2,
        2,
    ) and "After 0 of 2 steps, time 999" in widget.message.value
    widget.step.value = 1
    assert widget.picture.value == widget.still(1) != widget.still(0)
    widget.step.value = 2
    assert "the result" in widget.message.value
    with pytest.raises(ValueError, match="no frame"):
        widgets.Scrubber([], small_denoiser.SCHEDULE)


def test_a_frame_without_any_noise_has_a_signal_of_1(frames):
    widget = widgets.Scrubber([frames[0], frames[1]._replace(t=-1)], small_denoiser.SCHEDULE)
    widget.step.value = 1
    assert "signal 1.00 of 1" in widget.message.value


def test_every_control_has_a_name(model, pictures, frames):
    forward, scrubber = (
        widgets.ForwardNoise(model, pictures),
        widgets.Scrubber(frames, small_denoiser.SCHEDULE),
    )
    for control in (forward.time, forward.chosen, scrubber.step):
        assert control.description and (
            getattr(control, "tooltip", None) or control.description_tooltip
        )


def test_both_leave_a_still_picture_with_alt_text(model, pictures, frames, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append(what))
    widgets.forward_noise(model, pictures)
    widgets.scrubber(frames, small_denoiser.SCHEDULE)
    assert (
        '<img alt="Three panes of a' in displayed[1].data
        and '<img alt="Half of the way' in displayed[3].data
    )
    monkeypatch.setenv("COURSE_MODE", "grading")
    widgets.scrubber(frames, small_denoiser.SCHEDULE)
    assert len(displayed) == 4
