"""Problems: files and submissions that were not graded, reported instead of a silent 0."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_ALIKE = 3  # similar problems of one student that are listed individually
MAX_KINDS = 10  # different reasons that are listed for one student


@dataclass(frozen=True)
class Problem:
    """A file or submission that was not graded, and why."""

    student: str
    lesson: str
    file: str
    reason: str


def summarise(problems: Iterable[Problem], submitter: Callable[[Problem], str]) -> list[Problem]:
    """The problems in order of first occurrence, with similar problems of one student counted after
    the first few: ten thousand broken files of one student must not hide the others' problems.

    Args:
        problems: all problems.
        submitter: a key for the student whose problem it is.
    """
    alike: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        kind = problem.reason.split(":")[0].split("(")[0][:60]
        alike.setdefault((submitter(problem), problem.lesson, kind), []).append(problem)
    kinds: Counter[str] = Counter()
    rest: dict[str, list[Problem]] = {}
    summary = []
    for (key, _, _), group in alike.items():
        kinds[key] += 1
        if kinds[key] > MAX_KINDS:
            rest.setdefault(key, []).extend(group)
            continue
        if len(group) <= MAX_ALIKE + 1:
            summary += group
            continue
        summary += group[:MAX_ALIKE]
        summary.append(_count(group[MAX_ALIKE:], group[0].reason))
    return summary + [_count(group, group[0].reason) for group in rest.values()]


def _count(problems: list[Problem], reason: str) -> Problem:
    first = problems[0]
    if len(problems) == 1:
        return first
    return Problem(
        first.student,
        first.lesson,
        first.file,
        f"and {len(problems) - 1:,} more files of the same student; the first of them: {reason}",
    )
