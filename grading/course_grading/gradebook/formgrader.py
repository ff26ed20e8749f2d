"""Where nbgrader's formgrader shows an item of a submission."""

from pathlib import Path

from course_grading.collect import notebooks

# where it is, started as docs/instructors.md says
ADDRESS = "http://localhost:8888/formgrader/submissions"


def read_positions(workspace: Path, lesson: str) -> dict[str, int]:
    """The number of each item's field for points among all fields of formgrader's page, by item;
    empty if the release can't be read.

    Formgrader's page has fields for points and extra credit for a cell that is graded, and then one
    for a comment for a cell in which a student answers.
    """
    try:
        release = notebooks.read(workspace / "release" / lesson / f"{lesson}.ipynb")
    except (OSError, ValueError):
        return {}
    positions: dict[str, int] = {}
    fields = 0
    for cell in release.cells:
        nbgrader = cell.metadata.get("nbgrader", {})
        if nbgrader.get("grade"):
            positions[nbgrader["grade_id"]] = fields
            fields += 2
        if nbgrader.get("solution"):
            fields += 1
    return positions


def link(notebook: str, item: str, positions: dict[str, int]) -> str:
    """The address of an item: formgrader's own ``index``, which it keeps for the next submission,
    and the field's id, to which a browser scrolls even where formgrader's MathJax is out of reach.

    Args:
        notebook: the id of nbgrader's SubmittedNotebook.
        item: its name.
        positions: of :func:`read_positions`.
    """
    index = f"?index={positions[item]}" if item in positions else ""
    return f"{ADDRESS}/{notebook}/{index}#{item}"
