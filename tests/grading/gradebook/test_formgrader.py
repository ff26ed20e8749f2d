"""The links into formgrader."""

from course_grading.gradebook import formgrader

from tests.support.gradebook import NAME


def test_an_item_is_found_by_its_place_among_formgraders_fields(built):
    """Each has a comment, points and extra credit; the link to the next submission is first."""
    places = formgrader.read_places(built / "grading" / "workspace", NAME)
    assert places == {
        "which-letters": "?index=1#which-letters-answer-comment",
        "how-many": "?index=4#how-many-answer-comment",
        "double": "?index=7#double-code-comment",
    }
    assert formgrader.link("4711", places["how-many"]) == (
        "http://localhost:8888/formgrader/submissions/4711/?index=4#how-many-answer-comment"
    )


def test_without_a_release_a_link_opens_the_submission(tmp_path):
    assert formgrader.read_places(tmp_path, NAME) == {}
    assert formgrader.link("4711") == "http://localhost:8888/formgrader/submissions/4711/"
