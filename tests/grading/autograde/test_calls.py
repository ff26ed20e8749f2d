"""How often and in which order a student's function is called, tested with a fake sandbox."""

import json
from collections.abc import Callable, Iterator

from course_grading.autograde.calls import (
    CallOutcomes,
    NotRun,
    TimeBudget,
    make_calls,
)
from course_grading.sandbox.host import Job, JobResult
from course_grading.sandbox.limits import MAX_TIMEOUTS, Limits

HIDDEN, VISIBLE = 4, 2
CALLS = HIDDEN + VISIBLE


class Ended(Exception):
    """The process ends, or the whole job ends with the given status."""


class FakeSandbox:
    """Makes the calls in this process, in the guest program's order.

    Args:
        make: creates the student's function with fresh state, as in a forked process.
        alone: whether each hidden case also runs in a forked process of its own.
        seconds: the reported time of each job.
    """

    limits = Limits(wall_seconds=60)

    def __init__(self, make: Callable[[], Callable[[int], int]], alone=True, seconds=1.0):
        self.make, self.alone, self.seconds = make, alone, seconds
        self.jobs: list[Job] = []

    def run(self, job: Job, wall_seconds: float) -> JobResult:
        self.jobs.append(job)
        lines = [b'{"check": null}\n']
        status = "done"
        try:
            for call in job.alone if self.alone else ():
                try:
                    lines += self._lines(self.make(), [call])
                except Ended as ended:
                    if ended.args != ("done",):
                        raise
            lines += self._lines(self.make(), job.cases, lines)
        except Ended as ended:
            (status,) = ended.args
        return JobResult(status, b"".join(lines), self.seconds, self.alone)

    def _lines(self, function, calls, into=None) -> Iterator[bytes]:
        made = [] if into is None else into
        for number, pickled in calls:
            output = function(int(pickled))
            made.append(json.dumps({"case": number, "output": output}).encode() + b"\n")
        return iter(()) if into is not None else iter(made)


def outcomes(sandbox: FakeSandbox, seed: int = 1, budget: float = 100.0) -> list[CallOutcomes]:
    cases = [(number, str(number).encode()) for number in range(CALLS)]
    job = Job([], "f", cases, check="check()")
    result = make_calls(job, HIDDEN, seed, sandbox, TimeBudget(budget))
    assert not isinstance(result, NotRun)
    return result


def values(made: CallOutcomes) -> list:
    """The outputs; for a call without output, how its process ended."""
    return [
        outcome if isinstance(outcome, str) else json.loads(outcome)["output"]
        for outcome in made.in_order
    ]


def double() -> Callable[[int], int]:
    return lambda x: 2 * x


def test_each_hidden_case_is_called_alone_and_twice_in_the_shared_process():
    sandbox = FakeSandbox(double)
    made = outcomes(sandbox)
    assert [values(each) for each in made] == [[0] * 3, [2] * 3, [4] * 3, [6] * 3, [8], [10]]
    (job,) = sandbox.jobs
    order = [int(pickled) for _, pickled in job.cases]
    assert sorted(order[:CALLS]) == [*range(CALLS)] and sorted(order[CALLS:]) == [*range(HIDDEN)]
    assert sorted(int(pickled) for _, pickled in job.alone) == [*range(HIDDEN)]
    numbers = [number for number, _ in [*job.cases, *job.alone]]
    assert len(set(numbers)) == len(numbers) == CALLS + 2 * HIDDEN


def test_order_depends_only_on_the_seed():
    def order(seed: int) -> list[int]:
        sandbox = FakeSandbox(double)
        outcomes(sandbox, seed)
        return [number for number, _ in [*sandbox.jobs[0].cases, *sandbox.jobs[0].alone]]

    assert order(1) == order(1) and len({tuple(order(seed)) for seed in range(9)}) == 9


def test_without_forks_each_hidden_case_is_called_twice():
    made = outcomes(FakeSandbox(double, alone=False))
    assert [values(each) for each in made] == [[0] * 2, [2] * 2, [4] * 2, [6] * 2, [8], [10]]


def counting(limit: int, end: str = "") -> Callable[[], Callable[[int], int]]:
    """A function that is correct in its first ``limit`` calls, and then wrong or ends."""

    def make() -> Callable[[int], int]:
        calls: list[int] = []

        def function(x: int) -> int:
            calls.append(x)
            if len(calls) > limit and end:
                raise Ended(end)
            return 2 * x if len(calls) <= limit else -1

        return function

    return make


def test_function_that_is_correct_only_at_first_is_detected():
    for limit in range(1, CALLS + HIDDEN):
        for alone in (True, False):
            made = outcomes(FakeSandbox(counting(limit), alone))
            assert any(
                values(each)[0] == 2 * call and -1 in values(each)
                for call, each in enumerate(made[:HIDDEN])
            ) or (limit < CALLS and any(values(each) == [-1, -1] for each in made[:HIDDEN]))


def ends_for(*inputs: int, status: str = "done") -> Callable[[], Callable[[int], int]]:
    def make() -> Callable[[int], int]:
        def function(x: int) -> int:
            if x in inputs:
                raise Ended(status)
            return 2 * x

        return function

    return make


def test_call_that_ends_its_process_fails_only_itself():
    for alone in (True, False):
        sandbox = FakeSandbox(ends_for(1, 3), alone)
        made = outcomes(sandbox)
        assert [set(values(each)) for each in made] == [{0}, {"done"}, {4}, {"done"}, {8}, {10}]
        assert len(sandbox.jobs) == (2 if alone else 3)


def test_after_two_timeouts_only_the_visible_check_still_runs():
    sandbox = FakeSandbox(ends_for(*range(HIDDEN), status="time"))
    made = outcomes(sandbox)
    assert [set(values(each)) for each in made] == [{"time"}] * HIDDEN + [{8}, {10}]
    assert len(sandbox.jobs) == MAX_TIMEOUTS + 1
    sandbox = FakeSandbox(ends_for(*range(CALLS), status="time"))
    assert {value for each in outcomes(sandbox) for value in values(each)} == {"time"}
    assert len(sandbox.jobs) == MAX_TIMEOUTS + 1


def test_total_time_of_all_jobs_is_limited():
    """A function that runs for a while and then ends its process cannot exceed the budget, although
    each case starts a new process.
    """
    sandbox = FakeSandbox(ends_for(0, 1, 2), alone=False, seconds=30.0)
    made = outcomes(sandbox, budget=50.0)
    assert len(sandbox.jobs) == 2
    assert "time" in {value for each in made for value in values(each)}


def test_limit_exceeded_in_the_repetition_fails_no_case():
    for status in ("time", "memory", "output"):
        sandbox = FakeSandbox(counting(CALLS, status), alone=False)
        made = outcomes(sandbox)
        assert [values(each) for each in made] == [[2 * call] for call in range(CALLS)]
        assert all(each.again is None for each in made) and len(sandbox.jobs) == 1


def test_job_without_calls_gives_the_reason():
    class Broken(FakeSandbox):
        def run(self, job: Job, wall_seconds: float) -> JobResult:
            return JobResult("done", b'{"stopped": true, "error": "NameError"}\n', 0.1)

    job = Job([], "f", [(0, b"0")], check="check()")
    result = make_calls(job, 1, 1, Broken(double), TimeBudget())
    assert result == NotRun({"stopped": True, "error": "NameError"}, "done")
