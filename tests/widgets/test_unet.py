"""Lesson 5's widgets draw a U-Net at every change and edit its skip connections."""

import io

import pytest
import torch
from PIL import Image

from course_lib.data import scenes
from course_lib.unet import UNet
from course_lib.widgets import unet
from course_lib.widgets.unet import (
    MAX_DEPTH,
    NETWORKS,
    SKIPS,
    SURGERY,
    SkipSurgery,
    UNetBuilder,
    unet_builder,
)
from tests.support.widgets import assert_distinct_names


@pytest.fixture
def widget():
    return UNetBuilder()


@pytest.mark.extended
def test_initial_network_is_the_papers(widget):
    description = widget.message.value
    assert "Input 572 × 572 pixels, output 388 × 388. 31,030,658 parameters" in description
    assert "1024 × 28 × 28" in description
    assert "receptive field of each value is 140 × 140" in description
    assert Image.open(io.BytesIO(widget.picture.value)).width > 700


@pytest.mark.parametrize(
    ("control", "value", "description"),
    [
        ("depth", 5, "Skip connections: 5"),
        ("depth", 1, "receptive field of each value is 14 × 14"),
        ("width", 16, "256 × 28 × 28"),
        ("network", list(NETWORKS)[1], "Input 128 × 128 pixels, output 128 × 128"),
        ("skips", "none", "Skip connections: 0"),
        ("skips", "only the deepest", "Skip connections: 1"),
    ],
)
@pytest.mark.extended
def test_every_control_builds_another_network(widget, control, value, description):
    before = widget.picture.value
    getattr(widget, control).value = value
    assert description in widget.message.value and widget.picture.value != before


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("skips", SKIPS)
@pytest.mark.extended
def test_every_depth_can_be_drawn(widget, network, skips):
    widget.network.value, widget.skips.value = network, skips
    for depth in range(1, MAX_DEPTH + 1) if skips == "all" else (1, MAX_DEPTH):
        widget.depth.value = depth
        count = {"all": depth, "none": 0, "only the deepest": 1}[skips]
        assert f"Skip connections: {count}." in widget.message.value


def test_drawings_are_cached(widget, monkeypatch):
    initial = widget.picture.value
    widget.depth.value = 2
    monkeypatch.setattr(unet, "architecture", None)  # calling it would raise
    widget.depth.value = 4
    assert widget.picture.value == initial


def test_every_control_has_a_name(widget):
    assert_distinct_names(widget.depth, widget.width, widget.network, widget.skips)


def test_still_picture_with_alt_text_is_shown(displayed):
    unet_builder()
    live, still = displayed
    assert "application/vnd.jupyter.widget-view+json" in live
    assert '<img alt="A U-Net' in still.data and "<figcaption" in still.data


@pytest.mark.extended
def test_surgery_reports_what_each_level_carries():
    torch.manual_seed(0)
    model = UNet(3, 13, width=2, depth=2).eval()
    first, second = (scenes.scene(seed, 32, split="new-backgrounds") for seed in (0, 1))
    widget = SkipSurgery(model, first, second)
    before = widget.picture.value
    widget.levels[0].value = SURGERY[1]
    assert "level 0: zeros, level 1: its own map" in widget.message.value
    widget.levels[1].value = SURGERY[2]
    assert "level 1: the other scene's map" in widget.message.value
    assert widget.picture.value and before
