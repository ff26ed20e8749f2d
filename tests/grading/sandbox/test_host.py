"""The sandbox: visible files, limits of time and memory, and isolation between jobs."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from course_grading.sandbox import host
from course_grading.sandbox.guest import serialize, watchdog
from course_grading.sandbox.guest.watchdog import Watchdog
from course_grading.sandbox.host import Job, JobResult, Sandbox, pickle_arguments
from course_grading.sandbox.limits import Limits

MEMORY = 256 << 20


def run(source: str, **limits) -> JobResult:
    """Run a function ``f`` without arguments in a new sandbox."""
    if reason := host.unavailable_reason():
        pytest.skip(reason)
    with Sandbox(limits=Limits(**limits)) as sandbox:
        return sandbox.run(job(source))


def job(source: str) -> Job:
    return Job([source], "f", [(0, pickle_arguments(()))])


def returned(result: JobResult):
    """The value that a job's only case returned."""
    return serialize.deserialize(case(result)["output"])


def case(result: JobResult) -> dict:
    """The parsed output line of a job's only case."""
    return serialize.parse_line(serialize.find_lines(result.output, {0}).cases[0])


@pytest.fixture
def sandbox():
    """A sandbox for several jobs, with limits that no test reaches by accident."""
    if reason := host.unavailable_reason():
        pytest.skip(reason)
    with Sandbox(limits=Limits(cpu_seconds=20, wall_seconds=300, memory=MEMORY)) as sandbox:
        yield sandbox


# ---- control groups ----


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """A function that fakes systemd: ``systemd-run`` becomes the given shell script."""

    def install(script: str):
        program = tmp_path / "systemd-run"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setitem(host._ENVIRONMENT, "PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(host, "SYSTEMD", tmp_path)
        host._control_group.cache_clear()

    yield install
    host._control_group.cache_clear()


def test_control_group_limits_are_above_the_jobs_limits(systemd, tmp_path):
    systemd(f'echo "$@" >> {tmp_path}/arguments')
    command = host._control_group(Limits(memory=1 << 30, processes=8))
    assert command[:2] == ("systemd-run", "--scope")
    assert f"--property=MemoryMax={3 << 30}" in command and "--property=TasksMax=72" in command
    assert "--property=MemorySwapMax=0" in command
    assert (tmp_path / "arguments").read_text().split() == [*command[1:], "true"]
    assert ("--user" in command) == (os.geteuid() != 0)
    assert any("systemd control group" in phrase for phrase in host.describe_limits())


def test_failing_systemd_run_is_not_used(systemd):
    systemd("echo 'Failed to connect to bus' >&2; exit 1")
    assert host._control_group(Limits()) == ()
    assert any("no control group" in phrase for phrase in host.describe_limits())


def test_without_systemd_there_is_no_control_group(systemd, tmp_path, monkeypatch):
    systemd("exit 0")
    monkeypatch.setattr(host, "SYSTEMD", tmp_path / "missing")
    assert host._control_group(Limits()) == ()


# ---- what is visible ----


def test_installed_course_is_hidden(tmp_path, monkeypatch):
    """A course installed from a wheel into site-packages, which every sandbox shows, is hidden."""
    packages = tmp_path / "site-packages"
    ignore = shutil.ignore_patterns("__pycache__", "_assets")
    for name, folder in (("LIBRARY", "course_lib"), ("GRADER", "course_grading")):
        shutil.copytree(getattr(host, name), packages / folder, ignore=ignore)
        monkeypatch.setattr(host, name, packages / folder)
    (packages / "other.py").touch()
    places = [*host.visible_places(), str(packages)]
    monkeypatch.setattr(host, "visible_places", lambda: places)
    source = f"""
import contextlib, os
import course_lib.quiz
def f():
    folders = [os.path.join({str(packages)!r}, name) for name in ("course_lib", "course_grading")]
    for folder in folders:
        with contextlib.suppress(OSError):
            open(os.path.join(folder, "new"), "w").close()
    return [os.listdir({str(packages)!r}), *map(os.listdir, folders), course_lib.__file__]
"""
    names, library, grader, file = returned(run(source))
    assert sorted(names) == ["course_grading", "course_lib", "other.py"]
    assert library == grader == [] and file == "/course/course_lib/__init__.py"


def test_only_the_graders_guest_program_is_visible(sandbox):
    source = """
import os
def f():
    return [os.listdir(f"/course/{path}") for path in PATHS] + [os.path.exists(BANK)]
PATHS = ("course_grading", "course_grading/sandbox", "course_grading/sandbox/guest")
BANK = "/course/course_lib/quiz/bank"
"""
    grader, folder, guest, bank = returned(sandbox.run(job(source)))
    assert grader == ["sandbox"] and folder == ["guest"] and "main.py" in guest
    assert bank is False


# ---- cells and functions ----


def test_unwritten_earlier_exercise_does_not_matter(sandbox):
    cells = [
        "def g():\n    raise NotImplementedError",
        "_got = g()\nassert _got == 1",
        "def f():\n    return 7",
    ]
    arguments = [(0, pickle_arguments(()))]
    assert returned(sandbox.run(Job(cells, "f", arguments, "_got = f()\nassert _got == 7"))) == 7


def test_functions_of_an_earlier_release_get_their_new_names(sandbox):
    cells = ["def twice(x):\n    return 2 * x", "def thrice(n):\n    return n + twice(n)"]
    renamed = [(("double", "x"), ("twice", "x")), (("triple", "number"), ("thrice", "n"))]
    check = "assert double(1) == 2 and triple(number=1) == 3"
    arguments = [(0, pickle_arguments((5,)))]
    assert returned(sandbox.run(Job(cells, "triple", arguments, check, renamed))) == 15


# ---- limits of time ----


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Other programs that keep every processor core busy."""
    program = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(program) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


ENDLESS = "def f():\n    while True:\n        pass"
CALCULATES = """
import time
def f():
    start = time.perf_counter()
    while time.process_time() < 1.5:
        pass
    return time.perf_counter() - start
"""


def test_endless_loop_exceeds_the_time_limit_on_a_busy_machine():
    with busy_loops(2):
        assert run(ENDLESS, cpu_seconds=1).status == "time"


@pytest.mark.extended
def test_slow_function_passes_on_a_busy_machine():
    """A function that needs 1.5 s of CPU time, but far longer on the clock, stays within a limit of
    3 s: time spent waiting for a processor does not count.
    """
    with busy_loops(4):
        result = run(CALCULATES, cpu_seconds=20, wall_seconds=3)
    assert result.status == "done" and returned(result) >= result.seconds - 1
    assert 1.25 < result.seconds < 3


def test_sleeping_job_ends_at_the_wall_clock_limit():
    assert run("import time\ndef f():\n    time.sleep(600)", wall_seconds=1).status == "time"


@pytest.mark.parametrize(
    "before_loop",
    [
        "signal.signal(signal.SIGXCPU, signal.SIG_IGN)",
        pytest.param(
            "resource.setrlimit(resource.RLIMIT_CPU, "
            "[resource.getrlimit(resource.RLIMIT_CPU)[1]] * 2)",
            marks=pytest.mark.extended,
        ),
        "[os.fork() for _ in range(2)]",
        pytest.param(
            "[threading.Thread(target=loop).start() for _ in range(2)]", marks=pytest.mark.extended
        ),
    ],
    ids=["ignores-signal", "raises-limit", "forks", "threads"],
)
def test_time_limit_applies_to_the_whole_process_tree(before_loop):
    source = f"""
import os, resource, signal, threading
def loop():
    while True:
        pass
def f():
    {before_loop}
    loop()
"""
    assert run(source, cpu_seconds=1).status == "time"


def test_sigxcpu_is_reported_as_time():
    program = "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)"
    process = subprocess.Popen([sys.executable, "-c", program])
    watchdog = Watchdog(process.pid, {"cpu_seconds": 9, "wall_seconds": 9, "memory": MEMORY})
    watchdog._reap(0)
    process.returncode = -signal.SIGXCPU  # reaped above
    assert watchdog.finish("done") == "time" and watchdog.finish("memory") == "memory"


def test_process_that_kills_itself_is_not_reported_as_time():
    source = "import os, signal\ndef f():\n    os.kill(os.getpid(), signal.SIGKILL)"
    assert run(source, cpu_seconds=1).status == "done"


# ---- isolation between jobs ----


LIMITS = """
import os, resource
def f():
    kinds = (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC)
    limits = [resource.getrlimit(kind)[1] for kind in kinds]
    return [*limits, os.nice(0), sorted(os.sched_getaffinity(0))]
"""
LOWERS = """
import os, resource
def f():
    resource.prlimit(1, resource.RLIMIT_CPU, (3, 3))
    resource.prlimit(1, resource.RLIMIT_FSIZE, (0, 0))
    os.setpriority(os.PRIO_PROCESS, 1, 19)
    os.sched_setaffinity(1, {min(os.sched_getaffinity(1))})
"""


def test_jobs_cannot_lower_the_limits_of_later_jobs(sandbox):
    before = returned(sandbox.run(job(LIMITS)))
    sandbox.run(job(LOWERS))
    assert returned(sandbox.run(job(LIMITS))) == before


def test_init_process_ignores_sigint(sandbox):
    source = """
import os, signal, time
def f():
    os.kill(1, signal.SIGINT)
    time.sleep(0.3)
    return 7
"""
    assert returned(sandbox.run(job(source))) == 7
    assert returned(sandbox.run(job("def f():\n    return 7"))) == 7


@pytest.mark.parametrize("descriptor", [0, 1, 2])
def test_standard_streams_do_not_lead_to_the_host(sandbox, descriptor):
    source = f"""
import os
def f():
    try:
        os.write({descriptor}, b"x" * 100)
    except OSError:
        pass
    return 7
"""
    assert returned(sandbox.run(job(source))) == 7
    assert returned(sandbox.run(job("def f():\n    return 8"))) == 8


def test_files_and_processes_of_a_job_do_not_reach_the_next(sandbox):
    leave_traces = """
import os, time
def f():
    open("left", "w").close()
    if not os.fork():
        time.sleep(99)
"""
    list_traces = """
import os
def f():
    return [os.listdir("."), [name for name in os.listdir("/proc") if name.isdecimal()]]
"""
    sandbox.run(job(leave_traces))
    files, processes = returned(sandbox.run(job(list_traces)))
    assert files == [] and len(processes) == 2  # the first process and the job's
    assert sandbox._process.poll() is None  # it is still the same sandbox


# ---- memory outside the limits of a single process ----


SEGMENT = """
import ctypes, time
system = ctypes.CDLL(None)
system.shmat.restype, system.shmdt.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def take(size):
    address = system.shmat(system.shmget(0, size, 0o1600), None, 0)
    ctypes.memset(address, 1, size)
    system.shmdt(address)
"""
SEGMENTS = """
def f():
    for _ in range(5):
        take(64 << 20)
    time.sleep(30)
"""
HIDDEN = """
import ctypes, time
def f():
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    time.sleep(30)
"""


@pytest.mark.parametrize(
    "source",
    [SEGMENT + SEGMENTS, HIDDEN],
    ids=["segments", "hidden"],
)
@pytest.mark.extended
def test_shared_and_hidden_memory_is_counted(sandbox, source):
    assert sandbox.run(job(source)).status == "memory"


@pytest.mark.extended
def test_pages_shared_by_forks_are_counted_once(sandbox):
    source = """
import os, time
def f():
    data = bytearray(160 << 20)
    if not os.fork():
        time.sleep(1)
        os._exit(0)
    time.sleep(1)
    return len(data)
"""
    assert returned(sandbox.run(job(source))) == 160 << 20


@pytest.mark.extended
def test_small_system_v_objects_are_allowed_and_removed_after_the_job(sandbox):
    sandbox.run(
        job(f"{SEGMENT}\ndef f():\n    take(1 << 20)\n    ctypes.CDLL(None).msgget(0, 0o1600)")
    )
    objects = """
def f():
    return [len(open(f"/proc/sysvipc/{kind}").readlines()) for kind in ("shm", "msg", "sem")]
"""
    assert returned(sandbox.run(job(objects))) == [1, 1, 1]  # only the header lines


# ---- the end of the host ----


HOST = """
from course_grading.sandbox.host import Job, Sandbox, pickle_arguments
job = Job(["import time\\ndef f():\\n    time.sleep(600)"], "f", [(0, pickle_arguments(()))])
Sandbox().run(job)
"""


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid for child in map(int, children) for pid in (child, *descendants(child))]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition) -> bool:
    deadline = time.monotonic() + 60  # generous, for a busy machine
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds


def test_sandbox_ends_when_its_host_is_killed_during_a_job():
    if reason := host.unavailable_reason():
        pytest.skip(reason)
    process = subprocess.Popen([sys.executable, "-c", HOST])
    try:
        # bubblewrap, the first process and the job
        assert wait_until(lambda: len(descendants(process.pid)) >= 3)
        inside = descendants(process.pid)
    finally:
        process.kill()
        process.wait()
    assert wait_until(lambda: not any(map(is_alive, inside)))


# ---- writable folders ----


def test_changed_modes_and_attributes_of_writable_folders_do_not_reach_the_next_job(sandbox):
    """If the grader runs as a plain user, the job owns these folders and can change them."""
    changes = """
import contextlib, os
def f():
    for folder in ("/scratch", "/dev/shm"):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o555)
        with contextlib.suppress(OSError):
            os.setxattr(folder, "user.mine", b"1")
"""
    list_traces = """
import os
def f():
    open("/scratch/new", "w").close()
    folders = ("/scratch", "/dev/shm")
    return [[oct(os.stat(path).st_mode), os.listxattr(path)] for path in folders]
"""
    sandbox.run(job(changes))
    assert returned(sandbox.run(job(list_traces))) == [["0o41777", []], ["0o41777", []]]


def test_changed_folders_are_detected(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    before = watchdog.folder_settings([str(tmp_path)])
    tmp_path.chmod(0o755)
    changed = watchdog.folder_settings([str(tmp_path)])
    tmp_path.chmod(0o700)
    assert changed != before == watchdog.folder_settings([str(tmp_path)])
