"""Lesson 5's widget builds, draws and describes a U-Net at each change."""

import io
import time

import pytest
from PIL import Image

from course_lib.widgets.unet import _SKIPS, MOST, NETWORKS, Builder, builder


@pytest.fixture
def widget():
    return Builder()


def test_it_begins_with_the_papers_network(widget):
    assert "572 × 572 pixels in, 388 × 388 out. 31,030,658 parameters" in widget.message.value
    assert "1024 × 28 × 28" in widget.message.value and "sees 140 × 140" in widget.message.value
    assert Image.open(io.BytesIO(widget.picture.value)).width > 700


@pytest.mark.parametrize(
    "control, value, said",
    [
        ("depth", 5, "Skip connections: 5"),
        ("depth", 1, "sees 14 × 14"),
        ("width", 16, "256 × 28 × 28"),
        ("network", list(NETWORKS)[1], "128 × 128 pixels in, 128 × 128 out"),
        ("skips", "none", "Skip connections: 0"),
        ("skips", "only the deepest", "Skip connections: 1"),
    ],
)
def test_every_control_builds_another_network(widget, control, value, said):
    before = widget.picture.value
    getattr(widget, control).value = value
    assert said in widget.message.value and widget.picture.value != before


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("skips", _SKIPS)
def test_every_depth_can_be_drawn(widget, network, skips):
    widget.network.value, widget.skips.value = network, skips
    for depth in range(1, MOST + 1):
        widget.depth.value = depth
        most = {"all": depth, "none": 0, "only the deepest": 1}[skips]
        assert f"Skip connections: {most}." in widget.message.value


def test_a_move_back_is_instant(widget):
    widget.depth.value = 2
    begin = time.perf_counter()
    widget.depth.value = 4
    assert time.perf_counter() - begin < 0.05


def test_every_control_has_a_name(widget):
    controls = (widget.depth, widget.width, widget.network, widget.skips)
    names = [
        getattr(one, "tooltip", None) or getattr(one, "description_tooltip", None)
        for one in controls
    ]
    assert all(names) and len(set(names)) == 4


def test_it_leaves_a_still_picture_with_alt_text(monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append(what))
    builder()
    live, still = displayed
    assert "application/vnd.jupyter.widget-view+json" in live
    assert '<img alt="A U-Net' in still.data and "<figcaption" in still.data
