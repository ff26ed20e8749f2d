"""Identify a notebook's lesson, and read the facts that are needed before grading."""

import contextlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from course_grading.collect import notebooks
from course_grading.collect.rebuild import item_names


@dataclass(frozen=True)
class ReleasedLesson:
    """A released lesson: the names of its questions and exercises, and the sources of its cells as
    they were handed out.
    """

    items: frozenset[str]
    sources: frozenset[str] = frozenset()

    def is_untouched(self, sources: Collection[str]) -> bool:
        """Whether each of these code cells is blank or as released."""
        return bool(self.sources) and all(
            not source.strip() or source.strip() in self.sources for source in sources
        )


# By name; if a lesson's cells are not known, a set of its item names.
Lessons = Collection[str] | Mapping[str, "set[str] | ReleasedLesson"]


def released_lessons(workspace: Path) -> dict[str, ReleasedLesson]:
    """The released lessons of a workspace."""
    lessons = {}
    for path in sorted(workspace.glob("release/*/*.ipynb")):
        notebook = notebooks.read(path)
        sources = frozenset(cell.source.strip() for cell in notebook.cells)
        lessons[path.parent.name] = ReleasedLesson(frozenset(item_names(notebook)), sources)
    return lessons


@dataclass(frozen=True)
class NotebookFacts:
    """Facts from a submitted notebook, read once.

    ``error`` says why it can't be read. ``last_run`` is in seconds since 1970, from the metadata
    that JupyterLab and Colab write into cells.
    """

    error: str = ""
    recorded_lesson: str = ""
    items: frozenset[str] = frozenset()
    code: tuple[str, ...] = field(default=(), repr=False)
    last_run: float | None = None


def read_facts(path: Path) -> NotebookFacts:
    """Read a notebook; errors are returned in the result."""
    try:
        notebook = notebooks.read(path)
        metadata = notebook.metadata.get("course")
        recorded = metadata.get("lesson") if isinstance(metadata, dict) else None
        return NotebookFacts(
            recorded_lesson=recorded if isinstance(recorded, str) else "",
            items=frozenset(item_names(notebook)),
            code=tuple(cell.source for cell in notebook.cells if cell.cell_type == "code"),
            last_run=_last_run(notebook),
        )
    except (OSError, ValueError, RecursionError) as error:
        return NotebookFacts(error=str(error) or type(error).__name__)


def _last_run(notebook) -> float | None:
    times = []
    for cell in notebook.cells:
        jupyterlab = cell.metadata.get("execution")
        colab = cell.metadata.get("executionInfo")
        for text in jupyterlab.values() if isinstance(jupyterlab, dict) else ():
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                times.append(datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp())
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            times.append(float(colab["timestamp"]) / 1000)
    return max(filter(math.isfinite, times), default=None)


def identify_lesson(facts: NotebookFacts, lessons: Lessons) -> str | None:
    """The lesson of a notebook whose file name does not name it: from the metadata that the build
    wrote, or from its questions and exercises.
    """
    if facts.recorded_lesson in lessons:
        return facts.recorded_lesson
    if not isinstance(lessons, Mapping):
        return None
    common = {lesson: len(facts.items & set(items_of(about))) for lesson, about in lessons.items()}
    max_count = max(common.values(), default=0)
    best = [lesson for lesson, count in common.items() if count and count == max_count]
    return best[0] if len(best) == 1 else None


def items_of(about: "set[str] | ReleasedLesson") -> Collection[str]:
    """The names of a lesson's questions and exercises."""
    return about.items if isinstance(about, ReleasedLesson) else about


def is_untouched(facts: NotebookFacts, lesson: str, lessons: Lessons) -> bool:
    """Whether a notebook contains no work for a lesson: it has none of the lesson's questions and
    exercises, or its code cells are as released.
    """
    if not isinstance(lessons, Mapping):
        return False
    about = lessons[lesson]
    if facts.items.isdisjoint(items_of(about)):
        return True
    return isinstance(about, ReleasedLesson) and about.is_untouched(facts.code)
