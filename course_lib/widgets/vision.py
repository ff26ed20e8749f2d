"""The widget of lesson 3: a scene to arrange, with the live predictions of five models."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import numpy as np
from jaxtyping import Float
from torch import nn

from course_lib import mode
from course_lib.data import captions, photos, sprites
from course_lib.data.compose import Light, Placement, Scene, compose
from course_lib.data.scenes import SIZE
from course_lib.figures.images import jpeg_bytes
from course_lib.figures.vision.annotations import class_name
from course_lib.profiling.timing import one_thread
from course_lib.vision.predictions import Predictions, evaluate, predict_all
from course_lib.widgets import add_tooltip, control_row, picture_widget, show_widget
from course_lib.widgets.vision_tiles import TILE, draw_tiles, scene_position

_LIGHT = Light(direction=60.0, falloff=0.2, shadow=0.4)
_REDRAW_DELAY = 0.02  # seconds in which changes are coalesced into one redraw
# Lowest, highest, step, number format, and tooltip.
_SLIDERS = {
    "x": (0.1, 0.9, 0.01, ".2f", "horizontal position, as a share of the image's side"),
    "y": (0.1, 0.9, 0.01, ".2f", "vertical position, as a share of the image's side"),
    "size": (0.15, 0.7, 0.01, ".2f", "size of the object, as a share of the image's side"),
    "angle": (-180.0, 180.0, 1.0, ".0f", "rotation in degrees, counter-clockwise"),
}
_MOUSE_HINT = (
    "Or use the mouse: drag an object, turn the wheel to resize it, hold Shift and turn the wheel "
    "to rotate it."
)
_INSTALL_HINT = (
    "After <code>pip install ipyevents</code> and a reload of the page you can drag the objects "
    "with the mouse."
)


def _initial_placements() -> list[Placement]:
    first, second, third = sprites.styles()
    return [
        Placement("house", first, 0.30, 0.36, 0.46),
        Placement("owl", second, 0.70, 0.40, 0.40),
        Placement("car", third, 0.48, 0.74, 0.42),
    ]


def _object_options() -> list[tuple[str, str]]:
    """The classes, and from each group the first object that no model was trained on."""
    groups = sorted({sprites.group(name) for name in sprites.CLASSES})
    unknown = [
        next(name for name in sprites.names(group) if name not in sprites.CLASSES)
        for group in groups
    ]
    return [(name, name) for name in sprites.CLASSES] + [
        (f"{name} (never trained on)", name) for name in unknown
    ]


def _style_options() -> list[tuple[str, str]]:
    return [(style, style) for style in sprites.styles()] + [
        (f"{style} (never seen)", style) for style in sprites.styles("held-out")
    ]


def _photo_options() -> list[tuple[str, str]]:
    return [(f"{photo} (never seen)", photo) for photo in photos.names("held-out")] + [
        (photo, photo) for photo in photos.names("train")
    ]


class SceneEditor(widgets.VBox):
    """Up to three objects in front of a photo, their controls, and the predictions of five models.

    Args:
        models: all five models, from ``predictions.load_models``.
    """

    def __init__(self, models: Mapping[str, nn.Module]) -> None:
        self._models = models
        self._placements = _initial_placements()
        self._filling_controls = False  # ignore the changes that _fill_controls makes
        self._redraw_pending = False
        # Mouse position and object position (x, y, x, y) when the button was pressed.
        self._drag_start: tuple[float, float, float, float] | None = None
        # The placements and the photo of the current predictions.
        self._predicted_input: tuple[tuple[Placement, ...], str] | None = None
        self.scene: Scene
        self.predictions: Predictions
        self._build_controls()
        self._fill_controls()
        self.redraw()
        for control in (self.object_name, self.style, *self.sliders.values()):
            control.observe(self._edit, "value")
        for control in (self.count, self.photo):
            control.observe(self._request_redraw, "value")
        self.selected.observe(self._select, "value")
        self._mouse = self._watch_mouse()
        hint = _INSTALL_HINT if self._mouse is None else _MOUSE_HINT
        left = widgets.VBox([self.count, self.photo, self.selected, self.object_name, self.style])
        right = widgets.VBox([*self.sliders.values(), widgets.HTML(f"<small>{hint}</small>")])
        super().__init__([self.picture, control_row(left, right), self.message])

    def _build_controls(self) -> None:
        front = self._placements[2]
        positions = [("rear object", 0), ("middle object", 1), ("front object", 2)]
        self.count = _dropdown("objects", "number of objects in the scene", [1, 2, 3], 3)
        self.photo = _dropdown("photo", "background photo", _photo_options())
        self.selected = _dropdown("edit", "the object that the controls change", positions, 2)
        self.object_name = _dropdown("object", "what it is", _object_options(), front.name)
        self.style = _dropdown("style", "drawing style", _style_options(), front.style)
        self.sliders = {
            attribute: add_tooltip(
                widgets.FloatSlider(
                    value=low,
                    min=low,
                    max=high,
                    step=step,
                    description=attribute,
                    readout_format=number_format,
                ),
                tooltip,
            )
            for attribute, (low, high, step, number_format, tooltip) in _SLIDERS.items()
        }
        self.picture = picture_widget()
        self.message = widgets.HTML()

    def placements(self) -> list[Placement]:
        """The objects of the scene from back to front."""
        return self._placements[: self.count.value]

    def update_object(self, **changes: Any) -> None:
        """Change the selected object's ``name``, ``style``, ``x``, ``y``, ``size`` or ``angle``.

        Numbers are clamped to the range of the sliders.
        """
        for attribute, value in changes.items():
            if attribute in _SLIDERS:
                low, high = _SLIDERS[attribute][:2]
                changes[attribute] = min(max(float(value), low), high)
        index = self.selected.value
        self._placements[index] = replace(self._placements[index], **changes)
        self._fill_controls()

    def redraw(self) -> None:
        """Run the models if the scene has changed, and draw the image."""
        self._redraw_pending = False
        start = time.perf_counter()
        model_seconds = 0.0
        with one_thread():
            model_input = (tuple(self.placements()), self.photo.value)
            if model_input != self._predicted_input:
                self.scene = compose(_background(self.photo.value), self.placements(), _LIGHT)
                model_start = time.perf_counter()
                self.predictions = predict_all(self._models, self.scene.image)
                model_seconds = time.perf_counter() - model_start
                self._predicted_input = model_input
            metrics = evaluate(self.scene, self.predictions)
            # scene.placements omits fully hidden objects.
            placement = self._placements[self.selected.value]
            visible = list(self.scene.placements)
            selected = visible.index(placement) if placement in visible else None
            tiles = draw_tiles(self.scene, self.predictions, metrics, selected)
            self.picture.value = jpeg_bytes(tiles)
        seconds = time.perf_counter() - start
        self.message.value = (
            f"{_in_words(self.predictions)}<br>{seconds * 1000:.0f} ms for this picture, "
            f"{model_seconds * 1000:.0f} ms of it for the five models."
        )

    def _fill_controls(self) -> None:
        """Show the selected object's attributes in the controls."""
        placement = self._placements[self.selected.value]
        self._filling_controls = True
        self.object_name.value, self.style.value = placement.name, placement.style
        for attribute, slider in self.sliders.items():
            slider.value = getattr(placement, attribute)
        self._filling_controls = False

    def _edit(self, change: object = None) -> None:
        if not self._filling_controls:
            values = {attribute: slider.value for attribute, slider in self.sliders.items()}
            self.update_object(name=self.object_name.value, style=self.style.value, **values)
            self._request_redraw()

    def _select(self, change: object = None) -> None:
        self.count.value = max(self.count.value, self.selected.value + 1)
        self._fill_controls()
        self._request_redraw()

    def _request_redraw(self, change: object = None) -> None:
        """Schedule one redraw for all changes until then; without an event loop, redraw now."""
        if self._redraw_pending:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.redraw()
        else:
            self._redraw_pending = True
            loop.call_later(_REDRAW_DELAY, self.redraw)

    def _watch_mouse(self) -> Any:
        """Watch the mouse on the image if ipyevents is installed; otherwise return None."""
        try:
            from ipyevents import Event
        except ImportError:
            return None
        events = Event(
            source=self.picture,
            watched_events=["mousedown", "mousemove", "mouseup", "mouseleave", "wheel"],
            prevent_default_action=True,
            wait=40,
        )
        events.on_dom_event(self.on_mouse)
        return events

    def on_mouse(self, event: Mapping[str, Any]) -> None:
        """Handle a mouse event on the image: dragging moves, the wheel resizes or rotates.

        Args:
            event: from ipyevents: ``type``, ``dataX`` and ``dataY`` in pixels of the image,
                ``buttons``, ``shiftKey``, ``deltaX`` and ``deltaY``.
        """
        event_type, x, y = event["type"], event["dataX"], event["dataY"]
        if event_type == "mousedown" and (position := scene_position(x, y)):
            self._select_at(*position)
            placement = self._placements[self.selected.value]
            self._drag_start = (x, y, placement.x, placement.y)
        elif event_type == "mousemove" and self._drag_start and event.get("buttons", 1):
            start_x, start_y, object_x, object_y = self._drag_start
            self.update_object(x=object_x + (x - start_x) / TILE, y=object_y + (y - start_y) / TILE)
            self._request_redraw()
        elif event_type == "wheel":
            # With Shift, browsers report horizontal scrolling.
            step = -int(np.sign(event.get("deltaY") or event.get("deltaX") or 0))
            placement = self._placements[self.selected.value]
            if event.get("shiftKey"):
                self.update_object(angle=(placement.angle + 10 * step + 180) % 360 - 180)
            else:
                self.update_object(size=placement.size * 1.06**step)
            self._request_redraw()
        else:
            self._drag_start = None

    def _select_at(self, x: float, y: float) -> None:
        """Select the object that is visible at a position, if any."""
        height, width = self.scene.image.shape[-2:]
        row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
        hits = self.scene.masks[:, row, column].nonzero().flatten().tolist()
        if hits:
            self.selected.value = self._placements.index(self.scene.placements[hits[0]])


def scene_editor(models: Mapping[str, nn.Module]) -> None:
    """Show :class:`SceneEditor`, which documents the argument; in grading mode, show nothing."""
    if mode() == "grading":
        return
    editor = SceneEditor(models)
    objects = captions.join_names([placement.name for placement in editor.placements()])
    alt = (
        f"Six images of one scene with {objects}: the scene itself, and the predictions of the "
        "five models drawn on it."
    )
    caption = "One scene and five predictions, each with its level's own metric."
    show_widget(editor, editor.picture.value, alt, caption, mime="image/jpeg")


def _dropdown(
    description: str, tooltip: str, options: Sequence[Any], value: Any = None
) -> widgets.Dropdown:
    """A dropdown with a tooltip; without a value, the first option is selected."""
    dropdown = widgets.Dropdown(options=options, description=description)
    if value is not None:
        dropdown.value = value
    return add_tooltip(dropdown, tooltip)


@lru_cache(8)
def _background(photo: str) -> Float[np.ndarray, "height width 3"]:
    return photos.photo(photo, SIZE).numpy().transpose(1, 2, 0)


def _in_words(predictions: Predictions) -> str:
    """The five predictions as text, for readers who can't see the image."""
    located = predictions.localization
    box = f"a box around {class_name(located.label)} ({located.probability:.0%})"
    boxes = ", ".join(map(class_name, predictions.detections.labels.tolist())) or "nothing"
    counts = predictions.semantic.flatten().bincount().tolist()
    pixels = ", ".join(
        f"{class_name(value - 1)} {count / sum(counts):.0%}"
        for value, count in enumerate(counts)
        if value and count
    )
    masks = ", ".join(map(class_name, predictions.instances.labels.tolist())) or "nothing"
    return (
        f"1: {class_name(predictions.label)} ({predictions.probability:.0%}). 2: {box}. "
        f"3: boxes around {boxes}. 4: of the pixels {pixels or 'nothing'}. 5: masks of {masks}."
    )
