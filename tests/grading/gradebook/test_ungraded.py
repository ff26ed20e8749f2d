"""A submission that could not be graded stays recorded until the student's work is graded."""

from course_grading.collect.problems import Problem
from course_grading.gradebook import ungraded

BROKEN = Problem("ada", "01_sample", "ada/x.ipynb", "the file is empty")
SCRIPT = Problem("bob", "", "bob/x.py", "it is not a notebook")
UNKNOWN_STUDENT = Problem("", "", "x.ipynb", "no student is named")


def test_problem_is_kept_until_the_work_is_graded(tmp_path):
    assert ungraded.remember(tmp_path, [], set()) == []
    assert not (tmp_path / "ungraded.json").exists()
    assert ungraded.remember(tmp_path, [BROKEN, SCRIPT, UNKNOWN_STUDENT], set()) == [BROKEN, SCRIPT]
    assert ungraded.remember(tmp_path, [], {("eve", "01_sample")}) == [BROKEN, SCRIPT]
    newer = Problem("ada", "01_sample", "ada/x.ipynb", "it is a web page")
    assert ungraded.remember(tmp_path, [newer], set()) == [newer, SCRIPT]
    assert ungraded.remember(tmp_path, [], {("ada", "01_sample")}) == [SCRIPT]
    assert ungraded.remember(tmp_path, [], set()) == [SCRIPT]


def test_problem_of_an_earlier_attempt_is_dropped_once_graded(tmp_path):
    assert ungraded.remember(tmp_path, [BROKEN], {("ada", "01_sample")}) == []


def test_damaged_file_counts_as_empty(tmp_path):
    (tmp_path / "ungraded.json").write_text("[{")
    assert ungraded.remember(tmp_path, [BROKEN], set()) == [BROKEN]
