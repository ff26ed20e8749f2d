"""What the first process of a sandbox watches: the memory that a job holds, and what would outlive
the job.

Each process has a limit of the kernel's for its own memory. These are the ways around it that
students may find: more processes, files in memory, which are nobody's own, and System V's segments,
which need no process at all.
"""

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def others() -> list[str]:
    """The processes of this sandbox but the first, by their numbers; none where there is no
    sandbox.
    """
    return (
        [name for name in os.listdir("/proc") if name.isdecimal() and name != "1"]
        if os.getpid() == 1
        else []
    )


def held(pid: str) -> int:
    """Bytes of memory that a process holds: its own, and files in memory that it has open or
    shares.

    Who hides them from the first process holds too much.
    """
    try:
        task = next(_running(pid), None)
        return _held(task) if task else 0
    except PermissionError:
        # of one that has just ended nothing can be read either
        return sys.maxsize if any(_running(pid)) else 0
    except OSError:  # it has just ended
        return 0


def _running(pid: str) -> Iterator[Path]:
    """The threads of a process that have not ended, each as a folder that tells of the whole
    process.
    """
    with contextlib.suppress(OSError):
        yield from (task for task in Path("/proc", pid, "task").iterdir() if _pages(task)[0])


def _pages(task: Path) -> list[int]:
    return [int(number) for number in (task / "statm").read_text().split()]


def _held(task: Path) -> int:
    total = _pages(task)[1] * resource.getpagesize()
    for row in (task / "maps").read_text().splitlines():
        addresses, rights, *_ = row.split(maxsplit=2)
        if rights.endswith("s") or " /memfd:" in row:
            start, end = (int(address, 16) for address in addresses.split("-"))
            total += end - start
    for file in (task / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has just been closed
            total += 512 * file.stat().st_blocks if os.readlink(file).startswith("/memfd:") else 0
    return total


def segments() -> int:
    """Bytes of memory in System V's segments."""
    return sum(int(row[-2]) for row in _system_v("shm"))  # the column "rss"


def left_behind() -> bool:
    """Whether there is anything of System V's, which stays when the process that made it has
    ended.
    """
    return any(map(_system_v, ("shm", "msg", "sem")))


def _system_v(kind: str) -> list[list[str]]:
    try:
        return [row.split() for row in Path("/proc/sysvipc", kind).read_text().splitlines()[1:]]
    except OSError:  # this kernel has none of them
        return []


def settings() -> Any:
    """What any process of this user may change of this one, so that the next fork would inherit
    it.
    """
    if os.getpid() != 1:
        return None
    limits = [
        resource.getrlimit(getattr(resource, name))
        for name in dir(resource)
        if name.startswith("RLIMIT_")
    ]
    return (
        limits,
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getaffinity(0),
        os.sched_getscheduler(0),
    )
