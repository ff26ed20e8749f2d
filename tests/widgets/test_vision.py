"""Lesson 3's scene editor responds to its controls and to the mouse, and describes its picture."""

import asyncio
import sys
from dataclasses import replace

import pytest
import torch

from course_lib.data import sprites
from course_lib.data.compose import UNKNOWN
from course_lib.widgets import vision as widgets
from course_lib.widgets import vision_tiles as tiles
from tests.support.widgets import assert_distinct_names, read_picture


@pytest.fixture
def editor(models):
    return widgets.SceneEditor(models)


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ("object_name", "banana"),
        ("style", sprites.styles("held-out")[0]),
        ("count", 1),
        ("x", 0.2),
        ("y", 0.2),
        ("size", 0.3),
        ("angle", 90.0),
    ],
)
@pytest.mark.extended
def test_every_control_changes_the_scene_and_the_picture(editor, control, value):
    before, scene_before = read_picture(editor), editor.scene
    (getattr(editor, control, None) or editor.sliders[control]).value = value
    assert (read_picture(editor) != before).any()
    assert editor.scene.placements != scene_before.placements
    front = editor.scene.placements[-1]
    if control != "count":
        assert getattr(front, {"object_name": "name"}.get(control, control)) == value


def test_photo_changes_the_background_only(editor):
    before = editor.scene
    editor.photo.value = editor.photo.options[-1][1]
    assert editor.scene.placements == before.placements
    assert not torch.equal(editor.scene.image, before.image)


def test_selecting_an_object_fills_the_controls_without_running_the_models(editor):
    predictions = editor.predictions
    editor.selected.value = 0
    first = editor.placements()[0]
    assert (editor.object_name.value, editor.style.value) == (first.name, first.style)
    values = [slider.value for slider in editor.sliders.values()]
    assert values == [first.x, first.y, first.size, first.angle]
    assert editor.predictions is predictions
    assert ", 0 ms of it for the five models" in editor.message.value
    editor.sliders["x"].value = 0.9
    assert editor.placements()[0] == replace(first, x=0.9)


def test_selecting_a_removed_object_restores_it(editor):
    editor.count.value = 1
    editor.selected.value = 1
    assert editor.count.value == 2 and len(editor.placements()) == 2


def test_picture_is_reproducible(models, editor):
    assert widgets.SceneEditor(models).picture.value == editor.picture.value


def test_objects_of_unknown_classes_can_be_placed(editor):
    unknown = [value for label, value in editor.object_name.options if "never trained" in label]
    assert len(unknown) == 4 and not set(unknown) & set(sprites.CLASSES)
    editor.object_name.value = unknown[0]
    assert UNKNOWN in editor.scene.labels


def test_every_control_has_a_name(editor):
    assert_distinct_names(
        editor.count,
        editor.photo,
        editor.selected,
        editor.object_name,
        editor.style,
        *editor.sliders.values(),
    )


def test_predictions_are_described_in_words(editor):
    message = editor.message.value
    assert f"1: {sprites.CLASSES[editor.predictions.label]} (" in message
    assert " ms for this picture" in message and ", 0 ms of it" not in message


def mouse(event_type: str, x: float, y: float, **fields) -> dict:
    """An event at a position of the scene, in the scene's own tile."""
    left, top = tiles.tile_corner(0)
    return {
        "type": event_type,
        "dataX": left + x * tiles.TILE,
        "dataY": top + y * tiles.TILE,
        "buttons": 1,
    } | fields


def test_dragging_moves_the_object_under_the_mouse(editor):
    house = editor.placements()[0]
    editor.on_mouse(mouse("mousedown", house.x, house.y - 0.1))
    assert editor.selected.value == 0
    editor.on_mouse(mouse("mousemove", house.x + 0.2, house.y))
    moved = editor.placements()[0]
    assert (moved.x, moved.y) == (pytest.approx(house.x + 0.2), pytest.approx(house.y + 0.1))
    assert editor.scene.placements[0] == moved
    editor.on_mouse(mouse("mouseup", 0.9, 0.9))
    editor.on_mouse(mouse("mousemove", 0.1, 0.1))
    assert editor.placements()[0] == moved


def test_drag_is_clamped_to_the_picture_and_ends_on_release_outside(editor):
    front = editor.placements()[2]
    editor.on_mouse(mouse("mousedown", front.x, front.y))
    editor.on_mouse(mouse("mousemove", 5, -5))
    assert (editor.placements()[2].x, editor.placements()[2].y) == (0.9, 0.1)
    editor.on_mouse(mouse("mousemove", 0.5, 0.5, buttons=0))
    editor.on_mouse(mouse("mousemove", 0.2, 0.2))
    assert editor.placements()[2].x == 0.9


def test_wheel_resizes_and_with_shift_rotates(editor):
    front = editor.placements()[2]
    editor.on_mouse(mouse("wheel", 0.5, 0.5, deltaY=-100))
    assert editor.placements()[2].size > front.size
    editor.on_mouse(mouse("wheel", 0.5, 0.5, deltaY=0, deltaX=100, shiftKey=True))
    assert editor.placements()[2].angle == front.angle - 10
    editor.sliders["angle"].value = 175.0
    editor.on_mouse(mouse("wheel", 0.5, 0.5, deltaY=-1, shiftKey=True))
    assert editor.placements()[2].angle == -175


def test_every_tile_has_scene_positions_and_the_gaps_have_none():
    for index in range(6):
        left, top = tiles.tile_corner(index)
        assert tiles.scene_position(left + tiles.TILE / 4, top + tiles.TILE / 2) == (0.25, 0.5)
    assert tiles.scene_position(tiles.TILE + 1, 100) is None


def test_several_changes_are_drawn_once(editor):
    pictures = []
    editor.picture.observe(pictures.append, "value")

    async def move() -> None:
        for x in (0.2, 0.3, 0.4, 0.7):
            editor.sliders["x"].value = x
        await asyncio.sleep(5 * widgets._REDRAW_DELAY)

    asyncio.run(move())
    assert len(pictures) == 1 and editor.scene.placements[-1].x == 0.7


class FakeEvent:
    """The part of ipyevents that the editor uses."""

    def __init__(self, **options) -> None:
        self.options = options

    def on_dom_event(self, handler) -> None:
        self.handler = handler


def test_with_ipyevents_the_mouse_is_watched(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyevents", type(sys)("ipyevents"))
    sys.modules["ipyevents"].Event = FakeEvent
    editor = widgets.SceneEditor(models)
    assert editor._mouse.options["source"] is editor.picture
    editor._mouse.handler(mouse("wheel", 0.5, 0.5, deltaY=1))
    assert editor.placements()[2].size < 0.42


def test_without_ipyevents_the_sliders_work(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyevents", None)
    editor = widgets.SceneEditor(models)
    editor.sliders["size"].value = 0.3
    assert editor.scene.placements[-1].size == 0.3
    values = [str(widget.value) for widget in _descendants(editor) if hasattr(widget, "value")]
    assert any("pip install ipyevents" in value for value in values)


def _descendants(box) -> list:
    children = getattr(box, "children", ())
    return [widget for child in children for widget in (child, *_descendants(child))]


def test_still_picture_with_alt_text_is_shown(models, displayed, monkeypatch):
    widgets.scene_editor(models)
    assert '<img alt="Six images of one scene with ' in displayed[1].data
    monkeypatch.setenv("COURSE_MODE", "grading")
    widgets.scene_editor(models)
    assert len(displayed) == 2
