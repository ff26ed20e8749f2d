"""The program that runs in the sandbox: it calls students' functions and reports their results.

It imports a lesson's modules once and then forks for every job, so that a submission costs a fork
and not an import of torch. The first process runs no student's code and never reads a job: only the
fork does, so a fork inherits no other student's work. The fork can neither signal nor trace the
first process, which alone talks to the host and ends every other process after each job.

A job names the code cells of a notebook up to the exercise, the exercise's visible check, its
function and the arguments of each case. The fork writes one JSON line for the check and one for
each case; see :mod:`.serialize`. Forged lines gain nothing: the expected results are not in the
sandbox, and the host repeats the visible check with the returned results. The protocol is described
in ``sandbox/README.md``.
"""

import __future__

import ast
import asyncio
import contextlib
import ctypes
import functools
import gc
import importlib
import inspect
import json
import mmap
import os
import pickle
import random
import resource
import select
import shutil
import signal
import struct
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course_grading.sandbox.guest import seccomp
from course_grading.sandbox.guest.cell_code import kernel_names, parse_cell
from course_grading.sandbox.guest.dependencies import required_statements
from course_grading.sandbox.guest.watchdog import (
    TICK,
    Watchdog,
    folder_settings,
    has_system_v_objects,
    inherited_settings,
)

MISSING = "missing"  # in place of an exception's name: the cells did not define the function
RUNNING = b"running"  # the heartbeat, sent while a job runs
_HEARTBEAT = 5.0  # seconds between two heartbeats
_WRITABLE = ("/scratch", "/dev/shm")
_EXERCISE_FILE, _CHECK_FILE, _EARLIER_FILE = "<the exercise>", "<its check>", "<above>"
_OUTPUT = 3  # the file descriptor that a fork writes to
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4  # linux/prctl.h
_KEYCTL = {"x86_64": 250, "aarch64": 219}  # the system call's number
_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h
# imported before the first job; IPython's transformer is for cells with magics
_ALWAYS_IMPORTED = ("IPython.core.inputtransformer2", "course_grading.sandbox.guest.serialize")


def main() -> None:
    """Import the modules that the first message names, then do one job per message."""
    if os.getpid() == 1:
        _detach_from_host()
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # output of imports and students must not reach the host
        os.dup2(null, standard)
    _set_traceable(False)
    # Signals from inside reach the first process only if it handles them, as Python does SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.dont_write_bytecode = True
    for name in (*_ALWAYS_IMPORTED, *_receive(source)["modules"]):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    _seed_random_generators()  # also causes lazy imports
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page
    _send(sink, b"ready")
    while (limits := _receive(source)) is not None and _supervise(source, sink, limits):
        pass


def _detach_from_host() -> None:
    """Die with the parent process, and leave the keyring of its login session."""
    system = ctypes.CDLL(None)
    # bubblewrap sets it too, but changing the user clears it
    system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    keyctl = _KEYCTL.get(os.uname().machine)
    if keyctl is not None:
        system.syscall(keyctl, _JOIN_SESSION_KEYRING, None)


def _set_traceable(traceable: bool) -> None:
    """Set whether other processes of this user may read this one's memory."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, int(traceable), 0, 0, 0)


# ---- messages: eight bytes of length, then the content ----


def _read_all(file: int, count: int) -> bytes:
    data = bytearray()
    while len(data) < count and (more := os.read(file, min(count - len(data), 1 << 20))):
        data += more
    return bytes(data)


def _receive(file: int) -> Any:
    head = _read_all(file, 8)
    return pickle.loads(_read_all(file, struct.unpack(">Q", head)[0])) if len(head) == 8 else None


def _write_all(file: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _send(file: int, content: bytes | memoryview) -> None:
    _write_all(file, struct.pack(">Q", len(content)))
    _write_all(file, content)


# ---- the first process ----


def _supervise(source: int, sink: int, limits: dict) -> bool:
    """Run the next job in a fork, within its limits; send its status and output.

    Returns:
        Whether the sandbox is as clean as before the job, and may run another.
    """
    settings = inherited_settings(), folder_settings(_WRITABLE)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            job = _receive(source)
            _confine(writer, limits)
            _write_all(_OUTPUT, b"!")  # confined: the watchdog may start
            _run_job(job)
        finally:
            os._exit(0)
    os.close(writer)
    os.read(reader, 1)
    watchdog = Watchdog(child, limits)
    # A mapping, which is unmapped: one student's results must not stay in memory for the next.
    with mmap.mmap(-1, limits["output"]) as buffer, memoryview(buffer) as view:
        status, size = _collect(reader, view, watchdog, (source, sink))
        os.close(reader)
        report = {
            "status": watchdog.finish(status),
            "seconds": watchdog.active_seconds,
            "alone": _forks_are_cheap(),
        }
        clean = _clean_up() and (inherited_settings(), folder_settings(_WRITABLE)) == settings
        _send(sink, json.dumps(report).encode())
        with view[:size] as written:
            _send(sink, written)
    return clean


def _collect(
    reader: int, view: memoryview, watchdog: Watchdog, host: tuple[int, int]
) -> tuple[str, int]:
    """Read a fork's output until it ends or exceeds a limit. Ends the sandbox if the host has
    ended, which closes the other end of the pipe ``host[0]``.

    Returns:
        ``done``, ``time``, ``memory`` or ``output``, and the number of bytes read.
    """
    status, size, next_heartbeat = "", 0, time.monotonic() + _HEARTBEAT
    hangup = select.poll()
    hangup.register(host[0], 0)  # no events but the hang-up
    while not status:
        if hangup.poll(0):
            os._exit(1)
        if select.select([reader], [], [], 0 if watchdog.exited else TICK)[0]:
            with view[size:] as free:
                count = os.readv(reader, [free])
            size += count
            if count == 0:
                status = "done"
            elif size == len(view):
                status = "output"
        elif watchdog.exited:
            # a process that the job left behind may hold the pipe open: do not wait for it
            status = "done"
        status = status or watchdog.check()
        if time.monotonic() > next_heartbeat:
            next_heartbeat = time.monotonic() + _HEARTBEAT
            _send(host[1], RUNNING)
    return status, size


def _clean_up() -> bool:
    """Kill every other process of the sandbox in one system call, which forks can't outrun, and
    empty the writable folders. False if something is left.
    """
    if os.getpid() != 1:  # no sandbox (--trusted)
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    paths = [path for folder in _WRITABLE for path in Path(folder).iterdir()]
    for path in paths:
        with contextlib.suppress(OSError, RecursionError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return not any(map(os.path.lexists, paths)) and not has_system_v_objects()


# ---- the fork ----


def _confine(writer: int, limits: dict) -> None:
    """Close the first process's files, and set the limits that the kernel enforces."""
    os.dup2(writer, _OUTPUT)
    os.closerange(_OUTPUT + 1, 1024)
    os.setsid()
    _set_traceable(True)  # else neither the fork nor the first process could read its /proc folder
    signal.signal(signal.SIGINT, signal.default_int_handler)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    cpu = limits["cpu_seconds"]
    for name, soft, hard in (
        (resource.RLIMIT_AS, in_use + limits["memory"], in_use + limits["memory"]),
        (resource.RLIMIT_CPU, cpu, cpu + limits["cpu_grace_seconds"]),
        (resource.RLIMIT_FSIZE, limits["file_size"], limits["file_size"]),
        (resource.RLIMIT_NPROC, limits["processes"], limits["processes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"], limits["open_files"]),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        allowed = resource.getrlimit(name)[1]
        if allowed != resource.RLIM_INFINITY:
            soft, hard = min(soft, allowed), min(hard, allowed)
        resource.setrlimit(name, (soft, hard))
    if os.getppid() == 1:
        seccomp.install()


def _write_line(line: dict) -> None:
    # the student's code may have written an incomplete line before
    _write_all(_OUTPUT, b"\n" + json.dumps(line).encode() + b"\n")


def _run_job(job: dict) -> None:
    """Run the cells that the function needs, then its visible check, then call it with the
    arguments of each case.
    """
    alone = job["alone"] if _forks_are_cheap() else []  # before the student's code imports more
    sys.modules["__main__"] = main_module = types.ModuleType("__main__")
    names = main_module.__dict__
    names.update(kernel_names())
    last = len(job["cells"]) - 1
    progress = {"cell": last}
    try:
        _run_cells(job["cells"], job["check"], job["renamed"], names, progress)
    except BaseException as error:
        _write_line({"stopped": progress["cell"] == last, **_describe(error, _EXERCISE_FILE)})
        return
    _accept_former_parameters(names, job["function"], job["renamed"])
    if job["function"] not in names:
        _write_line({"stopped": True, "line": None, "error": MISSING})
        return
    if job["check"] and not _run_check(job["check"], names):
        return
    for number, pickled in alone:
        _run_alone(names[job["function"]], number, pickled)
    for number, pickled in job["cases"]:
        _run_case(names[job["function"]], number, pickled)


def _forks_are_cheap() -> bool:
    """Whether a job may fork for a call: with torch, copying the page tables takes ten times as
    long.
    """
    return "torch" not in sys.modules


def _run_alone(function: Callable, number: int, pickled: bytes) -> None:
    """Make a call in a fork, so that later calls see none of its changes in memory."""
    try:
        child = os.fork()
    except OSError:  # the student's code has reached the limit of processes
        return
    if child == 0:
        try:
            _run_case(function, number, pickled)
        finally:
            os._exit(0)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def _run_check(check: str, names: dict) -> bool:
    try:
        exec(compile(check, _CHECK_FILE, "exec"), names)
    except BaseException as error:
        description = _describe(error, _EXERCISE_FILE)
        line = {"check": description["error"], "line": _line_number(error, _CHECK_FILE)}
        _write_line({**line, "cell_line": description["line"], "name": description["name"]})
        return False
    _write_line({"check": None})
    return True


def _run_case(function: Callable, number: int, pickled: bytes) -> None:
    from course_grading.sandbox.guest.serialize import serialize

    _seed_random_generators()
    arguments, keywords = pickle.loads(pickled)
    try:
        output = serialize(function(*arguments, **keywords))
        after = [
            serialize(argument) if type(argument).__name__ in ("ndarray", "Tensor") else None
            for argument in arguments
        ]
        line = {"case": number, "output": output, "after": after}
    except BaseException as error:
        line = {"case": number, **_describe(error, _EXERCISE_FILE)}
    _write_line(line)


def _describe(error: BaseException, file: str) -> dict[str, Any]:
    """An exception's type, its line in ``file``, and the module or variable that was not found."""
    name = error.name if isinstance(error, (NameError, ImportError)) else None
    return {"error": type(error).__name__, "line": _line_number(error, file), "name": name}


def _run_cells(
    cells: list[str], check: str, renamed: list[tuple], names: dict, progress: dict
) -> None:
    """Run the last cell, and before it the statements of earlier cells that it and its check need.
    ``progress`` holds the cell that is running.
    """
    trees = []
    for number, source in enumerate(cells, 1):
        try:
            trees.append(parse_cell(source))
        except Exception:
            if number == len(cells):
                raise
            trees.append(ast.Module([], []))  # an earlier cell may be invalid
        _add_new_names(trees[-1], renamed)
    if any("get_ipython" in source for source in cells):
        _patch_ipython()
    *earlier, exercise = trees
    last = len(earlier)
    target = ast.Module([*exercise.body, *ast.parse(check).body], [])
    statements = required_statements(earlier, target)
    run = _StatementRunner(names)
    for number, statement in [*statements, *((last, node) for node in exercise.body)]:
        progress["cell"] = number
        run(statement, _EXERCISE_FILE if number == last else _EARLIER_FILE)


def _patch_ipython() -> None:
    """Make ``from IPython import get_ipython`` import the stub, as there is no kernel."""
    for name in ("IPython", "IPython.core.getipython"):
        if name in sys.modules:
            vars(sys.modules[name])["get_ipython"] = kernel_names()["get_ipython"]


class _StatementRunner:
    """Runs statements one after the other as a kernel does: top-level ``await`` is allowed, and
    ``from __future__ import`` holds for all later statements.
    """

    def __init__(self, names: dict):
        self._names = names
        self._flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, statement: ast.stmt, file: str) -> None:
        tree = ast.Module([statement], [])
        code = compile(tree, file, "exec", self._flags, dont_inherit=True)
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            for alias in statement.names:
                self._flags |= getattr(__future__, alias.name).compiler_flag
        if not code.co_flags & inspect.CO_COROUTINE:
            exec(code, self._names)
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(eval(code, self._names))


def _add_new_names(tree: ast.Module, renamed: list[tuple]) -> None:
    """Append assignments of the current names to functions with the names of an earlier release."""
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for (name, *_), (former_name, *_) in renamed:
        if former_name in functions and name not in functions:
            tree.body += ast.parse(f"{name} = {former_name}").body


def _accept_former_parameters(names: dict, function: str, renamed: list[tuple]) -> None:
    """Let a function with former parameters accept the current ones as keywords."""
    for (name, *parameters), (_, *former_parameters) in renamed:
        if name == function and callable(names.get(name)) and parameters != former_parameters:
            with contextlib.suppress(TypeError, ValueError):  # no signature
                if [*inspect.signature(names[name]).parameters] == former_parameters:
                    former_of = dict(zip(parameters, former_parameters, strict=False))
                    names[name] = _with_keywords(names[name], former_of)


def _with_keywords(function: Callable, former_of: dict[str, str]) -> Callable:
    @functools.wraps(function)
    def call(*arguments, **keywords):
        return function(*arguments, **{former_of.get(k, k): v for k, v in keywords.items()})

    return call


def _seed_random_generators() -> None:
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def _line_number(error: BaseException, file: str) -> int | None:
    """The line of ``file`` in an exception's traceback; the outermost one."""
    if isinstance(error, SyntaxError):
        return error.lineno
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    return trace.tb_lineno if trace is not None else None


if __name__ == "__main__":
    main()
