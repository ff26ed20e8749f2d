"""The lessons of the course, each read once per test process."""

import functools
from pathlib import Path

from course_grading.assign import source
from course_grading.assign.lesson import Lesson

from tests.support.checkout import ROOT

# Reading a lesson checks hundreds of variants of its questions.
read_once = functools.cache(source.read_lesson)


def course_lesson(name: str) -> Lesson:
    """A lesson of ``solutions/``; a test must not change it."""
    path: Path = ROOT / "solutions" / f"{name}.md"
    return read_once(path)
