"""Links to an item or a submission in formgrader."""

from course_grading.gradebook import formgrader

from tests.support.gradebook import NAME


def test_link_has_the_index_of_the_items_comment_field(built):
    """Formgrader numbers its fields: first the link to the next submission, then a comment, points
    and extra credit for each item.
    """
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
