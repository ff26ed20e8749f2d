"""The links into formgrader."""

from course_grading.gradebook import formgrader

from tests.support.gradebook import NAME


def test_an_item_is_found_by_its_place_among_formgraders_fields(built):
    """Of each question its comment comes first, then its points and its extra credit."""
    positions = formgrader.read_positions(built / "grading" / "workspace", NAME)
    assert positions == {"which-letters": 1, "how-many": 4, "double": 7}
    assert formgrader.link("4711", "how-many", positions) == (
        "http://localhost:8888/formgrader/submissions/4711/?index=4#how-many"
    )


def test_without_a_release_a_link_opens_the_submission(tmp_path):
    assert formgrader.read_positions(tmp_path, "01_sample") == {}
    assert formgrader.link("4711", "q", {}) == (
        "http://localhost:8888/formgrader/submissions/4711/#q"
    )
