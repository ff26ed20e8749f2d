"""Group submissions: the file that one member submits counts for all members.

Groups come from the column ``group`` of the class list, and from Gradescope, which lists several
submitters for one submission. If members of a group submitted different files, all are refused,
because only the instructor can decide which one counts.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from course_grading.collect.problems import Problem
from course_grading.collect.submissions import Submission

MAX_MEMBERS = 8  # of a group that submits together; larger ones are tutorial groups


@dataclass(frozen=True)
class Group:
    """A group: its name, and the members' ids in the gradebook with their names."""

    name: str
    members: Mapping[str, str]


@dataclass(frozen=True)
class Earlier:
    """The origin of a member's stored result: the file's SHA-256, and who handed it in."""

    sha256: str
    submitter: str


# (student, lesson) -> the origin of the stored result, if there is one
FindEarlier = Callable[[str, str], Earlier | None]


def share(
    found: Sequence[Submission],
    groups: Iterable[Group],
    find_earlier: FindEarlier,
    workspace: Path,
) -> tuple[list[Submission], list[Problem]]:
    """Copy each group's submission to all its members.

    Args:
        found: the submissions that were found.
        groups: the groups of the class.
        find_earlier: see :data:`FindEarlier`.
        workspace: nbgrader's course directory, in whose ``submitted/`` a run writes a copy for each
            member.

    Returns:
        The submissions, including the copies for members; and problems for refused submissions.
    """
    submissions = {(s.student, s.lesson): s for s in _name_submitters(found)}
    problems: list[Problem] = []
    for group in groups:
        for lesson in sorted(
            {lesson for student, lesson in submissions if student in group.members}
        ):
            own = {
                student: submissions.pop((student, lesson))
                for student in group.members
                if (student, lesson) in submissions
            }
            own = _without_copies(own, lesson, find_earlier, workspace)
            digests = {student: _digest(submission) for student, submission in own.items()}
            reason = _conflict(group, lesson, own, digests, find_earlier, workspace)
            if reason:
                problems += [Problem(s.student, lesson, s.name, reason) for s in own.values()]
                continue
            for submission in _for_all(group, own, workspace):
                submissions[submission.student, lesson] = submission
    return list(submissions.values()), problems


def notes(submissions: Collection[Submission]) -> list[Problem]:
    """A remark for each student whose file another member submitted.

    A member who submitted an identical file gets none.
    """
    paths = {(s.student, s.lesson): s.path for s in submissions}
    return [
        Problem(s.student, s.lesson, s.name, f"submitted by {s.handed_in_by}")
        for s in submissions
        if s.submitter != s.student and s.path == paths.get((s.submitter, s.lesson))
    ]


def _name_submitters(found: Iterable[Submission]) -> list[Submission]:
    """Set the submitter of files that the platform lists for several students."""
    together: dict[tuple[str, str], list[Submission]] = defaultdict(list)
    for submission in found:
        together[submission.name, submission.lesson].append(submission)
    named = []
    for several in together.values():
        if len(several) > 1:
            students = sorted(submission.student for submission in several)
            text = f"{_listed(students)} together"
            several = [replace(s, submitter=students[0], handed_in_by=text) for s in several]
        named += several
    return named


def _without_copies(
    own: dict[str, Submission], lesson: str, find_earlier: FindEarlier, workspace: Path
) -> dict[str, Submission]:
    """Drop the copies that an earlier run wrote into ``submitted/`` for other members."""
    place = workspace.resolve() / "submitted"
    kept = {}
    for student, submission in own.items():
        earlier = find_earlier(student, lesson)
        is_copy = (
            earlier is not None
            and earlier.submitter != student
            and earlier.submitter in own
            and submission.path.is_relative_to(place)
        )
        if not is_copy:
            kept[student] = submission
    return kept


def _digest(submission: Submission) -> str:
    try:
        return hashlib.sha256(submission.read()).hexdigest()
    except (OSError, ValueError):  # grading reports the problem
        return f"unreadable: {submission.name}"


def _conflict(
    group: Group,
    lesson: str,
    own: Mapping[str, Submission],
    digests: Mapping[str, str],
    find_earlier: FindEarlier,
    workspace: Path,
) -> str:
    """Why a group's submissions are refused; empty if they are not."""
    fix = (
        f"If the group submits once, {{}}. If they work alone, empty their column group in "
        f"{workspace / 'roster.csv'}. An earlier grade stays until then"
    )
    if len(set(digests.values())) > 1:
        names = _listed([f"{student} ({s.name})" for student, s in sorted(own.items())])
        return (
            f"{names} are in one group, {group.name!r}, and submitted different files: it is "
            f"unclear which one counts. {fix.format('remove the others and grade again')}"
        )
    for student in sorted(group.members.keys() - own.keys()):
        earlier = find_earlier(student, lesson)
        if earlier and earlier.submitter not in own and earlier.sha256 not in digests.values():
            place = workspace / "originals" / earlier.submitter / lesson
            names = _listed([f"{who} ({s.name})" for who, s in sorted(own.items())])
            return (
                f"{names} and {earlier.submitter}, who was graded in an earlier run, are in one "
                f"group, {group.name!r}, and submitted different files: it is unclear which one "
                f"counts. {fix.format(f'move {place} away to let the new one count')}"
            )
    return ""


def _for_all(group: Group, own: Mapping[str, Submission], workspace: Path) -> Iterable[Submission]:
    """The submission of each member."""
    if not own or (own.keys() == group.members.keys() and all(s.submitter for s in own.values())):
        return own.values()  # the platform lists all of them
    # of several members with the same file, the earliest: in the students' favour
    source = min(own.values(), key=_order)
    names = _listed([group.members[student] or student for student in sorted(own)])
    everybody = _listed([name or student for student, name in group.members.items()])
    text = f"{names} for the group {group.name} ({everybody})"
    content = None
    if source.path.is_relative_to(workspace.resolve() / "submitted"):
        with suppress(OSError, ValueError):
            content = source.read()  # read now, because recording replaces the file
    own = {
        student: own.get(student) or replace(source, student=student, content=content)
        for student in group.members
    }
    return [replace(s, submitter=source.student, handed_in_by=text) for s in own.values()]


def _order(submission: Submission) -> tuple[bool, float, str]:
    time = submission.handed_in.time if submission.handed_in else None
    return time is None, time.timestamp() if time else 0.0, submission.student


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
