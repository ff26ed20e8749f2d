"""Lesson 6's widgets respond to their controls, and describe their pictures in words."""

import numpy as np
import pytest
import torch

from course_lib.compression import autoencoder
from course_lib.diffusion import small_denoiser
from course_lib.diffusion.trajectory import Frame
from course_lib.widgets import diffusion as widgets
from tests.support.widgets import assert_distinct_names, read_picture


@pytest.fixture(scope="module")
def model():
    return autoencoder.load()


@pytest.fixture(scope="module")
def pictures():
    return small_denoiser.examples(2)


@pytest.fixture
def frames():
    torch.manual_seed(0)
    return [
        Frame(t, torch.randn(4, 16, 16), torch.rand(3, 128, 128), torch.rand(3, 128, 128))
        for t in (999, 499, 0)
    ]


def test_timestep_sets_signal_and_noise(model, pictures):
    widget = widgets.ForwardNoise(model, pictures)
    before = read_picture(widget)
    widget.time.value = 900
    alpha_bar = float(small_denoiser.SCHEDULE.alphas_cumprod[900])
    alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    assert f"signal {alpha:.3f}, noise {sigma:.3f}" in widget.message.value
    assert (read_picture(widget) != before).any()


def test_selecting_another_picture_changes_the_image(model, pictures):
    widget = widgets.ForwardNoise(model, pictures)
    widget.time.value = 0
    before = read_picture(widget)
    widget.index.value = 1
    assert np.abs(read_picture(widget) - before).mean() > 5


def test_forward_noise_needs_a_picture(model):
    with pytest.raises(ValueError, match="at least one"):
        widgets.ForwardNoise(model, [])


def test_scrubber_shows_the_selected_step(frames):
    widget = widgets.SamplingScrubber(frames, small_denoiser.SCHEDULE)
    assert (widget.step.max, widget.play.max) == (2, 2)
    assert "After 0 of 2 steps, timestep 999" in widget.message.value
    widget.step.value = 1
    assert widget.picture.value == widget.render(1) != widget.render(0)
    widget.step.value = 2
    assert "the result" in widget.message.value
    with pytest.raises(ValueError, match="no frame"):
        widgets.SamplingScrubber([], small_denoiser.SCHEDULE)


def test_frame_without_noise_has_a_signal_of_1(frames):
    frames = [frames[0], frames[1]._replace(t=-1)]
    widget = widgets.SamplingScrubber(frames, small_denoiser.SCHEDULE)
    widget.step.value = 1
    assert "signal 1.00 of 1" in widget.message.value


def test_every_control_has_a_name(model, pictures, frames):
    forward = widgets.ForwardNoise(model, pictures)
    scrubber = widgets.SamplingScrubber(frames, small_denoiser.SCHEDULE)
    assert_distinct_names(forward.time, forward.index, scrubber.step)


def test_still_pictures_with_alt_text_are_shown(model, pictures, frames, displayed, monkeypatch):
    widgets.forward_noise(model, pictures)
    widgets.sampling_scrubber(frames, small_denoiser.SCHEDULE)
    assert '<img alt="Three images of a' in displayed[1].data
    assert '<img alt="Half-way from noise' in displayed[3].data
    monkeypatch.setenv("COURSE_MODE", "grading")
    widgets.sampling_scrubber(frames, small_denoiser.SCHEDULE)
    assert len(displayed) == 4
