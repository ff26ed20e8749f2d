"""Compare two states of the gradebook: what changed, for whom, and why."""

from collections.abc import Iterator
from dataclasses import dataclass

from course_grading.gradebook.state import State, SubmissionState


@dataclass(frozen=True)
class Change:
    """One change of one submission since the last run.

    ``what`` is ``score``, ``late``, ``due``, ``manual grading``, or an item's name after
    ``score of``, ``comment on`` or ``reply on``.
    """

    student: str
    lesson: str
    what: str
    before: str
    after: str
    reason: str


def compare(before: State, after: State) -> list[Change]:
    """The changes of every submission that was graded before, by lesson and student."""
    changes = []
    for student, lesson in sorted(before.keys() | after.keys(), key=lambda key: key[::-1]):
        old, new = before.get((student, lesson)), after.get((student, lesson))
        if old is None:
            continue
        if new is None:
            reason = "no longer in the gradebook"
            change = Change(student, lesson, "score", _number(old.score), "", reason)
            changes.append(change)
            continue
        reason = ", ".join(_reasons(old, new)) or "changed in the gradebook"
        for what, was, now in _differences(old, new):
            changes.append(Change(student, lesson, what, was, now, reason))
    return changes


def _differences(old: SubmissionState, new: SubmissionState) -> Iterator[tuple[str, str, str]]:
    pairs = [
        (
            "score",
            _number(old.score) + _of(old.max_score, new.max_score),
            _number(new.score) + _of(new.max_score, old.max_score),
        ),
        ("late", _yes(old.late), _yes(new.late)),
        ("due", old.due or "", new.due or ""),
        ("manual grading", _yes(old.waits), _yes(new.waits)),
    ]
    for name in sorted(old.items.keys() | new.items.keys()):
        was, now = old.items.get(name), new.items.get(name)
        pairs.append(
            (
                f"score of {name}",
                _number(was.score) if was else "",
                _number(now.score) if now else "",
            )
        )
        pairs.append((f"comment on {name}", was.comment if was else "", now.comment if now else ""))
        pairs.append((f"reply on {name}", was.reply if was else "", now.reply if now else ""))
    return (pair for pair in pairs if pair[1] != pair[2])


def _reasons(old: SubmissionState, new: SubmissionState) -> Iterator[str]:
    if old.extension != new.extension:
        yield "extension"
    elif old.due != new.due:
        yield "due date"
    if old.result != new.result:
        yield "answer key" if old.key != new.key else "new submission"
    names = old.items.keys() & new.items.keys()
    if any(old.items[name].manual_parts != new.items[name].manual_parts for name in names):
        yield "graded manually"
    if any(old.items[name].reply != new.items[name].reply for name in names):
        yield "reply"
    if old.max_score != new.max_score:
        yield "points of the lesson"
    same = ("due", "handed_in", "items", "max_score")
    if old.penalty != new.penalty and all(getattr(old, k) == getattr(new, k) for k in same):
        yield "penalty rule"


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _of(maximum: float, other: float) -> str:
    return f" of {_number(maximum)}" if maximum != other else ""


def _yes(value: bool) -> str:
    return "yes" if value else "no"
