"""Read the sources of collected notebooks' cells by grade id."""

import json
from pathlib import Path


def read_sources(path: Path) -> dict[str, str]:
    """The sources of a notebook's graded and solution cells by grade id, for example
    ``"double-code"``.

    Raises:
        ValueError: if it can't be read.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = {
            cell["metadata"].get("nbgrader", {}).get("grade_id"): "".join(cell["source"])
            for cell in cells
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} can't be read as a notebook: {error!r}") from error
    return {grade_id: source for grade_id, source in sources.items() if grade_id}


def read_submitted_sources(
    workspace: Path, lesson: str
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The sources of each student's notebook of a lesson, and the students whose notebook can't be
    read.
    """
    sources = {}
    unreadable = []
    for path in sorted(workspace.glob(f"submitted/*/{lesson}/{lesson}.ipynb")):
        student = path.parts[-3]
        try:
            sources[student] = read_sources(path)
        except ValueError:
            unreadable.append(student)
    return sources, unreadable
