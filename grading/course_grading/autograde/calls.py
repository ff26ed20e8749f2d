"""The calls of a student's function: in which order and how often, and what came of each.

A score must not depend on where a call stands, on the calls before it, or on which calls a function
can tell apart. So the hidden cases and the calls of the visible check are mixed in a random order,
and every hidden case is called again after the others, in another random order: a case counts if it
is right each time. Where a fork is cheap, each case is also called in a process of its own, which
no other case has touched.

Forking is cheap without torch: the exercises of the sample lesson take 0.07 s of CPU time for each
submission, and 0.02 s without these forks. It is expensive once torch is loaded: lesson 2 would
take 2.2 s instead of 0.36 s (docs/measured.md). There only the second call detects a result that
depends on earlier calls. Neither detects state kept in files, which gains nothing: the code does
not know which calls are the hidden ones.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from course_grading.sandbox.guest import serialize
from course_grading.sandbox.host import Job, JobResult, Sandbox

# Calls of an exercise that may exceed a limit of time before its remaining ones count as too slow.
MAX_TIMEOUTS = 2
# Seconds in which the exercises of one submission may run, waiting for a free processor excluded.
MAX_SECONDS = 180.0

# a call's line, unparsed; or how its process ended without one
Outcome = bytes | str


@dataclass
class TimeBudget:
    """What is left of the time of one submission."""

    seconds: float = MAX_SECONDS

    def spend(self, seconds: float) -> bool:
        """Whether nothing is left after that."""
        self.seconds -= seconds
        return self.seconds <= 0


@dataclass(frozen=True)
class NotRun:
    """No call was made: how the job ended, and the line in which the guest program says why."""

    header: dict[str, Any]
    status: str


@dataclass(frozen=True)
class CallOutcomes:
    """What came of one call, made several times.

    ``alone``: in a process of its own; None where a fork is not cheap. ``first`` and ``again``:
    among the others; None for a call of the visible check, and if the time was over before.
    """

    alone: Outcome | None
    first: Outcome
    again: Outcome | None

    @property
    def in_order(self) -> list[Outcome]:
        """Those that there are, in the order in which they were made."""
        return [outcome for outcome in (self.alone, self.first, self.again) if outcome is not None]


@dataclass(frozen=True)
class _Numbers:
    """Every time that a call is made has a number of its own: which lines of the output are its."""

    calls: int
    hidden: int  # the first of the calls; the others are the visible check's

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
    """What is known so far: an outcome for each number, and which calls have failed for good and
    are not made again.
    """

    def __init__(self, numbers: _Numbers):
        self.numbers = numbers
        self.outcomes: dict[int, Outcome] = {}
        self.failed: dict[int, str] = {}
        self._timeouts = 0

    def left(self, numbers: Iterable[int]) -> list[int]:
        """Those of calls that have not failed."""
        return [number for number in numbers if self.numbers.call(number) not in self.failed]

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Those without an outcome."""
        return [number for number in numbers if number not in self.outcomes]

    def is_finished(
        self, result: JobResult, alone: Sequence[int], together: Sequence[int], too_slow: bool
    ) -> bool:
        """Find out what failed in a job that made these calls.

        Returns:
            Whether nothing is left to do.
        """
        order = [*alone, *together]
        reached = max((n for n, number in enumerate(order) if number in self.outcomes), default=-1)
        for number in self.missing(alone if result.status == "done" else order[: reached + 1]):
            if number in alone:  # its own process ended, and the job went on
                self._fail(number, "done")
        interrupted = self.missing(together)
        if interrupted and not self.left(interrupted[:1]):
            return False  # it was interrupted by a call that has just failed alone, too
        missing = self.left(self.missing(order))
        if not missing:
            return True
        if result.status != "done" and all(map(self.numbers.is_again, missing)):
            return True
        # each call may end its process after a long time
        self._timeouts += result.status == "time"
        is_last = too_slow or self._timeouts >= MAX_TIMEOUTS
        failing = missing if is_last else missing[:1]
        if is_last and not too_slow and missing[0] in alone:
            # the visible check is still to come, and decides what the student reads
            failing = [n for n in missing if self.numbers.call(n) < self.numbers.hidden]
        for number in failing:
            self._fail(number, "time" if too_slow else result.status)
        return is_last and failing == missing

    def _fail(self, number: int, outcome: str) -> None:
        self.outcomes[number] = outcome
        self.failed[self.numbers.call(number)] = outcome

    def of(self, call: int, is_hidden: bool) -> CallOutcomes:
        """What came of a call."""
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
    """Make the calls ``job.cases``, numbered from 0, of which the first are the ``hidden`` ones.

    A call that ends the process, or exceeds a limit, fails: all others are made again in a new
    process. Again, and not only those that are left: a function that is right in the first calls of
    a process would else be right in many of them.

    Returns:
        The outcomes of each call.
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
        for number in together:  # what an earlier process wrote counts no more
            attempts.outcomes.pop(number, None)
        attempts.outcomes |= written.cases
        too_slow = budget.spend(result.seconds) or result.seconds > sandbox.limits.wall_seconds
        if attempts.is_finished(result, alone, together, too_slow):
            return [attempts.of(call, call < hidden) for call in range(numbers.calls)]


def _make_orders(numbers: _Numbers, seed: int) -> tuple[list[int], list[int]]:
    """The numbers of the calls that share a process, and of those that have one of their own."""
    rng = random.Random(seed)  # the seed is a secret
    first, again, alone = (
        [*range(count)] for count in (numbers.calls, numbers.hidden, numbers.hidden)
    )
    for order in (first, again, alone):
        rng.shuffle(order)
    together = [*map(numbers.first, first), *map(numbers.again, again)]
    return together, [*map(numbers.alone, alone)]


def _not_run(job: Job, line: bytes, result: JobResult) -> NotRun | None:
    """Why nothing was run, if that is so."""
    header = serialize.parse_line(line)
    is_not_run = header != {"check": None} if job.check else "stopped" in header
    return NotRun(header, result.status) if is_not_run else None
