"""The limits on students' code: time, memory, output, files and processes.

A job is the part of an exercise's grading that runs in one process of the sandbox; an exercise
takes one job, or more if a call fails. ``README.md`` in this folder says what enforces each limit.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of one job.

    ``cpu_seconds`` is the CPU time of the job and all its descendants; a process that ignores the
    signal at this limit is killed ``cpu_grace_seconds`` later. ``wall_seconds`` is elapsed time,
    less the time that the job waited for a free processor, so that nobody loses points on a busy
    machine. ``memory``, ``output`` and ``file_size`` are in bytes; ``processes`` counts threads
    too; ``open_files`` is per process.
    """

    cpu_seconds: int = 30
    cpu_grace_seconds: int = 5
    wall_seconds: float = 60
    memory: int = 2 << 30
    output: int = 32 << 20
    file_size: int = 16 << 20
    open_files: int = 128
    processes: int = 32


# Timeouts in an exercise after which its remaining calls count as timed out too.
MAX_TIMEOUTS = 2
# Seconds for all exercises of one submission, without the time spent waiting for a free processor.
SUBMISSION_TIME_LIMIT = 180.0
# Seconds of elapsed time for grading one submission in a worker process on this machine (Dask
# workers have no such limit). It ends what the limits above miss, such as code that keeps Python's
# parser busy for hours outside the sandbox.
GRADING_TIME_LIMIT = 900.0
# Bytes in each of the sandbox's two writable folders.
WRITABLE_FOLDER_SIZE = 256 << 20
