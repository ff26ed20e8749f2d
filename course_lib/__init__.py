"""From Pixels to Stable Diffusion: what the lessons call.

Importing this package loads nothing heavy: torch and matplotlib come with the modules that need
them, so that a command line or a test collection starts at once.
"""

import os
from typing import Literal, cast

__version__ = "0.1.0"

Mode = Literal["grading", "quick", "full"]


def mode() -> Mode:
    """How a lesson runs, from the environment variable ``COURSE_MODE``.

    ``grading`` trains nothing and loads what was shipped; ``quick`` (the default) trains just long
    enough to show the effect; ``full`` trains everything, as the shipped checkpoints were.

    Raises:
        ValueError: if ``COURSE_MODE`` is set to anything else.
    """
    value = os.environ.get("COURSE_MODE", "quick")
    if value not in ("grading", "quick", "full"):
        raise ValueError(
            f"COURSE_MODE is {value!r}: set it to 'grading', 'quick' or 'full', or unset it."
        )
    return cast(Mode, value)
