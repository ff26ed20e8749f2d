"""The program that runs in the sandbox: it calls students' functions and tells what they returned.

It imports what a lesson needs once, then forks for every job, so that a submission costs a fork and
not an import of torch. The first process of the sandbox runs no student's code and never holds a
job: the fork reads it, so no other student's work is in its memory. The fork can't signal or trace
the first process, which alone speaks with the outside and after each job ends whatever is left.

A job names the cells of a notebook, the last one with the exercise, its visible check, its
function, and the arguments of each hidden case. The fork writes one line of JSON for the check and
one a case; see
:mod:`.crossing`. There is nothing to gain from writing other lines: what is right is not known in
here, and a check that holds earns nothing by itself.
"""

import ast
import contextlib
import ctypes
import importlib
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
from pathlib import Path
from typing import Any

from course_grading.sandbox.guest import watchdog

MISSING = "missing"  # the cells ran, but the function is not there
_WRITABLE = ("/scratch", "/dev/shm")
_CELL, _CHECK = "<the exercise>", "<its check>"
_TICK = 0.1  # seconds between two looks at the memory of a job
_OUT = 3  # the file on which a fork writes
_PR_SET_DUMPABLE = 4  # linux/prctl.h


def main() -> None:
    """Import what the first message names, then do one job a message until there are no more."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # nothing that an import or a student prints gets out
        os.dup2(null, standard)
    _traceable(False)
    # the one signal that Python handles, and so could be sent from inside
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.dont_write_bytecode = True
    for name in _receive(source)["modules"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    _send(sink, b"ready")
    while (limits := _receive(source)) is not None and _supervise(source, sink, limits):
        pass


def _traceable(yes: bool) -> None:
    """Whether another process of this user may read this one's memory."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, int(yes), 0, 0, 0)


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


def _send(file: int, part: bytes | memoryview) -> None:
    _write_all(file, struct.pack(">Q", len(part)))
    _write_all(file, part)


def _supervise(source: int, sink: int, limits: dict) -> bool:
    """Have a fork do the next job within its limits, and send how it ended and what it wrote.

    Returns:
        Whether this sandbox is as clean as before, and may do another job.
    """
    usual, settings = watchdog.held("self"), watchdog.settings()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            job = _receive(source)
            _confine(writer, limits)
            _write_all(_OUT, b"!")  # from here on it can be watched
            _work(job)
        finally:
            os._exit(0)
    os.close(writer)
    os.read(reader, 1)
    until, size, ended, gone, look = time.monotonic() + limits["patience"], 0, b"", False, 0.0
    # Not a bytes object: what one student's function returned must not stay in memory for the next.
    with mmap.mmap(-1, limits["output"]) as written, memoryview(written) as view:
        while not ended:
            if select.select([reader], [], [], 0 if gone else _TICK)[0]:
                with view[size:] as free:
                    size += (more := os.readv(reader, [free]))
                ended = b"done" if not more else b"output" if size == limits["output"] else b""
            elif (
                gone
            ):  # a process that it left behind holds the pipe open: nobody waits for that one
                ended = b"done"
            if not ended and time.monotonic() > until:
                ended = b"time"
            if not ended and time.monotonic() > look:
                look = time.monotonic() + _TICK
                held = sum(max(0, watchdog.held(pid) - usual) for pid in watchdog.others())
                held += watchdog.segments()
                ended = b"memory" if held > limits["memory"] else b""
            if not gone:
                pid, status, used = os.wait4(child, os.WNOHANG)
                gone = pid == child
        os.close(reader)
        if not gone:  # it is about to end, or should
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
        # which the kernel counts somewhat later than the limit
        spent = used.ru_utime + used.ru_stime
        if ended == b"done" and os.WIFSIGNALED(status) and spent > 0.9 * limits["seconds"]:
            ended = b"time"  # the kernel ended it
        clean = _end_all() and watchdog.settings() == settings
        _send(sink, ended)
        with view[:size] as told:
            _send(sink, told)
    return clean


def _end_all() -> bool:
    """End every other process of the sandbox, in one step that no fork can outrun, and empty its
    folders.
    """
    if os.getpid() != 1:  # no sandbox: an instructor trusts these students
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    left = [path for folder in _WRITABLE for path in Path(folder).iterdir()]
    for path in left:
        with contextlib.suppress(OSError, RecursionError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return not any(map(os.path.lexists, left)) and not watchdog.left_behind()


def _confine(writer: int, limits: dict) -> None:
    """In the fork: let go of what belongs to the first process, and set the limits that the kernel
    holds.
    """
    os.dup2(writer, _OUT)
    os.closerange(_OUT + 1, 1024)
    os.setsid()
    _traceable(True)  # else neither it nor the first process could read its /proc/self
    signal.signal(signal.SIGINT, signal.default_int_handler)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_AS, now + limits["memory"]),
        (resource.RLIMIT_CPU, limits["seconds"]),
        (resource.RLIMIT_FSIZE, limits["files"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def _say(line: dict) -> None:
    _write_all(_OUT, json.dumps(line).encode() + b"\n")


def _work(job: dict) -> None:
    """In the fork: run what the function needs, then call it with the arguments of each case."""
    from course_grading.sandbox.guest.serialize import describe

    sys.modules["__main__"] = main = types.ModuleType("__main__")
    last = len(job["cells"]) - 1
    stage = {"cell": last}
    try:
        _run_cells(job["cells"], job["check"], main.__dict__, stage)
    except BaseException as error:
        return _say(
            {
                "stopped": stage["cell"] == last,
                "line": _line(error, _CELL),
                "error": type(error).__name__,
            }
        )
    if job["function"] not in main.__dict__:
        return _say({"stopped": True, "line": None, "error": MISSING})
    try:
        exec(compile(job["check"], _CHECK, "exec"), main.__dict__)
        _say({"check": None})
    except BaseException as error:
        return _say({"check": type(error).__name__, "line": _line(error, _CHECK)})
    function = main.__dict__[job["function"]]
    for number, pickled in job["cases"]:
        _same_random_numbers()
        arguments = pickle.loads(pickled)
        try:
            output = describe(function(*arguments))
            after = [
                describe(one) if type(one).__name__ in ("ndarray", "Tensor") else None
                for one in arguments
            ]
            line = {"case": number, "output": output, "after": after}
        except BaseException as error:
            line = {"case": number, "error": type(error).__name__}
        _say(line)


def _run_cells(cells: list[str], check: str, names: dict, stage: dict) -> None:
    """Run the last cell, and before it what it and its check need of the others."""
    from course_grading.sandbox.guest.dependencies import needed

    parsed = []
    for number, source in enumerate(cells, 1):
        try:
            parsed.append(ast.parse(_python(source)))
        except Exception:
            if number == len(cells):
                raise
            parsed.append(ast.Module([], []))  # another exercise: it may be broken
    last = len(cells) - 1
    target = ast.Module([*parsed[-1].body, *ast.parse(check).body], [])
    for number, statement in [
        *needed(parsed[:-1], target),
        *((last, one) for one in parsed[-1].body),
    ]:
        stage["cell"] = number
        exec(
            compile(ast.Module([statement], []), _CELL if number == last else "<above>", "exec"),
            names,
        )


def _python(source: str) -> str:
    """A cell's source without the lines that only IPython reads, ``%matplotlib`` or ``!ls``."""
    try:
        ast.parse(source)
    except SyntaxError:
        rows = ((row, row.lstrip()) for row in source.split("\n"))
        return "\n".join(
            row[: len(row) - len(text)] + "pass" if text.startswith(("%", "!")) else row
            for row, text in rows
        )
    return source


def _same_random_numbers() -> None:
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def _line(error: BaseException, where: str) -> int | None:
    """The line of a cell or check that an error comes from: the outermost one."""
    if isinstance(error, SyntaxError):
        return error.lineno
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != where:
        trace = trace.tb_next
    return trace.tb_lineno if trace is not None else None


if __name__ == "__main__":
    main()
