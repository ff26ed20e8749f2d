"""What could not be graded stays known until the student's work is graded."""

from course_grading.collect.problems import Problem
from course_grading.gradebook import ungraded

BROKEN = Problem("ada", "01_sample", "ada/x.ipynb", "the file is empty")
SCRIPT = Problem("bob", "", "bob/x.py", "it is not a notebook")
STRANGER = Problem("", "", "x.ipynb", "no student is named")


def test_a_problem_is_kept_until_the_work_is_graded(tmp_path):
    assert ungraded.remember(tmp_path, [], set()) == []
    assert not (tmp_path / "ungraded.json").exists()
    assert ungraded.remember(tmp_path, [BROKEN, SCRIPT, STRANGER], set()) == [BROKEN, SCRIPT]
    assert ungraded.remember(tmp_path, [], {("eve", "01_sample")}) == [BROKEN, SCRIPT]
    newer = Problem("ada", "01_sample", "ada/x.ipynb", "it is a web page")
    assert ungraded.remember(tmp_path, [newer], set()) == [newer, SCRIPT]
    assert ungraded.remember(tmp_path, [], {("ada", "01_sample")}) == [SCRIPT]
    assert ungraded.remember(tmp_path, [], set()) == [SCRIPT]


def test_an_earlier_attempt_of_what_is_graded_is_settled(tmp_path):
    assert ungraded.remember(tmp_path, [BROKEN], {("ada", "01_sample")}) == []


def test_a_damaged_file_is_none(tmp_path):
    (tmp_path / "ungraded.json").write_text("[{")
    assert ungraded.remember(tmp_path, [BROKEN], set()) == [BROKEN]
