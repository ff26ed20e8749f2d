"""The host's side of the sandbox: start it with bubblewrap, send it jobs, receive their results.

Visible inside are Python with its packages, ``course_lib`` without its question bank, the guest
program, the course's data and an empty ``/scratch``. There is no home folder, no submission, no
answer key, no network and no other process. The output is bytes of a limited length. ``README.md``
in this folder lists what is visible, the limits and the protocol.

For a plain user bubblewrap makes a user namespace. For root it needs none; everything inside then
runs under a user id that owns no files, because the kernel does not enforce RLIMIT_NPROC for root.
"""

import contextlib
import functools
import json
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from course_grading.errors import SandboxError
from course_grading.sandbox.guest.main import RUNNING
from course_grading.sandbox.limits import WRITABLE_FOLDER_SIZE, Limits
from course_lib.assets import paths

LIBRARY = paths.PACKAGE  # course_lib, which students' code may import
GRADER = Path(__file__).resolve().parents[1]  # course_grading; only its guest program is visible
SYSTEMD = Path("/run/systemd/system")  # exists where systemd runs
_SYSTEM_PATHS = (
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
# the only writable folder apart from /dev/shm; emptied after each job
_SCRATCH = "/scratch"
_START = "import sys; sys.path[:0] = {}; from course_grading.sandbox.guest.main import main; main()"
_START_TIMEOUT = 600.0  # seconds; torch takes two, on a slow network disk a minute
_SILENCE_TIMEOUT = 600.0  # seconds; a healthy sandbox sends a heartbeat every five
_MAX_HEADER = 200  # bytes
# The user ids of sandboxes that root starts. No distribution gives these to users, and systemd uses
# ids up to 60577 and from 61184.
_USER_IDS = range(60_600, 61_100)


@dataclass(frozen=True)
class Job:
    """Run ``cells`` and ``check``, then call ``function``, which the last cell defines, for each of
    ``cases``: a number, and arguments from :func:`pickle_arguments`. Before that each call of
    ``alone`` is made in a fork of its own, where forks are cheap.

    ``renamed`` holds the functions whose name or parameters differ in an earlier release of the
    lesson, as pairs of signatures: the current and the former one, each the function's name and
    then its parameters. Functions with the former signature are accepted too.
    """

    cells: Sequence[str]
    function: str
    cases: Sequence[tuple[int, bytes]]
    check: str = ""
    renamed: Sequence[tuple[tuple[str, ...], tuple[str, ...]]] = ()
    alone: Sequence[tuple[int, bytes]] = ()


def pickle_arguments(arguments: tuple, keywords: dict[str, Any] | None = None) -> bytes:
    """Pickle the arguments of one call for a job."""
    return pickle.dumps((arguments, keywords or {}))


@dataclass(frozen=True)
class JobResult:
    """How a job ended, and its output.

    ``status`` is ``done``, or the limit that it exceeded: ``time``, ``memory`` or ``output``.
    ``seconds`` is its elapsed time, less the time that it waited for a free processor. ``alone`` is
    whether the calls of ``Job.alone`` were made.
    """

    status: str
    output: bytes
    seconds: float
    alone: bool = True


class Sandbox:
    """One sandbox, with ``modules`` imported, that runs jobs one after the other. Not thread-safe.

    Args:
        modules: the modules to import before the first job.
        limits: the limits of each job.
        trusted: do without bubblewrap. Students' code then runs with your rights, on your files.
    """

    _process: Any = None  # a subprocess.Popen with pipes, while it runs
    _stderr: Any = None  # the file of its error messages

    def __init__(
        self, modules: Iterable[str] = (), limits: Limits | None = None, trusted: bool = False
    ):
        self.modules = sorted(modules)
        self.limits = limits or Limits()
        self.trusted = trusted

    def run(self, job: Job, wall_seconds: float | None = None) -> JobResult:
        """Run a job; ``wall_seconds`` may lower the limit of elapsed time.

        Raises:
            SandboxError: if the sandbox can't be started, or failed twice.
        """
        limits = self.limits
        if wall_seconds is not None:
            limits = replace(limits, wall_seconds=min(limits.wall_seconds, wall_seconds))
        for last_attempt in (False, True):
            try:
                self._start()
                self._send(asdict(limits))
                self._send(asdict(job))
                header = RUNNING
                while header == RUNNING:
                    header = self._receive(_SILENCE_TIMEOUT, _MAX_HEADER)
                output = self._receive(_SILENCE_TIMEOUT, self.limits.output)
                return JobResult(output=output, **json.loads(header))
            except (OSError, EOFError, TimeoutError) as error:
                stderr = self._stderr_tail()
                self.close()
                if last_attempt:
                    raise SandboxError(
                        f"the sandbox failed ({error or type(error).__name__}); run course doctor. "
                        f"{stderr}".strip()
                    ) from None
        raise AssertionError

    def close(self) -> None:
        """End the sandbox with all its processes."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._stderr.close()
            self._process = self._stderr = None

    __del__ = close

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        if not self.trusted and (reason := unavailable_reason()):
            raise SandboxError(reason)
        command = [sys.executable, "-I", "-c", _START.format(self._import_path())]
        if not self.trusted:
            command = [*_control_group(self.limits), *_bubblewrap(), *command]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=_environment(),
            bufsize=0,
        )
        self._send({"modules": self.modules})
        self._receive(_START_TIMEOUT, _MAX_HEADER)

    def _import_path(self) -> list[str]:
        return [str(LIBRARY.parent), str(GRADER.parent)] if self.trusted else ["/course"]

    def _send(self, message: dict) -> None:
        body = pickle.dumps(message)
        view = memoryview(struct.pack(">Q", len(body)) + body)
        while view:
            view = view[self._process.stdin.write(view) :]

    def _receive(self, timeout: float, max_size: int) -> bytes:
        deadline = time.monotonic() + timeout
        (size,) = struct.unpack(">Q", self._read(8, deadline))
        if size > max_size:
            raise EOFError("its response exceeds the output limit")
        return self._read(size, deadline)

    def _read(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            timeout = max(0.0, deadline - time.monotonic())
            if not select.select([self._process.stdout], [], [], timeout)[0]:
                raise TimeoutError("it does not respond")
            chunk = self._process.stdout.read(min(size - len(data), 1 << 20))
            if not chunk:
                raise EOFError("it ended")
            data += chunk
        return bytes(data)

    def _stderr_tail(self) -> str:
        if self._stderr is None:
            return ""
        self._stderr.seek(0)
        return self._stderr.read()[-500:].decode(errors="replace").strip()


_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": _SCRATCH,
    "TMPDIR": _SCRATCH,
    "USER": "student",  # else torch reads /etc/passwd, which is not visible
    "LANG": "C.UTF-8",
    "COURSE_MODE": "grading",  # lessons train very little
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # for reproducible results
}
# where systemd-run finds a user's systemd
_BUS_VARIABLES = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")


def _environment() -> dict[str, str]:
    bus = {name: os.environ[name] for name in _BUS_VARIABLES if name in os.environ}
    return {**_ENVIRONMENT, **bus}


@functools.cache
def _control_group(limits: Limits) -> tuple[str, ...]:
    """The command prefix that runs a command in its own control group; empty where systemd can't.

    The kernel then limits all processes of a sandbox together, also between two checks of the
    watchdog. The group's limits are above those of a job, so that exceeding them ends the job and
    not the sandbox.
    """
    if not SYSTEMD.is_dir():
        return ()
    command = (
        "systemd-run",
        "--scope",
        "--quiet",
        "--collect",
        *(["--user"] if os.geteuid() else []),
        f"--property=MemoryMax={2 * limits.memory + (1 << 30)}",
        "--property=MemorySwapMax=0",
        f"--property=TasksMax={limits.processes + 64}",
    )
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            [*command, "true"], env=_environment(), capture_output=True, timeout=30, check=True
        )
        return command
    return ()


def _bubblewrap() -> list[str]:
    """The command prefix that isolates a program."""
    command = ["bwrap"]
    command += [f"--unshare-{kind}" for kind in ("ipc", "pid", "net", "uts", "cgroup-try")]
    command += ["--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "sandbox"]
    command += ["--cap-drop", "ALL"]
    for place in visible_places():
        if _is_root_link(Path(place)):
            command += ["--symlink", os.readlink(place), place]
        elif Path(place).exists() and (place == "/usr" or not Path(place).is_relative_to("/usr")):
            command += [*_parent_folders(place), "--ro-bind", place, place]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for folder in (_SCRATCH, "/dev/shm"):
        command += ["--perms", "1777", "--size", str(WRITABLE_FOLDER_SIZE), "--tmpfs", folder]
    command += _parent_folders("/course/course_lib/quiz/_")
    command += _parent_folders("/course/course_grading/sandbox/_")
    for path, place in _visible_course_files():
        command += ["--ro-bind", str(path), place]
    for folder in _installed_packages():
        command += ["--perms", "0755", "--tmpfs", folder, "--remount-ro", folder]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", _SCRATCH]
    command += [word for name in _BUS_VARIABLES for word in ("--unsetenv", name)]
    if os.geteuid() != 0:
        return [*command, "--unshare-user"]
    user = str(_USER_IDS[os.getpid() % len(_USER_IDS)])
    for needed in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
        command += ["--cap-add", needed]
    drop = ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    return [*command, "--", "setpriv", f"--reuid={user}", f"--regid={user}", *drop]


def visible_places() -> list[str]:
    """The folders and files of this machine that students' code can read: system programs, Python
    and its packages.
    """
    return list(dict.fromkeys([*_SYSTEM_PATHS, sys.base_prefix, sys.prefix]))


def _parent_folders(place: str) -> list[str]:
    """Options that make the folders above a place with mode 0755; by default bubblewrap makes them
    for root only.
    """
    parents = [str(folder) for folder in reversed(Path(place).parents) if folder != Path("/")]
    return [word for folder in parents for word in ("--perms", "0755", "--dir", folder)]


def _visible_course_files() -> Iterable[tuple[Path, str]]:
    """The course's files that are visible inside, each with its path there: ``course_lib`` without
    the question bank, the guest program, and the data.
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


def _installed_packages() -> list[str]:
    """The course's packages inside visible places, where a wheel installs them: an empty folder
    must hide each of them.
    """
    hidden = []
    for place in map(Path, visible_places()):
        for package in (LIBRARY, GRADER):
            if package.is_relative_to(place.resolve()) and not _is_root_link(place):
                hidden.append(str(place / package.relative_to(place.resolve())))
    return list(dict.fromkeys(hidden))


def _is_root_link(place: Path) -> bool:
    """Whether a place is a symbolic link such as /lib, which the sandbox copies as a link."""
    return place.is_symlink() and place.parent == Path("/")


@functools.cache
def unavailable_reason() -> str | None:
    """Why students' code can't be isolated on this machine, and the fix; None if it can."""
    if not sys.platform.startswith("linux"):
        return (
            "bubblewrap, which isolates students' code, works on Linux only: grade there, or in a "
            "Linux container"
        )
    for program in ("bwrap", "setpriv") if os.geteuid() == 0 else ("bwrap",):
        if shutil.which(program) is None:
            package = "bubblewrap" if program == "bwrap" else program
            return f"{program} is not installed: install the package {package}"
    try:
        attempt = subprocess.run(
            [*_bubblewrap(), sys.executable, "-I", "-c", "print('in')"],
            capture_output=True,
            text=True,
            timeout=120,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start here: {error}"
    if attempt.stdout.strip() != "in":
        return (
            f"bubblewrap does not work here ({attempt.stderr.strip() or 'no reason given'}): "
            "allow unprivileged user namespaces; in Docker start the container with "
            "--security-opt seccomp=unconfined --security-opt apparmor=unconfined, or as root with "
            "--privileged"
        )
    return None


def describe_limits() -> list[str]:
    """What the sandbox enforces on this machine, one phrase each."""
    limits = Limits()
    user = "as a user that owns no files" if os.geteuid() == 0 else "in a user namespace"
    return [
        f"no network, files read-only, no other process visible, {user}",
        f"{limits.cpu_seconds} s of CPU time, {limits.memory >> 20} MiB, "
        f"{limits.processes} processes and threads, "
        f"{limits.output >> 20} MiB of output for each exercise",
        "memory and processes limited by a systemd control group"
        if _control_group(limits)
        else "no control group (no systemd here): "
        "the kernel limits each process, and a watchdog all of them together",
    ]
