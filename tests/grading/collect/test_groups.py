"""One member's submission is graded for the whole group; conflicts need a decision."""

from datetime import UTC, datetime

import pytest
from course_grading.collect import groups
from course_grading.collect.groups import Earlier, Group
from course_grading.collect.submissions import Submission
from course_grading.collect.timestamps import SubmissionTime

NAME = "01_sample"
TEAM = Group("Team 3", {"ann": "Ann Lee", "bob": "", "cy": "Cy Young"})
TEXT = "for the group Team 3 (Ann Lee, bob and Cy Young)"


@pytest.fixture
def submit(tmp_path):
    """Writes a student's file; the result is the submission."""

    def write(student: str, content: str = "{}", hour: int | None = None, **about) -> Submission:
        path = tmp_path / "class" / student / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        time = None if hour is None else datetime(2026, 5, 1, hour, tzinfo=UTC)
        about.setdefault("name", f"{student}/{NAME}.ipynb")
        handed_in = SubmissionTime(time, "its name")
        return Submission(student, NAME, path, handed_in=handed_in, **about)

    return write


@pytest.fixture
def share(tmp_path):
    """Shares submissions in the team; returns the submissions by student, and the problems."""

    def run(*found: Submission, earlier: dict[str, Earlier] | None = None, teams=(TEAM,)):
        def find(student: str, lesson: str) -> Earlier | None:
            return (earlier or {}).get(student)

        shared, problems = groups.share(found, teams, find, tmp_path / "workspace")
        return {s.student: s for s in shared}, problems

    return run


def test_one_member_submits_for_all(submit, share):
    eve = submit("eve")
    shared, problems = share(submit("bob", hour=9), eve)
    assert problems == [] and shared.keys() == {"ann", "bob", "cy", "eve"}
    for student in TEAM.members:
        submission = shared[student]
        assert submission.submitter == "bob" and submission.name == f"bob/{NAME}.ipynb"
        assert submission.handed_in_by == f"bob {TEXT}"
        assert submission.timestamp == "2026-05-01 09:00:00.000000 UTC"
    assert shared["eve"] == eve
    assert [(note.student, note.reason) for note in groups.notes(shared.values())] == [
        ("ann", f"submitted by bob {TEXT}"),
        ("cy", f"submitted by bob {TEXT}"),
    ]


def test_identical_files_are_no_conflict_and_the_earliest_counts_for_the_rest(submit, share):
    shared, problems = share(submit("bob", hour=11), submit("cy", hour=10))
    assert problems == []
    assert {student: (s.submitter, s.handed_in.time.hour) for student, s in shared.items()} == {
        "ann": ("cy", 10),
        "bob": ("cy", 11),
        "cy": ("cy", 10),
    }
    assert {s.handed_in_by for s in shared.values()} == {f"bob and Cy Young {TEXT}"}
    assert [note.student for note in groups.notes(shared.values())] == ["ann"]


def test_two_different_files_are_a_conflict(submit, share):
    shared, problems = share(submit("bob"), submit("cy", "[]"), submit("eve", "[]"))
    assert shared.keys() == {"eve"}
    assert [problem.student for problem in problems] == ["bob", "cy"]
    for problem in problems:
        assert problem.reason.startswith(
            f"bob (bob/{NAME}.ipynb) and cy (cy/{NAME}.ipynb) are in one group, 'Team 3', and "
            "submitted different files: it is unclear which one counts."
        )
        assert "remove the others and grade again" in problem.reason
        assert "empty their column group in" in problem.reason


def test_file_that_differs_from_an_earlier_run_is_a_conflict(submit, share):
    earlier = {student: Earlier("0" * 64, "ann") for student in TEAM.members}
    shared, (problem,) = share(submit("bob"), earlier=earlier)
    assert shared == {} and "and ann, who was graded in an earlier run" in problem.reason
    assert "originals/ann/01_sample away" in problem.reason
    # a new attempt by the same member
    shared, problems = share(submit("ann"), earlier=earlier)
    assert problems == [] and shared.keys() == TEAM.members.keys()


def test_copies_written_by_a_run_are_not_submissions(submit, share, tmp_path):
    """A run writes a rebuilt notebook for each member into nbgrader's submitted/ tree."""
    place = tmp_path / "workspace" / "submitted"
    found = []
    for student, content in (("ann", "{}"), ("bob", "[]")):
        path = place / student / NAME / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(content)
        found.append(Submission(student, NAME, path, f"{student}/{NAME}.ipynb"))
    earlier = {student: Earlier("0" * 64, "bob") for student in TEAM.members}
    shared, problems = share(*found, earlier=earlier)
    assert problems == [] and {s.submitter for s in shared.values()} == {"bob"}
    found[1].path.write_text("replaced")
    assert shared["ann"].read() == b"[]"


def test_gradescope_submission_of_several_students(submit, share):
    """With the class's groups, and without."""
    pair = [
        submit("ann", name="submission_9"),
        submit("bob", name="submission_9"),
    ]
    shared, problems = share(*pair, teams=())
    assert problems == []
    assert {(s.student, s.submitter, s.handed_in_by) for s in shared.values()} == {
        ("ann", "ann", "ann and bob together"),
        ("bob", "ann", "ann and bob together"),
    }
    shared, problems = share(*pair, teams=[Group("Pair", {"ann": "", "bob": ""})])
    assert problems == [] and shared["bob"].handed_in_by == "ann and bob together"
    shared, problems = share(*pair)
    assert problems == [] and shared.keys() == TEAM.members.keys()
    assert shared["cy"].handed_in_by == f"Ann Lee and bob {TEXT}"


def test_unreadable_file_is_shared_and_reported_by_the_grader(submit, share):
    bob = submit("bob")
    bob.path.unlink()
    shared, problems = share(bob)
    assert problems == [] and shared.keys() == TEAM.members.keys()
