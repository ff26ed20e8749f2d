"""From Pixels to Stable Diffusion: the library of the lessons.

Importing this package loads nothing heavy: torch and matplotlib are imported by the modules that
need them, so that the command line and the collection of tests start at once.
"""

import os
from typing import Literal, TypeVar, cast

from course_lib import renamed

__version__ = "0.1.0"

Mode = Literal["grading", "quick", "full"]
Value = TypeVar("Value")


def mode() -> Mode:
    """How a lesson runs, from the environment variable ``COURSE_MODE``.

    ``grading`` trains nothing and loads the shipped checkpoints; ``quick`` (the default) trains
    just long enough to show the effect; ``full`` trains everything as for the shipped checkpoints.

    Raises:
        ValueError: for any other value of ``COURSE_MODE``.
    """
    value = os.environ.get("COURSE_MODE", "quick")
    if value not in ("grading", "quick", "full"):
        raise ValueError(
            f"COURSE_MODE is {value!r}: set it to 'grading', 'quick' or 'full', or unset it."
        )
    return cast(Mode, value)


def by_mode(*, quick: Value, full: Value, grading: Value) -> Value:
    """The value for the current :func:`mode`: a size, a number of steps or a time limit.

    A lesson gives its sizes as ``by_mode(quick=400, full=4000, grading=20)``: few in the mode in
    which learners run it, more with ``COURSE_MODE=full``, almost none where it is only graded.
    """
    return {"grading": grading, "quick": quick, "full": full}[mode()]


renamed.install()
