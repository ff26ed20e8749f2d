"""Replies to regrade requests: read from overrides.toml and shown on the next feedback page."""

import nbformat
import pytest
from course_grading.errors import OverrideError
from course_grading.gradebook import overrides, replies
from course_grading.gradebook.changes import compare
from course_grading.gradebook.feedback_page import MAX_BYTES, render_page
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.gradebook.state import ItemState, SubmissionState, read

from tests.support.gradebook import record_scores

NAME = "01_sample"
FILE = f"""
[{NAME}.how-many]
points = "full"
reason = "Two options were right."

[replies.ada.{NAME}]
double = "A list is no array: use <np.asarray>."

[replies."bob@uni.example".{NAME}]
double = " Thank you. "
"""


def test_replies_are_read_from_the_overrides_file(tmp_path):
    assert replies.read(tmp_path / "workspace") == {}
    (tmp_path / "overrides.toml").write_text(FILE)
    assert replies.read(tmp_path / "workspace") == {
        ("ada", NAME): {"double": "A list is no array: use <np.asarray>."},
        ("bob@uni.example", NAME): {"double": "Thank you."},
    }
    assert overrides.read(tmp_path / "workspace").keys() == {NAME}


@pytest.mark.parametrize(
    "text",
    [
        "replies = 3",
        "[replies]\nada = 'yes'",
        f"[replies.ada]\n{NAME} = 'yes'",
        f"[replies.ada.{NAME}]\ndouble = 3",
        f"[replies.ada.{NAME}]\ndouble = ''",
    ],
)
def test_error_message_names_the_fix(tmp_path, text):
    (tmp_path / "overrides.toml").write_text(text)
    with pytest.raises(OverrideError, match=r"a heading \[replies.STUDENT.NN_lesson\]"):
        replies.read(tmp_path / "workspace")


def test_reply_changes_the_page_but_no_score(built):
    workspace = built / "grading" / "workspace"
    record_scores(workspace, {"ada": {"double": 1.0}, "bob": {}})
    with open_api(workspace).gradebook as book:
        before = read(book, workspace)
        (built / "grading" / "overrides.toml").write_text(FILE)
        after = read(book, workspace)
    assert before["ada", NAME].fingerprint != after["ada", NAME].fingerprint
    assert before["bob", NAME].fingerprint == after["bob", NAME].fingerprint
    (change,) = compare(before, after)
    assert (change.student, change.what, change.before, change.reason) == (
        "ada",
        "reply on double",
        "",
        "reply",
    )


@pytest.fixture
def page(key):
    """A function that renders a submission's page with the given reply on each item."""
    notebook = nbformat.reads(key.release, as_version=4)
    names = ("which-letters", "how-many", "double")

    def make(reply: str = "", student: str = "ada") -> str:
        item = ItemState(1.25, 2.0, 1.25, None, None, False, reply=reply)
        entry = SubmissionState(
            student,
            NAME,
            "",
            3.75,
            6.0,
            0.0,
            True,
            None,
            None,
            None,
            "",
            "",
            dict.fromkeys(names, item),
        )
        return render_page(notebook, entry)

    return make


def test_each_item_has_a_regrade_request_to_copy(page):
    text = page()
    assert text.count("<summary>Ask for a regrade of ") == 3
    assert (
        f"<pre>Regrade request\nStudent: ada\nLesson: {NAME}\nItem: how-many\n"
        "Points: 1.25 of 2.0\nReason: </pre>"
    ) in text
    assert "<script" not in text and len(text.encode()) <= MAX_BYTES
    assert "Reply:" not in text


def test_reply_is_escaped(page):
    text = page("Use <b>.", student="a<b")
    assert text.count("<strong>Reply:</strong> Use &lt;b&gt;.") == 3
    assert "Student: a&lt;b" in text
