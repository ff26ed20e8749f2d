"""Worker processes: a submission that can't be graded is reported, and the others are graded."""

import time

from course_grading.autograde import workers
from course_grading.sandbox.limits import GRADING_TIME_LIMIT


def test_submission_that_exceeds_the_time_limit_is_reported(task, key, submission, monkeypatch):
    """The time limit ends a worker whose parser runs for hours, which Python cannot interrupt."""
    hangs, honest = task(submission(), "hangs"), task(submission(), "honest")
    attempts = []

    def until_broken(source, keys, count, ahead):
        """Like a pool whose process is ended by the time limit."""
        tasks = list(source)
        attempts.append([t.student for t in tasks])
        if hangs in tasks:
            clock.append(clock[-1] + GRADING_TIME_LIMIT)
            return [t for t in tasks if t is hangs]
        return []
        yield

    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[-1])
    monkeypatch.setattr(workers, "_until_broken", until_broken)
    (result,) = workers._grade_here([hangs, honest], {}, 1)
    assert (result.student, result.problem) == ("hangs", workers.TOO_LONG)
    assert attempts == [["hangs", "honest"], ["hangs"], []]


def test_worker_process_ends_at_the_time_limit(task, key, submission, monkeypatch):
    ended = []
    monkeypatch.setattr(
        workers.faulthandler,
        "dump_traceback_later",
        lambda seconds, exit, file: ended.append((seconds, exit)),
    )
    monkeypatch.setitem(workers._keys, key.lesson, key)
    assert workers._grade_in_worker(task(submission())).problem == ""
    assert ended == [(GRADING_TIME_LIMIT, True)]
