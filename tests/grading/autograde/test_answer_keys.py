"""What only the instructor's side holds, read from what was built; the secret, and the seeds made
of it.
"""

import stat

import numpy as np
import pytest
from course_grading.autograde import answer_keys


def test_the_key_of_a_lesson(key):
    letters, number = key.questions
    assert (letters.name, letters.right, letters.wrong, letters.points) == (
        "which-letters",
        "AC",
        "BD",
        3,
    )
    assert (number.right, number.wrong) == ("B", "AC"[:1])
    (double,) = key.exercises
    assert (double.name, double.function, double.points, double.compares) == (
        "double",
        "double",
        2,
        "tolerance",
    )
    assert "score_cases" not in double.hidden and key.modules == ("numpy",)


def test_the_reference_and_the_cases_run_without_the_rest_of_the_lesson(key):
    prepared = answer_keys.prepare(key.exercises[0])
    first, *others = prepared.cases(np.random.default_rng(0))
    assert prepared.reference(first).tolist() == (2 * first).tolist() and len(others) == 3
    assert prepared.tolerance == 1e-9 and prepared.agrees is None


def test_the_digest_tells_one_key_from_another(key):
    from dataclasses import replace

    assert key.digest == replace(key).digest != replace(key, release=key.release + " ").digest


def test_a_missing_notebook_is_said(workspace):
    (workspace / "source" / "01_sample" / "01_sample.ipynb").unlink()
    with pytest.raises(answer_keys.KeyMissing, match="course build"):
        answer_keys.read(workspace, "01_sample")


def test_the_secret_is_made_once_and_is_for_its_owner_only(tmp_path):
    made = answer_keys.secret(tmp_path)
    assert len(made) == 32 and answer_keys.secret(tmp_path) == made
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_seeds_differ_by_student_and_secret_and_stay(key):
    one = answer_keys.seeds(b"a", key, "ada")
    assert one == answer_keys.seeds(b"a", key, "ada") and one.keys() == {"double"}
    assert (
        len(
            {
                one["double"],
                *(
                    answer_keys.seeds(*other)["double"]
                    for other in ((b"b", key, "ada"), (b"a", key, "bob"))
                ),
            }
        )
        == 3
    )
    assert one == {"double": 132660273877798690867443811694399877904}, (
        "a run next year has the same hidden inputs"
    )
