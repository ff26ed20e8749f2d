"""Reads the images and the accessible names of widgets."""

import io

import numpy as np
from PIL import Image


def read_picture(widget) -> np.ndarray:
    """The widget's image as integers of shape (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(widget.picture.value))).astype(int)


def tooltip(control) -> str | None:
    """The accessible name, whose trait has different names in ipywidgets 7 and 8."""
    return getattr(control, "tooltip", None) or getattr(control, "description_tooltip", None)


def assert_distinct_names(*controls) -> None:
    """Every control has a description and a unique accessible name."""
    assert all(control.description for control in controls)
    names = [tooltip(control) for control in controls]
    assert all(names) and len(set(names)) == len(controls)
