"""Call a student's function: the order of the calls, their repetition, and their outcomes.

A score must not depend on the position of a call, on earlier calls, or on whether a function can
tell hidden cases from visible ones. So the hidden cases and the calls of the visible check are
shuffled together, and every hidden case is called again afterwards, in another random order: a case
passes only if it is right each time. Where a fork is cheap, each case is also called in a fresh
process of its own.

Forking is cheap without torch: the exercises of the sample lesson take 0.07 s of CPU time for each
submission, and 0.02 s without these forks. It is expensive once torch is loaded: lesson 2 would
take 2.2 s instead of 0.36 s (docs/measured.md). There only the second call detects a result that
depends on earlier calls. Neither detects state kept in files, but such state gains nothing: the
code can't tell which calls are the hidden ones.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from course_grading.sandbox.guest import serialize
from course_grading.sandbox.host import Job, JobResult, Sandbox
from course_grading.sandbox.limits import MAX_TIMEOUTS, SUBMISSION_TIME_LIMIT

# a call's output line, unparsed; or how its process ended without one
Outcome = bytes | str


@dataclass
class TimeBudget:
    """The remaining time of one submission."""

    seconds: float = SUBMISSION_TIME_LIMIT

    def spend(self, seconds: float) -> bool:
        """Subtract seconds; return whether the budget is exhausted."""
        self.seconds -= seconds
        return self.seconds <= 0


@dataclass(frozen=True)
class NotRun:
    """No call was made: ``header`` is the line in which the guest program says why, ``status`` how
    the job ended.
    """

    header: dict[str, Any]
    status: str


@dataclass(frozen=True)
class CallOutcomes:
    """The outcomes of one call, made several times.

    ``alone``: in a process of its own; None where a fork is not cheap. ``first`` and ``again``: in
    the shared process; ``again`` is None for a call of the visible check, and if the job ended
    before it.
    """

    alone: Outcome | None
    first: Outcome
    again: Outcome | None

    @property
    def in_order(self) -> list[Outcome]:
        """The outcomes that are not None, in the order of the calls."""
        return [outcome for outcome in (self.alone, self.first, self.again) if outcome is not None]


@dataclass(frozen=True)
class _Numbers:
    """Numbers the repetitions of every call, to find their lines in the output."""

    calls: int
    hidden: int  # the first ``hidden`` calls are hidden cases, the others the visible check's

    def first(self, call: int) -> int:
        return call

    def again(self, call: int) -> int:
        return self.calls + call

    def alone(self, call: int) -> int:
        return 2 * self.calls + call

    def call(self, number: int) -> int:
        return number % self.calls

    def is_again(self, number: int) -> bool:
        return number // self.calls == 1


class _Attempts:
    """The state between jobs: the outcome of each number, and the calls that have failed for good,
    which are not made again.
    """

    def __init__(self, numbers: _Numbers):
        self.numbers = numbers
        self.outcomes: dict[int, Outcome] = {}
        self.failed: dict[int, str] = {}
        self._timeouts = 0

    def left(self, numbers: Iterable[int]) -> list[int]:
        """The numbers whose calls have not failed."""
        return [number for number in numbers if self.numbers.call(number) not in self.failed]

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """The numbers without an outcome."""
        return [number for number in numbers if number not in self.outcomes]

    def is_finished(
        self, result: JobResult, alone: Sequence[int], together: Sequence[int], too_slow: bool
    ) -> bool:
        """Record which calls failed in a job that made these calls.

        Returns:
            Whether no further job is needed.
        """
        order = [*alone, *together]
        reached = max((i for i, number in enumerate(order) if number in self.outcomes), default=-1)
        for number in self.missing(alone if result.status == "done" else order[: reached + 1]):
            if number in alone:  # its own process ended, and the job went on
                self._fail(number, "done")
        interrupted = self.missing(together)
        if interrupted and not self.left(interrupted[:1]):
            return False  # interrupted by a call that has just failed alone
        missing = self.left(self.missing(order))
        if not missing:
            return True
        if result.status != "done" and all(map(self.numbers.is_again, missing)):
            return True
        # each remaining call might time out, too
        self._timeouts += result.status == "time"
        is_last = too_slow or self._timeouts >= MAX_TIMEOUTS
        failing = missing if is_last else missing[:1]
        if is_last and not too_slow and missing[0] in alone:
            # the visible check is not made yet, and determines the student's message
            failing = [
                number for number in missing if self.numbers.call(number) < self.numbers.hidden
            ]
        for number in failing:
            self._fail(number, "time" if too_slow else result.status)
        return is_last and failing == missing

    def _fail(self, number: int, outcome: str) -> None:
        self.outcomes[number] = outcome
        self.failed[self.numbers.call(number)] = outcome

    def of(self, call: int, is_hidden: bool) -> CallOutcomes:
        """The outcomes of a call."""
        failure = self.failed.get(call)
        again = self.outcomes.get(self.numbers.again(call), failure)
        return CallOutcomes(
            self.outcomes.get(self.numbers.alone(call)),
            self.outcomes.get(self.numbers.first(call), failure or "time"),
            again if is_hidden else None,
        )


def make_calls(
    job: Job, hidden: int, seed: int, sandbox: Sandbox, budget: TimeBudget
) -> list[CallOutcomes] | NotRun:
    """Make the calls ``job.cases``, numbered from 0; the first ``hidden`` ones are hidden cases.

    A call that ends the process, or exceeds a limit, fails, and all others are made again in a new
    process: all of them, not only the remaining ones, because otherwise a function that is right
    only in the first calls of a process could restart it, and be right in many calls.

    Returns:
        The outcomes of each call, or why none was made.
    """
    arguments = [pickled for _, pickled in job.cases]
    numbers = _Numbers(len(arguments), hidden)
    together, alone = _make_orders(numbers, seed)
    attempts = _Attempts(numbers)
    while True:
        together, alone = attempts.left(together), attempts.missing(attempts.left(alone))
        is_first = not attempts.failed
        result = sandbox.run(
            replace(
                job,
                cases=[(number, arguments[numbers.call(number)]) for number in together],
                alone=[(number, arguments[numbers.call(number)]) for number in alone],
            ),
            max(1.0, budget.seconds),
        )
        alone = alone if result.alone else []
        written = serialize.find_lines(result.output, {*together, *alone})
        if is_first and (reason := _not_run(job, written.header, result)):
            return reason
        for number in together:  # outcomes of an earlier process no longer count
            attempts.outcomes.pop(number, None)
        attempts.outcomes |= written.cases
        too_slow = budget.spend(result.seconds) or result.seconds > sandbox.limits.wall_seconds
        if attempts.is_finished(result, alone, together, too_slow):
            return [attempts.of(call, call < hidden) for call in range(numbers.calls)]


def _make_orders(numbers: _Numbers, seed: int) -> tuple[list[int], list[int]]:
    """The shuffled numbers of the calls in the shared process, and of those in their own."""
    rng = random.Random(seed)  # the seed is a secret
    first, again, alone = (
        [*range(count)] for count in (numbers.calls, numbers.hidden, numbers.hidden)
    )
    for order in (first, again, alone):
        rng.shuffle(order)
    together = [*map(numbers.first, first), *map(numbers.again, again)]
    return together, [*map(numbers.alone, alone)]


def _not_run(job: Job, line: bytes, result: JobResult) -> NotRun | None:
    """Why no call was made; None if calls were made."""
    header = serialize.parse_line(line)
    is_not_run = header != {"check": None} if job.check else "stopped" in header
    return NotRun(header, result.status) if is_not_run else None
