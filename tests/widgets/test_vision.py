"""Lesson 3's scene editor answers to its controls, to the mouse, and in words."""

import asyncio
import io
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.data import sprites
from course_lib.data.compose import UNKNOWN
from course_lib.widgets import vision as widgets
from course_lib.widgets import vision_tiles as tiles


@pytest.fixture
def editor(models):
    return widgets.SceneEditor(models)


def picture_of(editor) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(editor.picture.value))).astype(int)


@pytest.mark.parametrize(
    "control, value",
    [
        *(("kind", "banana"), ("style", sprites.styles("held-out")[0]), ("count", 1)),
        *(("x", 0.2), ("y", 0.2), ("size", 0.3), ("angle", 90.0)),
    ],
)
def test_every_control_changes_the_scene_and_the_picture(editor, control, value):
    before, scene_before = picture_of(editor), editor.scene
    (getattr(editor, control, None) or editor.sliders[control]).value = value
    assert (picture_of(editor) != before).any()
    assert editor.scene.placements != scene_before.placements
    front = editor.scene.placements[-1]
    if control != "count":
        assert getattr(front, {"kind": "name"}.get(control, control)) == value


def test_another_photo_stands_behind_the_same_objects(editor):
    before = editor.scene
    editor.photo.value = editor.photo.options[-1][1]
    assert editor.scene.placements == before.placements and not torch.equal(
        editor.scene.image, before.image
    )


def test_choosing_an_object_fills_the_controls_and_asks_nobody(editor):
    answers = editor.answers
    editor.chosen.value = 0
    first = editor.placements()[0]
    assert (editor.kind.value, editor.style.value) == (first.name, first.style)
    assert [slider.value for slider in editor.sliders.values()] == [
        first.x,
        first.y,
        first.size,
        first.angle,
    ]
    assert editor.answers is answers and ", 0 ms of it for the five models" in editor.message.value
    editor.sliders["x"].value = 0.9
    assert editor.placements()[0] == replace(first, x=0.9)


def test_choosing_a_missing_object_brings_it_back(editor):
    editor.count.value = 1
    editor.chosen.value = 1
    assert editor.count.value == 2 and len(editor.placements()) == 2


def test_the_same_scene_gives_the_same_picture(models, editor):
    assert widgets.SceneEditor(models).picture.value == editor.picture.value


def test_objects_that_no_model_knows_can_be_placed(editor):
    unknown = [value for word, value in editor.kind.options if "never trained" in word]
    assert len(unknown) == 4 and not set(unknown) & set(sprites.CLASSES)
    editor.kind.value = unknown[0]
    assert UNKNOWN in editor.scene.labels


def test_every_control_has_a_name(editor):
    controls = (
        editor.count,
        editor.photo,
        editor.chosen,
        editor.kind,
        editor.style,
        *editor.sliders.values(),
    )
    names = [
        getattr(one, "tooltip", None) or getattr(one, "description_tooltip", None)
        for one in controls
    ]
    assert all(names) and len(set(names)) == len(controls)


def test_the_answers_are_also_told_in_words(editor):
    assert f"1: {sprites.CLASSES[editor.answers.label]} (" in editor.message.value
    assert (
        " ms for this picture" in editor.message.value
        and ", 0 ms of it" not in editor.message.value
    )


def mouse(kind: str, x: float, y: float, **more) -> dict:
    """An event over a place of the scene, in the tile of the picture itself."""
    left, top = tiles.corner(0)
    return {
        "type": kind,
        "dataX": left + x * tiles.TILE,
        "dataY": top + y * tiles.TILE,
        "buttons": 1,
    } | more


def test_dragging_moves_the_object_under_the_mouse(editor):
    house = editor.placements()[0]
    editor.on_mouse(mouse("mousedown", house.x, house.y - 0.1))
    assert editor.chosen.value == 0
    editor.on_mouse(mouse("mousemove", house.x + 0.2, house.y))
    moved = editor.placements()[0]
    assert (moved.x, moved.y) == (pytest.approx(house.x + 0.2), pytest.approx(house.y + 0.1))
    assert editor.scene.placements[0] == moved
    editor.on_mouse(mouse("mouseup", 0.9, 0.9))
    editor.on_mouse(mouse("mousemove", 0.1, 0.1))
    assert editor.placements()[0] == moved


def test_a_drag_stays_inside_the_picture_and_ends_when_the_button_was_let_go_outside(editor):
    front = editor.placements()[2]
    editor.on_mouse(mouse("mousedown", front.x, front.y))
    editor.on_mouse(mouse("mousemove", 5, -5))
    assert (editor.placements()[2].x, editor.placements()[2].y) == (0.9, 0.1)
    editor.on_mouse(mouse("mousemove", 0.5, 0.5, buttons=0))
    editor.on_mouse(mouse("mousemove", 0.2, 0.2))
    assert editor.placements()[2].x == 0.9


def test_the_wheel_scales_and_with_shift_turns(editor):
    front = editor.placements()[2]
    editor.on_mouse(mouse("wheel", 0.5, 0.5, deltaY=-100))
    assert editor.placements()[2].size > front.size
    editor.on_mouse(mouse("wheel", 0.5, 0.5, deltaY=0, deltaX=100, shiftKey=True))
    assert editor.placements()[2].angle == front.angle - 10
    editor.sliders["angle"].value = 175.0
    editor.on_mouse(mouse("wheel", 0.5, 0.5, deltaY=-1, shiftKey=True))
    assert editor.placements()[2].angle == -175


def test_every_tile_can_be_dragged_in_and_the_gaps_can_not():
    for place in range(6):
        left, top = tiles.corner(place)
        assert tiles.place_in_scene(left + tiles.TILE / 4, top + tiles.TILE / 2) == (0.25, 0.5)
    assert tiles.place_in_scene(tiles.TILE + 1, 100) is None


def test_only_the_newest_of_many_changes_is_drawn(models, editor):
    drawn = []
    editor.picture.observe(lambda change: drawn.append(change), "value")

    async def move() -> None:
        for x in (0.2, 0.3, 0.4, 0.7):
            editor.sliders["x"].value = x
        await asyncio.sleep(5 * widgets._PATIENCE)

    asyncio.run(move())
    assert len(drawn) == 1 and editor.scene.placements[-1].x == 0.7


class FakeEvent:
    """What of ipyevents the editor uses."""

    def __init__(self, **options) -> None:
        self.options = options

    def on_dom_event(self, handler) -> None:
        self.handler = handler


def test_with_ipyevents_the_picture_is_watched(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyevents", type(sys)("ipyevents"))
    sys.modules["ipyevents"].Event = FakeEvent
    editor = widgets.SceneEditor(models)
    assert editor._mouse.options["source"] is editor.picture
    editor._mouse.handler(mouse("wheel", 0.5, 0.5, deltaY=1))
    assert editor.placements()[2].size < 0.42


def test_without_ipyevents_the_sliders_are_enough(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyevents", None)
    editor = widgets.SceneEditor(models)
    editor.sliders["size"].value = 0.3
    assert editor.scene.placements[-1].size == 0.3 and "pip install ipyevents" in str(
        [one.value for one in _inside(editor) if hasattr(one, "value")]
    )


def _inside(box) -> list:
    return [one for child in getattr(box, "children", ()) for one in (child, *_inside(child))]


def test_the_editor_leaves_a_still_picture_with_alt_text(models, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append(what))
    widgets.scene_editor(models)
    assert '<img alt="Six pictures of one scene with ' in displayed[1].data
    monkeypatch.setenv("COURSE_MODE", "grading")
    widgets.scene_editor(models)
    assert len(displayed) == 2


def test_redrawing_can_be_timed(models):
    assert 0 < widgets.redraw_seconds(1, models) < 60
