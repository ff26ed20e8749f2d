"""From Pixels to Stable Diffusion: the library of the lessons.

Importing this package imports no heavy dependency: the modules that need torch or matplotlib import
them, so that the command line and test collection start at once.
"""

import os
from typing import Literal, TypeVar, cast

from course_lib import renamed

__version__ = "0.1.0"

Mode = Literal["grading", "quick", "full"]
Value = TypeVar("Value")


def mode() -> Mode:
    """The run mode of the lessons, from the environment variable ``COURSE_MODE``.

    ``grading`` trains for a few steps at most; ``quick`` (the default) trains just long enough to
    show the effect; ``full`` trains for hours.

    Raises:
        ValueError: for any other value of ``COURSE_MODE``.
    """
    value = os.environ.get("COURSE_MODE", "quick")
    if value not in ("grading", "quick", "full"):
        raise ValueError(
            f"COURSE_MODE is {value!r}: set it to 'grading', 'quick' or 'full', or unset it."
        )
    return cast(Mode, value)


def progress() -> None:
    """Show, below a notebook's cell, what you have done in each lesson and where to go on.

    Reads the saved notebooks of the working folder. Displays an HTML table, or text where HTML is
    not supported. ``course progress`` shows the same in a terminal.
    """
    from course_lib.learner import table

    table.show()


def by_mode(*, quick: Value, full: Value, grading: Value) -> Value:
    """The value for the current :func:`mode`: a size, a number of steps or a time limit.

    A lesson gives its sizes as ``by_mode(quick=400, full=4000, grading=20)``: few by default, more
    with ``COURSE_MODE=full``, almost none in grading.
    """
    return {"grading": grading, "quick": quick, "full": full}[mode()]


renamed.install()
