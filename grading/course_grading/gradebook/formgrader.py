"""Links to an item of a submission in nbgrader's formgrader."""

from pathlib import Path

from course_grading.collect import notebooks

# the URL of formgrader, if it is started as in docs/instructors.md
ADDRESS = "http://localhost:8888/formgrader/submissions"


def read_places(workspace: Path, lesson: str) -> dict[str, str]:
    """The place of each item on formgrader's page of a submission, as query and fragment of its
    URL, by item; empty if the release can't be read.

    The query is formgrader's ``index`` of an input field, which it keeps for the next submission.
    The fragment is the field's id, to which a browser scrolls even if formgrader can't load
    MathJax.

    Formgrader's fields are a link to the next submission; points and extra credit for each graded
    cell; and a comment for each solution cell. The links lead to the comment: the question is above
    it, and the points are below, one Tab away.
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
    """The URL of an item.

    Args:
        notebook: the id of nbgrader's SubmittedNotebook.
        place: the item's place from :func:`read_places`; empty for the top of the page.
    """
    return f"{ADDRESS}/{notebook}/{place}"
