"""What lesson 3 lets you touch: a scene that you arrange, and five models that answer while you
do.
"""

import asyncio
import io
import statistics
import time
from collections.abc import Mapping
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
from course_lib.figures.vision.annotations import name
from course_lib.profiling.timing import one_thread
from course_lib.vision.answers import Answers, ask, judge, load_models
from course_lib.widgets import named, show_widget
from course_lib.widgets.vision_tiles import TILE, draw, place_in_scene

_LIGHT = Light(direction=60.0, fall=0.2, shadow=0.4)
# seconds in which further changes may come before a picture is drawn for all of them
_PATIENCE = 0.02
# control: lowest, highest, step, how it is written, and its name for whoever can't see it
_SLIDERS = {
    "x": (
        0.1,
        0.9,
        0.01,
        ".2f",
        "how far to the right the object stands, as a share of the picture",
    ),
    "y": (0.1, 0.9, 0.01, ".2f", "how far down the object stands, as a share of the picture"),
    "size": (0.15, 0.7, 0.01, ".2f", "how large the object is, as a share of the picture"),
    "angle": (
        -180.0,
        180.0,
        1.0,
        ".0f",
        "how far the object is turned, in degrees, counter-clockwise",
    ),
}
_HINT = {
    True: "Or take an object with the mouse: drag it, turn the wheel for its size, the wheel with Shift for its angle.",
    False: "With <code>pip install ipyevents</code> and a reload of the page you can drag the objects with the mouse.",
}


def _first_placements() -> list[Placement]:
    first, second, third = sprites.styles()
    return [
        Placement("house", first, 0.30, 0.36, 0.46),
        Placement("owl", second, 0.70, 0.40, 0.40),
        Placement("car", third, 0.48, 0.74, 0.42),
    ]


def _kinds() -> list[tuple[str, str]]:
    """The classes, and of each group the first object that no model was trained on."""
    groups = sorted({sprites.group(known) for known in sprites.CLASSES})
    others = [
        next(one for one in sprites.names(group) if one not in sprites.CLASSES) for group in groups
    ]
    return [(known, known) for known in sprites.CLASSES] + [
        (f"{other} (never trained on)", other) for other in others
    ]


class SceneEditor(widgets.VBox):
    """Up to three objects before a photo, controls for all of them, and the five models' answers to
    every change.

    Args:
        models: all five, as ``answers.load_models`` returns them.
    """

    def __init__(self, models: Mapping[str, nn.Module]) -> None:
        self._models, self._placed = models, _first_placements()
        self._filling = self._due = False  # the controls are being filled; a picture is on its way
        # where mouse and object were when it was pressed
        self._grip: tuple[float, float, float, float] | None = None
        # what the answers are about
        self._answered: tuple[tuple[Placement, ...], str] | None = None
        self.scene: Scene
        self.answers: Answers
        self._build()
        self._fill()
        self.draw()
        for control in (self.kind, self.style, *self.sliders.values()):
            control.observe(self._edited, "value")
        for control in (self.count, self.photo):
            control.observe(self._request, "value")
        self.chosen.observe(self._choose, "value")
        self._mouse = self._listen()
        hint = widgets.HTML(f"<small>{_HINT[self._mouse is not None]}</small>")
        left = widgets.VBox([self.count, self.photo, self.chosen, self.kind, self.style])
        right = widgets.VBox([*self.sliders.values(), hint])
        wrap = widgets.Layout(flex_flow="row wrap")
        super().__init__([self.picture, self.message, widgets.HBox([left, right], layout=wrap)])

    def _build(self) -> None:
        numbers = [
            (word, number)
            for number, word in enumerate(("the rear one", "the middle one", "the front one"))
        ]
        out = sprites.styles("held-out")
        styles = [(style, style) for style in sprites.styles()] + [
            (f"{style} (never seen)", style) for style in out
        ]
        new, seen = photos.names("held-out"), photos.names("train")
        grounds = [(f"{photo} (never seen)", photo) for photo in new] + [
            (photo, photo) for photo in seen
        ]
        self.count = _dropdown("objects", "how many objects the scene has", [1, 2, 3], 3)
        self.photo = _dropdown("photo", "the photo behind the objects", grounds, new[0])
        self.chosen = _dropdown("change", "which object the controls below change", numbers, 2)
        self.kind = _dropdown("what", "what the object is", _kinds(), self._placed[2].name)
        self.style = _dropdown("style", "who drew the object", styles, self._placed[2].style)
        self.sliders = {
            part: named(
                widgets.FloatSlider(
                    value=low, min=low, max=high, step=step, description=part, readout_format=shown
                ),
                words,
            )
            for part, (low, high, step, shown, words) in _SLIDERS.items()
        }
        self.picture = widgets.Image(
            format="jpeg", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        self.message = widgets.HTML()

    def placements(self) -> list[Placement]:
        """The objects of the scene, the rear one first."""
        return self._placed[: self.count.value]

    def place(self, **changes: Any) -> None:
        """Change the chosen object (``name``, ``style``, ``x``, ``y``, ``size``, ``angle``), as far
        as sliders go.
        """
        for part, value in changes.items():
            if part in _SLIDERS:
                low, high = _SLIDERS[part][:2]
                changes[part] = min(max(float(value), low), high)
        chosen = self.chosen.value
        self._placed[chosen] = replace(self._placed[chosen], **changes)
        self._fill()

    def draw(self) -> None:
        """Ask the models, if anything has changed for them, and draw the picture."""
        self._due = False
        begin = time.perf_counter()
        with one_thread():
            asked = (tuple(self.placements()), self.photo.value)
            self._asking = 0.0  # seconds
            if asked != self._answered:
                self.scene = compose(_background(self.photo.value), self.placements(), _LIGHT)
                begin_asking = time.perf_counter()
                self.answers = ask(self._models, self.scene.image)
                self._asking = time.perf_counter() - begin_asking
                self._answered = asked
            seen = [one == self._placed[self.chosen.value] for one in self.scene.placements]
            told = judge(self.scene, self.answers)
            whole = draw(self.scene, self.answers, told, seen.index(True) if any(seen) else None)
            buffer = io.BytesIO()
            whole.save(buffer, format="JPEG", quality=88)
        self.picture.value = buffer.getvalue()
        seconds = time.perf_counter() - begin
        self.message.value = (
            f"{_in_words(self.answers)}<br>{seconds * 1000:.0f} ms for this picture, "
            f"{self._asking * 1000:.0f} ms of it for the five models."
        )

    def _fill(self) -> None:
        """Show the chosen object's values in the controls."""
        one = self._placed[self.chosen.value]
        self._filling = True
        self.kind.value, self.style.value = one.name, one.style
        for part, slider in self.sliders.items():
            slider.value = getattr(one, part)
        self._filling = False

    def _edited(self, change: object = None) -> None:
        if not self._filling:
            values = {part: slider.value for part, slider in self.sliders.items()}
            self.place(name=self.kind.value, style=self.style.value, **values)
            self._request()

    def _choose(self, change: object = None) -> None:
        self.count.value = max(self.count.value, self.chosen.value + 1)
        self._fill()
        self._request()

    def _request(self, change: object = None) -> None:
        """Draw soon, once for all changes that come until then; at once where no event loop
        runs.
        """
        if self._due:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.draw()
        else:
            self._due = True
            loop.call_later(_PATIENCE, self.draw)

    def _listen(self) -> widgets.Widget | None:
        """Watch the mouse on the picture, where ipyevents is installed."""
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
        """Do what the mouse did on the picture: press and move drags an object, the wheel scales or
        turns it.

        Args:
            event: as ipyevents sends it: ``type``, ``dataX`` and ``dataY`` in pixels of the image,
                ``buttons``, ``shiftKey``, ``deltaX`` and ``deltaY``.
        """
        kind, x, y = event["type"], event["dataX"], event["dataY"]
        if kind == "mousedown" and (spot := place_in_scene(x, y)):
            self._take(*spot)
            one = self._placed[self.chosen.value]
            self._grip = (x, y, one.x, one.y)
        elif kind == "mousemove" and self._grip and event.get("buttons", 1):
            from_x, from_y, was_x, was_y = self._grip
            self.place(x=was_x + (x - from_x) / TILE, y=was_y + (y - from_y) / TILE)
            self._request()
        elif kind == "wheel":
            # with Shift, browsers report a sideways turn
            turn = event.get("deltaY") or event.get("deltaX") or 0
            step = 1 if turn < 0 else -1 if turn > 0 else 0
            one = self._placed[self.chosen.value]
            if event.get("shiftKey"):
                self.place(angle=(one.angle + 10 * step + 180) % 360 - 180)
            else:
                self.place(size=one.size * 1.06**step)
            self._request()
        else:
            self._grip = None

    def _take(self, x: float, y: float) -> None:
        """Choose the object that is seen at a place, if there is one."""
        height, width = self.scene.image.shape[-2:]
        hit = self.scene.masks[:, min(int(y * height), height - 1), min(int(x * width), width - 1)]
        if hit.any():
            taken = self.scene.placements[int(hit.nonzero()[0])]
            self.chosen.value = next(
                number for number, one in enumerate(self._placed) if one == taken
            )


def scene_editor(models: Mapping[str, nn.Module]) -> None:
    """Show the scene editor; the argument is that of :class:`SceneEditor`. While grading nothing is
    shown.
    """
    if mode() == "grading":
        return
    editor = SceneEditor(models)
    kinds = captions.listed([one.name for one in editor.placements()])
    alt = f"Six pictures of one scene with {kinds}: the scene as it is, and the answers of the five models drawn on it."
    caption = "One scene and the five answers to it; below each answer, how good it is by its level's own measure."
    show_widget(editor, editor.picture.value, alt, caption, mime="image/jpeg")


def redraw_seconds(repeats: int = 31, models: Mapping[str, nn.Module] | None = None) -> float:
    """The median seconds from a moved object to the new picture, all five models asked, on one CPU
    thread.

    Args:
        repeats: how many pictures are timed, after two to warm up.
        models: the shipped ones by default.
    """
    editor, seconds = SceneEditor(models or load_models()), []
    for turn in range(repeats + 2):
        begin = time.perf_counter()
        editor.place(x=0.3 + 0.4 * turn / (repeats + 1))
        editor.draw()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[2:])


def _dropdown(word: str, words: str, options: list, value: Any) -> widgets.Dropdown:
    return named(widgets.Dropdown(options=options, value=value, description=word), words)


@lru_cache(8)
def _background(photo: str) -> Float[np.ndarray, "height width 3"]:
    return photos.photo(photo, SIZE).numpy().transpose(1, 2, 0)


def _in_words(answers: Answers) -> str:
    """The five answers for whoever can't see the picture."""
    located = f"a box around {name(answers.located.label)} ({answers.located.probability:.0%})"
    found = ", ".join(name(label) for label in answers.detections.labels.tolist()) or "nothing"
    pixels = answers.kinds.flatten().bincount().tolist()
    kinds = ", ".join(
        f"{name(kind - 1)} {count / sum(pixels):.0%}"
        for kind, count in enumerate(pixels)
        if kind and count
    )
    masks = ", ".join(name(label) for label in answers.instances.labels.tolist()) or "nothing"
    return (
        f"1: {name(answers.label)} ({answers.probability:.0%}). 2: {located}. 3: boxes around {found}. "
        f"4: of the pixels {kinds or 'nothing'}. 5: masks of {masks}."
    )
