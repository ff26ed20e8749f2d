"""How much a lesson computes: one number for each way to run it."""

from typing import TypeVar

from course_lib import mode

Amount = TypeVar("Amount")


def effort(quick: Amount, full: Amount, grading: Amount) -> Amount:
    """The amount of work for the current ``COURSE_MODE``.

    Args:
        quick: on a laptop, in minutes: the default.
        full: as for the shipped networks.
        grading: as little as possible: only the exercises matter.
    """
    return {"quick": quick, "full": full, "grading": grading}[mode()]
