"""What holds around a job: control groups where systemd is, and what the first process of a sandbox
watches.
"""

import os
import pickle
import stat

import pytest
from course_grading.sandbox import host
from course_grading.sandbox.guest import serialize
from course_grading.sandbox.host import Job, Limits, Sandbox

HERE = host.Path  # the class, before a test puts another in its place


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """A machine that seems to run systemd, and whose ``systemd-run`` is the shell script that a
    test gives.
    """

    def install(script: str):
        program = tmp_path / "systemd-run"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setitem(host._ENVIRONMENT, "PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(
            host, "Path", lambda path: tmp_path if path == "/run/systemd/system" else HERE(path)
        )
        host._control_group.cache_clear()

    yield install
    host._control_group.cache_clear()


def test_the_group_holds_memory_and_processes_somewhat_above_the_limits(systemd, tmp_path):
    systemd(f'echo "$@" >> {tmp_path}/told')
    limits = Limits(memory=1 << 30, processes=8)
    command = host._control_group(limits)
    assert command[:2] == ("systemd-run", "--scope")
    assert f"--property=MemoryMax={3 << 30}" in command and "--property=TasksMax=72" in command
    assert "--property=MemorySwapMax=0" in command
    assert (tmp_path / "told").read_text().split() == [*command[1:], "true"]
    assert ("--user" in command) == (os.geteuid() != 0)
    assert any("control group of systemd's" in phrase for phrase in host.enforced())


def test_a_systemd_that_refuses_is_done_without(systemd):
    systemd("echo 'Failed to connect to bus' >&2; exit 1")
    assert host._control_group(Limits()) == ()
    assert any("no control group" in phrase for phrase in host.enforced())


def test_a_machine_without_systemd_has_no_group(tmp_path, monkeypatch):
    host._control_group.cache_clear()
    monkeypatch.setattr(
        host, "Path", lambda path: tmp_path / "none" if "systemd" in str(path) else HERE(path)
    )
    assert host._control_group(Limits()) == ()
    host._control_group.cache_clear()


@pytest.fixture
def box():
    """A sandbox with small limits, whose jobs are a function ``f`` without arguments."""
    if why := host.available():
        pytest.skip(why)
    with Sandbox(limits=Limits(seconds=20, patience=300, memory=256 << 20)) as one:
        yield lambda source: one.run(Job([source], "f", [(0, pickle.dumps(()))]))


def answer(ended):
    """What the one case of a job gave."""
    _, line = serialize.lines(ended.raw)
    return serialize.rebuild(line["output"])


LIMITS = """
import os, resource
def f():
    limits = [resource.getrlimit(getattr(resource, "RLIMIT_" + kind))[1] for kind in ("CPU", "FSIZE", "NPROC")]
    return [*limits, os.nice(0), sorted(os.sched_getaffinity(0))]
"""


def test_what_a_student_does_to_the_first_process_is_gone_for_the_next(box):
    usual = answer(box(LIMITS))
    lowers = """
import os, resource
def f():
    resource.prlimit(1, resource.RLIMIT_CPU, (3, 3))
    resource.prlimit(1, resource.RLIMIT_FSIZE, (0, 0))
    os.setpriority(os.PRIO_PROCESS, 1, 19)
    os.sched_setaffinity(1, {min(os.sched_getaffinity(1))})
"""
    box(lowers)
    assert answer(box(LIMITS)) == usual


def test_the_first_process_can_not_be_interrupted(box):
    assert answer(
        box(
            "import os, signal, time\ndef f():\n    os.kill(1, signal.SIGINT)\n    time.sleep(0.3)\n    return 7"
        )
    )
    assert answer(box("def f():\n    return 7")) == 7


FILES = """
import ctypes, mmap, os, threading, time
held = []
def fill(count=40, mapped=False):
    for _ in range(count):
        held.append(os.memfd_create("x"))
        os.write(held[-1], bytes(8 << 20))
        if mapped:
            held.append(mmap.mmap(held[-1], 8 << 20))
            os.close(held.pop(-2))
    time.sleep(30)
"""
SEGMENT = """
import ctypes
system = ctypes.CDLL(None)
system.shmat.restype, system.shmdt.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def take(size):
    place = system.shmat(system.shmget(0, size, 0o1600), None, 0)
    ctypes.memset(place, 1, size)
    system.shmdt(place)
"""


@pytest.mark.parametrize(
    "source",
    [
        f"{FILES}\ndef f():\n    fill()",
        f"{FILES}\ndef f():\n    threading.Thread(target=fill).start()\n    system = ctypes.CDLL(None)\n"
        "    system.pthread_exit(None)",
        f"{SEGMENT}\nimport time\ndef f():\n    for _ in range(5):\n        take(64 << 20)\n    time.sleep(30)",
        # who hides
        "import ctypes, time\ndef f():\n    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n    time.sleep(30)",
    ],
    ids=["files", "leader-gone", "segments", "hidden"],
)
def test_memory_that_no_process_has_is_counted_too(box, source):
    assert box(source).how == "memory"


def test_files_that_are_mapped_and_closed_do_not_pass_the_limit(box):
    """They count for the kernel's limit as well: it refuses more, or the first process ends the
    job, who is sooner.
    """
    ended = box(f"{FILES}\ndef f():\n    fill(mapped=True)")
    assert ended.how == "memory" or serialize.lines(ended.raw)[1]["error"] == "OSError"


def test_less_of_it_is_allowed_and_nothing_stays(box):
    assert box(f"{FILES}\ntime.sleep = print\ndef f():\n    fill(3)\n    return 1").how == "done"
    box(f"{SEGMENT}\ndef f():\n    take(1 << 20)\n    ctypes.CDLL(None).msgget(0, 0o1600)")
    left = "def f():\n    return [len(open('/proc/sysvipc/' + kind).readlines()) for kind in ('shm', 'msg', 'sem')]"
    assert answer(box(left)) == [1, 1, 1]  # their headings
