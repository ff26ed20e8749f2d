"""The ``course`` command in a separate process, on the small course."""

import os
import sys
from pathlib import Path

from tests.support.checkout import ROOT

_PROGRAM = """
import sys
from pathlib import Path
from course_lib.assets import paths

checkout = Path(sys.argv.pop(1))
paths.checkout = lambda: checkout
from course_lib.cli import main
main()
"""


def course_command(built: Path) -> list[str]:
    """The command line without its arguments."""
    return [sys.executable, "-c", _PROGRAM, str(built)]


def environment() -> dict[str, str]:
    """This process's environment, with the checkout's packages on ``PYTHONPATH``."""
    places = os.pathsep.join(map(str, (ROOT, ROOT / "grading", ROOT / "website")))
    return {**os.environ, "PYTHONPATH": places, "PYTHONUNBUFFERED": "1"}
