"""The answer key of a built lesson; the course's secret, and the seeds derived from it."""

import stat
from dataclasses import replace

import numpy as np
import pytest
from course_grading.autograde import answer_keys
from course_grading.errors import AnswerKeyError


def test_answer_key_of_a_lesson(key):
    letters, number = key.questions
    assert letters == answer_keys.QuestionKey("which-letters", right="AC", wrong="BD", points=3)
    assert (number.right, number.wrong) == ("B", "A")
    (double,) = key.exercises
    assert (double.name, double.function, double.points) == ("double", "double", 2)
    assert double.comparison == "tolerance" and "score_cases" not in double.hidden
    assert double.signature == ("double", "x") and double.former_signature == ()
    assert key.modules == ("numpy",)


@pytest.mark.parametrize(
    ("formerly", "signature"),
    [
        ("", ()),
        ("twice", ("twice", "x")),
        ("twice()", ("twice", "x")),
        ("twice(number)", ("twice", "number")),
        ("twice(number, times)", ("twice", "number", "times")),
    ],
)
def test_former_signatures(key, formerly, signature):
    assert replace(key.exercises[0], formerly=formerly).former_signature == signature


def test_reference_and_cases_run_without_the_rest_of_the_lesson(key):
    runner = answer_keys.prepare(key.exercises[0])
    first, *others = runner.cases(np.random.default_rng(0))
    assert runner.reference(first).tolist() == (2 * first).tolist() and len(others) == 3
    assert runner.tolerance == 1e-9 and runner.agrees is None


def test_digest_differs_between_keys(key):
    assert key.digest == replace(key).digest != replace(key, release=key.release + " ").digest


def test_missing_notebook_is_reported(workspace):
    (workspace / "source" / "01_sample" / "01_sample.ipynb").unlink()
    with pytest.raises(AnswerKeyError, match="course build"):
        answer_keys.read(workspace, "01_sample")


def test_secret_is_created_once_and_readable_only_by_its_owner(tmp_path):
    secret = answer_keys.course_secret(tmp_path)
    assert len(secret) == 32 and answer_keys.course_secret(tmp_path) == secret
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_seeds_differ_by_student_and_secret_and_are_stable(key):
    seeds = answer_keys.seeds(b"a", key, "ada")
    assert seeds == answer_keys.seeds(b"a", key, "ada") and seeds.keys() == {"double"}
    other_secret = answer_keys.seeds(b"b", key, "ada")["double"]
    other_student = answer_keys.seeds(b"a", key, "bob")["double"]
    assert len({seeds["double"], other_secret, other_student}) == 3
    assert seeds == {"double": 132660273877798690867443811694399877904}, (
        "a later run must have the same hidden inputs"
    )
