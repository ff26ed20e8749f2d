"""Enforce a job's limits of time and memory, and find changes that would outlive it.

The kernel limits the CPU time and the address space of each process. The watchdog covers what
limits per process miss: the sum over a process tree, sleeping processes, memory files (memfd), and
System V segments, which exist without a process. It runs in the first process of the sandbox, which
students' code can neither signal nor trace.
"""

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TICK = 0.1  # seconds between two checks
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")  # per second, the unit of /proc/PID/stat


class Watchdog:
    """Watches one job: the process ``child`` with all its descendants.

    A busy machine costs nobody points: ``cpu_seconds`` limits the CPU time of the process tree, and
    ``wall_seconds`` the elapsed time, less the time that the job's threads waited for a free
    processor. So the watchdog ends a job that sleeps, but not one that is slow because the machine
    is busy. ``limits`` has the fields of ``sandbox.limits.Limits``.
    """

    def __init__(self, child: int, limits: dict):
        self.child, self.limits = child, limits
        self.exited = False
        self._baseline = memory_of("self")
        self._wait_status = 0
        self._cpu_seconds = self._waited_seconds = 0.0
        self._last: dict[str, float] = {}  # the last reading of each counter
        self._started = time.monotonic()
        self._next_check = 0.0

    @property
    def active_seconds(self) -> float:
        """The time since the start in which the job could have run."""
        return time.monotonic() - self._started - self._waited_seconds

    def check(self) -> str:
        """The limit that the job exceeds, ``time`` or ``memory``; empty if none.

        Looks at the processes at most once per ``TICK``.
        """
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + TICK
            self._read_times()
            if self._cpu_seconds > self.limits["cpu_seconds"]:
                return "time"
            if self.active_seconds > self.limits["wall_seconds"]:
                return "time"
            # the second sum is exact, but slow
            limit = self.limits["memory"]
            if self._memory() > limit and self._memory_counted_once() > limit:
                return "memory"
        self._reap(os.WNOHANG)
        return ""

    def finish(self, status: str) -> str:
        """End the child if it still runs. Return ``time`` if the kernel ended it for its CPU time,
        else ``status``.
        """
        if not self.exited:
            os.kill(self.child, signal.SIGKILL)
            self._reap(0)
        if status != "done" or not os.WIFSIGNALED(self._wait_status):
            return status
        ended_by = os.WTERMSIG(self._wait_status)
        # SIGXCPU at the soft limit; a process that ignores it gets SIGKILL at the hard limit
        overdue = ended_by == signal.SIGKILL and self._cpu_seconds > self.limits["cpu_seconds"]
        return "time" if ended_by == signal.SIGXCPU or overdue else status

    def _memory(self) -> int:
        """An upper bound on the job's memory in bytes: shared pages count for each process."""
        held = (max(0, memory_of(pid) - self._baseline) for pid in other_processes())
        return sum(held) + segment_memory()

    def _memory_counted_once(self) -> int:
        """The job's memory in bytes, with each page counted once."""
        shares = map(proportional_memory_of, ("self", *other_processes()))
        return sum(shares) - self._baseline + segment_memory()

    def _reap(self, options: int) -> None:
        if not self.exited:
            pid, status, usage = os.wait4(self.child, options)
            if pid == self.child:
                self.exited, self._wait_status = True, status
                self._cpu_seconds = max(self._cpu_seconds, usage.ru_utime + usage.ru_stime)

    def _read_times(self) -> None:
        for pid in {*other_processes(), str(self.child)}:
            with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
                fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
                cpu_ticks = int(fields[11]) + int(fields[12])  # utime, stime
                self._cpu_seconds += self._increase(f"cpu {pid}", cpu_ticks / _CLOCK_TICKS)
                for thread in Path("/proc", pid, "task").iterdir():
                    # nanoseconds in the run queue; 0 on a kernel that does not count them
                    waited = int((thread / "schedstat").read_text().split()[1])
                    self._waited_seconds += self._increase(f"wait {thread.name}", waited / 1e9)

    def _increase(self, counter: str, value: float) -> float:
        before = self._last.get(counter, 0.0)
        self._last[counter] = value
        return value - before if value >= before else value  # smaller: the id was reused


def other_processes() -> list[str]:
    """The process ids in this sandbox except the first; empty outside a sandbox."""
    if os.getpid() != 1:
        return []
    return [name for name in os.listdir("/proc") if name.isdecimal() and name != "1"]


def memory_of(pid: str) -> int:
    """Bytes of memory that a process holds: resident pages, shared mappings, and memory files that
    it has open or mapped. If the first process may not read this, it counts as over the limit.
    """
    try:
        thread = next(_live_threads(pid), None)
        return _memory_of_thread(thread) if thread else 0
    except PermissionError:
        # a process that has just ended can't be read either
        return sys.maxsize if any(_live_threads(pid)) else 0
    except OSError:  # it has just ended
        return 0


def proportional_memory_of(pid: str) -> int:
    """The same, with each shared page divided among the processes that share it."""
    total = memory_of(pid)
    try:
        lines = Path("/proc", pid, "smaps_rollup").read_text().splitlines()[1:]
        sizes = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
    except (OSError, ValueError, IndexError):  # it has just ended, or the kernel has no such file
        return total
    return total - sizes.get("Rss", 0) + sizes.get("Pss", 0)


def _live_threads(pid: str) -> Iterator[Path]:
    """The /proc folders of a process's live threads; each describes the whole process."""
    with contextlib.suppress(OSError):
        yield from (task for task in Path("/proc", pid, "task").iterdir() if _pages(task)[0])


def _pages(task: Path) -> list[int]:
    return [int(number) for number in (task / "statm").read_text().split()]


def _memory_of_thread(task: Path) -> int:
    total = _pages(task)[1] * resource.getpagesize()
    for line in (task / "maps").read_text().splitlines():
        addresses, permissions, *_ = line.split(maxsplit=2)
        if permissions.endswith("s") or " /memfd:" in line:
            start, end = (int(address, 16) for address in addresses.split("-"))
            total += end - start
    for file in (task / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has just been closed
            total += 512 * file.stat().st_blocks if os.readlink(file).startswith("/memfd:") else 0
    return total


def segment_memory() -> int:
    """Bytes of memory in System V segments."""
    return sum(int(row[-2]) for row in _system_v("shm"))  # the column "rss"


def has_system_v_objects() -> bool:
    """Whether there are System V objects, which outlive the process that created them."""
    return any(map(_system_v, ("shm", "msg", "sem")))


def _system_v(kind: str) -> list[list[str]]:
    try:
        lines = Path("/proc/sysvipc", kind).read_text().splitlines()[1:]
        return [line.split() for line in lines]
    except OSError:  # a kernel without this kind
        return []


def folder_settings(folders: Iterable[str]) -> Any:
    """The settings of writable folders that would carry over to the next job: mode, owner and
    extended attributes. None outside a sandbox.
    """
    if os.getpid() != 1:
        return None
    settings = []
    for folder in folders:
        status = os.stat(folder)
        attributes = []
        with contextlib.suppress(OSError):  # a file system without them
            attributes = [(name, os.getxattr(folder, name)) for name in os.listxattr(folder)]
        settings.append((status.st_mode, status.st_uid, status.st_gid, sorted(attributes)))
    return settings


def inherited_settings() -> Any:
    """The settings of the first process that any process of this user may change, and the next fork
    would inherit: resource limits, priority, affinity and scheduling class. None outside a sandbox.
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
