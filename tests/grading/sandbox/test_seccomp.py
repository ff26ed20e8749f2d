"""The seccomp filter refuses the right system calls, for each architecture and in the sandbox."""

import errno
import platform
import struct

import pytest
from course_grading.sandbox import host
from course_grading.sandbox.guest import seccomp, serialize
from course_grading.sandbox.host import Job, Sandbox, pickle_arguments

X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003
ALLOWED, REFUSED, UNKNOWN = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
CLONE_THREAD_FLAGS, CLONE_NEWUSER = 0x3D0F00, 0x10000000


def decide(program: bytes, architecture: int, number: int, first_argument: int = 0) -> int:
    """The kernel's decision on a system call: interprets the BPF program."""
    instructions = list(struct.iter_unpack("=HBBI", program))
    fields = {0: number, 4: architecture, 16: first_argument & 0xFFFFFFFF}
    pc = value = 0
    while True:
        code, if_true, if_false, operand = instructions[pc]
        pc += 1
        if code == 0x20:
            value = fields[operand]
        elif code == 0x06:
            return operand
        else:
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: value & operand}[code]
            pc += if_true if holds else if_false


@pytest.mark.parametrize(
    ("machine", "architecture", "clone", "keyctl", "unshare", "memfd_create", "read"),
    [("x86_64", X86_64, 56, 250, 272, 319, 0), ("aarch64", AARCH64, 220, 219, 97, 279, 63)],
)
def test_decisions(machine, architecture, clone, keyctl, unshare, memfd_create, read):
    program = seccomp.program(machine)
    for number in (keyctl, unshare, memfd_create, 425, 447):  # io_uring_setup, memfd_secret
        assert decide(program, architecture, number) == REFUSED
    for number in (read, read + 1, 424, 436, 450):
        assert decide(program, architecture, number) == ALLOWED
    assert decide(program, architecture, clone, CLONE_THREAD_FLAGS) == ALLOWED
    assert decide(program, architecture, clone, CLONE_NEWUSER | 17) == REFUSED
    assert decide(program, architecture, 435) == UNKNOWN  # clone3
    assert decide(program, I386, read) == UNKNOWN
    assert decide(program, architecture, 0x40000000 + read) == UNKNOWN


def test_unsupported_architecture_has_no_filter():
    assert seccomp.program("riscv64") == b""


CALLS = """
import ctypes, os, subprocess, threading
def f():
    system = ctypes.CDLL(None, use_errno=True)
    null = ctypes.c_char_p(None)
    results = {
        "keyctl": system.syscall(250, 0, -3, 0),
        "add_key": system.syscall(248, b"user", b"x", b"y", 1, -3),
        "unshare": system.unshare(0x10000000),
        "files": system.unshare(0x400),
        "clone": system.syscall(56, 0x10000000 | 17, null, null, null, null),
        "io_uring": system.syscall(425, 1, ctypes.create_string_buffer(256)),
        "userfaultfd": system.syscall(323, 0),
        "memfd_secret": system.syscall(447, 0),
        "memfd_create": system.memfd_create(b"x", 0),
        "mq_open": system.syscall(240, b"x", 0o102, 0o600, null),
        "ioprio_set": system.syscall(251, 1, 1, 7),
    }
    worked = []
    thread = threading.Thread(target=lambda: worked.append(1))
    thread.start()
    thread.join()
    return [results, worked, subprocess.run(["true"]).returncode]
"""


def test_system_calls_that_no_exercise_needs_are_refused_in_the_sandbox():
    if reason := host.unavailable_reason():
        pytest.skip(reason)
    if platform.machine() != "x86_64":
        pytest.skip("the system call numbers are those of x86_64")
    with Sandbox() as sandbox:
        result = sandbox.run(Job([CALLS], "f", [(0, pickle_arguments(()))]))
    line = serialize.parse_line(serialize.find_lines(result.output, {0}).cases[0])
    refused, worked, status = serialize.deserialize(line["output"])
    assert set(refused.values()) == {-1} and worked == [1] and status == 0
