"""Where nbgrader's formgrader shows an item of a submission."""

from pathlib import Path

from course_grading.collect import notebooks

# where it is, started as docs/instructors.md says
ADDRESS = "http://localhost:8888/formgrader/submissions"


def read_places(workspace: Path, lesson: str) -> dict[str, str]:
    """Where each item is in formgrader's page of a submission, as the end of an address, by item;
    empty if the release can't be read.

    An address ends with formgrader's own ``index``, which it keeps for the next submission, and
    with a field's id, to which a browser scrolls even where formgrader's MathJax is out of reach.

    Formgrader's fields are a link to the next submission; points and extra credit for a cell that
    is graded; and a comment for a cell in which a student answers. The comment is the best one to
    show: the question is above it, and the points are below, one Tab away.
    """
    try:
        release = notebooks.read(workspace / "release" / lesson / f"{lesson}.ipynb")
    except (OSError, ValueError):
        return {}
    places: dict[str, str] = {}
    fields = 1
    for cell in release.cells:
        nbgrader = cell.metadata.get("nbgrader", {})
        if nbgrader.get("grade"):
            fields += 2
        if nbgrader.get("solution"):
            grade_id = nbgrader["grade_id"]
            places[grade_id.rpartition("-")[0]] = f"?index={fields}#{grade_id}-comment"
            fields += 1
    return places


def link(notebook: str, place: str = "") -> str:
    """The address of an item.

    Args:
        notebook: the id of nbgrader's SubmittedNotebook.
        place: of the item, from :func:`read_places`; without it, the page opens at its top.
    """
    return f"{ADDRESS}/{notebook}/{place}"
