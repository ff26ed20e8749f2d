"""A place where students' code can do no harm: bubblewrap, and limits that hold for root too.

Inside there is Python with its packages, a part of ``course_lib`` (no question banks, nothing of
grading but the program that runs there), the course's data, an empty ``/scratch``, and nothing
else: no home, no submissions, no keys, no network, no other process. What comes out is bytes of a
limited length; see :mod:`.crossing`.

As a plain user bubblewrap makes a user namespace. As root it needs none, and everything inside runs
as a user of its own, which owns nothing: the kernel would not hold root to a number of processes.
"""

import contextlib
import functools
import os
import pickle
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from course_lib.assets import paths

LIBRARY = paths.PACKAGE  # course_lib, which students' code may import
# course_grading, of which the sandbox shows the guest program only
GRADER = Path(__file__).resolve().parents[1]
_SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/fonts",
)
# the only folder, beside /dev/shm, that can be written; emptied after each job
_SCRATCH = "/scratch"
_START = "import sys; sys.path[:0] = {}; from course_grading.sandbox.guest.main import main; main()"
_STARTING = 600.0  # seconds; torch takes two, on a slow network disk a minute
# the first of the user ids that sandboxes of root use; no distribution gives these to people
_NOBODY = 61_000


@dataclass(frozen=True)
class Limits:
    """What one job may use: seconds of a processor and on the clock, bytes, and processes with
    threads.

    The time on the clock is longer, so that on a busy machine nobody loses points to the others.
    """

    seconds: int = 30
    patience: int = 120
    memory: int = 2 << 30
    output: int = 32 << 20
    files: int = 16 << 20
    processes: int = 32


@dataclass(frozen=True)
class Job:
    """Run ``check``, then call ``function``, defined by the last of ``cells``, with each case's
    pickled arguments.
    """

    cells: Sequence[str]
    function: str
    cases: Sequence[tuple[int, bytes]]
    check: str = ""


@dataclass(frozen=True)
class Ended:
    """How a job ended (``done``, or what it had too much of: ``time``, ``memory``, ``output``), and
    what it wrote.
    """

    how: str
    raw: bytes


class SandboxError(RuntimeError):
    """The sandbox itself does not work; this says nothing about the submission in it."""


class Sandbox:
    """One sandbox, with ``modules`` imported, that does one job after the other. Not to be shared
    by threads.

    Args:
        modules: what to import before the first job, so that no job has to.
        limits: what each job may use.
        trusted: do without bubblewrap. Students' code then runs with your rights, on your files.
    """

    _process: subprocess.Popen | None = None
    _log: IO[bytes] | None = None

    def __init__(
        self, modules: Iterable[str] = (), limits: Limits | None = None, trusted: bool = False
    ):
        self.modules, self.limits, self.trusted = sorted(modules), limits or Limits(), trusted

    def run(self, job: Job) -> Ended:
        """Do a job.

        Raises:
            SandboxError: if the sandbox can't be started, or broke twice.
        """
        for last in (False, True):
            try:
                self._start()
                self._send(asdict(self.limits))
                self._send(asdict(job))
                until = time.monotonic() + self.limits.patience + 60
                return Ended(
                    self._receive(until, 20).decode(), self._receive(until, self.limits.output)
                )
            except (OSError, EOFError, TimeoutError) as error:
                said = self._said()
                self.close()
                if last:
                    raise SandboxError(
                        f"the sandbox broke ({error or type(error).__name__}). {said}".strip()
                    ) from None
        raise AssertionError

    def close(self) -> None:
        """End it and everything in it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._log.close()
            self._process = self._log = None

    __del__ = close

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        if not self.trusted and (why_not := available()):
            raise SandboxError(why_not)
        program = [sys.executable, "-I", "-c", _START.format(self._import_path())]
        command = (
            program if self.trusted else [*_control_group(self.limits), *_bubblewrap(), *program]
        )
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(),
            bufsize=0,
        )
        self._send({"modules": self.modules})
        self._receive(time.monotonic() + _STARTING, 20)

    def _import_path(self) -> list[str]:
        return [str(LIBRARY.parent), str(GRADER.parent)] if self.trusted else ["/course"]

    def _send(self, message: dict) -> None:
        body = pickle.dumps(message)
        view = memoryview(struct.pack(">Q", len(body)) + body)
        while view:
            view = view[self._process.stdin.write(view) :]

    def _receive(self, until: float, most: int) -> bytes:
        (size,) = struct.unpack(">Q", self._read(8, until))
        if size > most:
            raise EOFError("it said more than it may")
        return self._read(size, until)

    def _read(self, size: int, until: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            if not select.select(
                [self._process.stdout], [], [], max(0.0, until - time.monotonic())
            )[0]:
                raise TimeoutError("it does not answer")
            more = self._process.stdout.read(min(size - len(data), 1 << 20))
            if not more:
                raise EOFError("it ended")
            data += more
        return bytes(data)

    def _said(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read()[-500:].decode(errors="replace").strip()


_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": _SCRATCH,
    "TMPDIR": _SCRATCH,
    "USER": "student",  # else torch asks /etc/passwd, which is not there
    "LANG": "C.UTF-8",
    "COURSE_MODE": "grading",  # nothing trains
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # the same submission gets the same result
}
_BUS = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")  # where systemd-run finds a user's systemd


def _environment() -> dict[str, str]:
    return {**_ENVIRONMENT, **{name: os.environ[name] for name in _BUS if name in os.environ}}


@functools.cache
def _control_group(limits: Limits) -> tuple[str, ...]:
    """The command that has systemd run another in a control group of its own; empty where it can't.

    The kernel then holds all processes of a sandbox together, also between two looks of
    :mod:`.inside`. The group may use somewhat more than a job, so that what is too much ends the
    job and not the sandbox.
    """
    if not Path("/run/systemd/system").is_dir():
        return ()
    command = (
        "systemd-run",
        "--scope",
        "--quiet",
        "--collect",
        *(["--user"] if os.geteuid() else []),
    )
    for what, most in (
        ("MemoryMax", 2 * limits.memory + (1 << 30)),
        ("MemorySwapMax", 0),
        ("TasksMax", limits.processes + 64),
    ):
        command += (f"--property={what}={most}",)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            [*command, "true"], env=_environment(), capture_output=True, timeout=30, check=True
        )
        return command
    return ()


def _bubblewrap() -> list[str]:
    """The command that shuts a program in, to be followed by the program."""
    command = [
        "bwrap",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    command += [
        "--die-with-parent",
        "--new-session",
        "--as-pid-1",
        "--hostname",
        "sandbox",
        "--cap-drop",
        "ALL",
    ]
    for place in shown():
        if Path(place).is_symlink() and Path(place).parent == Path("/"):
            command += ["--symlink", os.readlink(place), place]
        elif Path(place).exists() and (place == "/usr" or not Path(place).is_relative_to("/usr")):
            command += [*_folders(place), "--ro-bind", place, place]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for folder in (_SCRATCH, "/dev/shm"):
        command += ["--perms", "1777", "--size", str(256 << 20), "--tmpfs", folder]
    command += _folders("/course/course_lib/quiz/_") + _folders("/course/course_grading/sandbox/_")
    for path, place in _visible():
        command += ["--ro-bind", str(path), place]
    for package in (LIBRARY, GRADER):
        if package.is_relative_to(
            sys.prefix
        ):  # installed, not a checkout: the whole package would be visible
            command += ["--tmpfs", str(package)]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", _SCRATCH]
    command += [word for name in _BUS for word in ("--unsetenv", name)]
    if os.geteuid() != 0:
        return [*command, "--unshare-user"]
    user = str(_NOBODY + os.getpid() % 1000)
    for needed in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
        command += ["--cap-add", needed]
    drop = ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    return [*command, "--", "setpriv", f"--reuid={user}", f"--regid={user}", *drop]


def shown() -> list[str]:
    """The places of this machine that students' code can read: the system's programs, Python and
    its packages.
    """
    return list(dict.fromkeys([*_SYSTEM, sys.base_prefix, sys.prefix]))


def _folders(place: str) -> list[str]:
    """Make the folders above a place such that every user may pass: bubblewrap's own are for
    root.
    """
    above = [str(folder) for folder in reversed(Path(place).parents) if folder != Path("/")]
    return [word for folder in above for word in ("--perms", "0755", "--dir", folder)]


def _visible() -> Iterable[tuple[Path, str]]:
    """The course's files that are visible inside, and where: not its question bank, and only the
    guest program of grading.
    """
    for path in sorted(LIBRARY.iterdir()):
        if path.name == "quiz":
            for part in sorted(path.iterdir()):
                if part.name != "bank":
                    yield part, f"/course/course_lib/quiz/{part.name}"
        elif path.name not in ("__pycache__", "_assets"):
            yield path, f"/course/course_lib/{path.name}"
    yield GRADER / "sandbox" / "guest", "/course/course_grading/sandbox/guest"
    checkout = paths.checkout()
    data = checkout / "data" if checkout else LIBRARY / "_assets"
    if data.is_dir():
        yield data, "/course/course_lib/_assets"


@functools.cache
def available() -> str | None:
    """None where students' code can be shut in; else why it can't, and what would help."""
    if not sys.platform.startswith("linux"):
        return "bubblewrap shuts students' code in, and works on Linux only: grade there, or in a Linux container"
    for program in ("bwrap", "setpriv") if os.geteuid() == 0 else ("bwrap",):
        if shutil.which(program) is None:
            return f"{program} is not installed: install the package {'bubblewrap' if program == 'bwrap' else program}"
    try:
        tried = subprocess.run(
            [*_bubblewrap(), sys.executable, "-I", "-c", "print('in')"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start here: {error}"
    if tried.stdout.strip() != "in":
        return (
            f"bubblewrap does not work here ({tried.stderr.strip() or 'no reason given'}): allow unprivileged user "
            "namespaces; in Docker start the container with --security-opt seccomp=unconfined --security-opt "
            "apparmor=unconfined, or as root with --privileged"
        )
    return None


def enforced() -> list[str]:
    """What the sandbox holds students' code to on this machine, a phrase each."""
    limits = Limits()
    who = "as a user that owns nothing" if os.geteuid() == 0 else "in a user namespace"
    return [
        f"no network, files read-only, no other process in sight, {who}",
        f"{limits.seconds} s, {limits.memory >> 20} MiB, {limits.processes} processes and threads, "
        f"{limits.output >> 20} MiB of output for each exercise",
        "memory and processes held by a control group of systemd's"
        if _control_group(limits)
        else "no control group (no systemd here): the kernel limits each process, and all of them are watched",
    ]
