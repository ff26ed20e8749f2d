"""Worker processes: a submission that can't be graded is listed, and the others are graded."""

import time

from course_grading.autograde import workers


def test_a_submission_that_takes_too_long_is_listed(task, key, submission, monkeypatch):
    """The parser may need hours for hostile code, and nothing inside Python can interrupt it."""
    hangs, honest = task(submission(), "hangs"), task(submission(), "honest")
    attempts = []

    def until_broken(source, keys, count, ahead):
        """As a pool whose process is ended by the time limit."""
        tasks = list(source)
        attempts.append([t.student for t in tasks])
        if hangs in tasks:
            clock.append(clock[-1] + workers.MAX_SECONDS)
            return [t for t in tasks if t is hangs]
        return []
        yield

    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[-1])
    monkeypatch.setattr(workers, "_until_broken", until_broken)
    (result,) = workers._grade_here([hangs, honest], {}, 1)
    assert (result.student, result.problem) == ("hangs", workers.TOO_LONG)
    assert attempts == [["hangs", "honest"], ["hangs"], []]


def test_a_process_that_exceeds_the_time_is_ended(task, key, submission, monkeypatch):
    ended = []
    monkeypatch.setattr(
        workers.faulthandler,
        "dump_traceback_later",
        lambda seconds, exit, file: ended.append((seconds, exit)),
    )
    monkeypatch.setitem(workers._keys, key.lesson, key)
    assert workers._grade_in_worker(task(submission())).problem == ""
    assert ended == [(workers.MAX_SECONDS, True)]
