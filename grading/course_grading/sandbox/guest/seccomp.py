"""A seccomp filter for jobs: refuses system calls that no exercise needs or that evade a limit.

The filter is a classic BPF program (``linux/filter.h``), which none of the course's packages can
make. A refused call fails with EPERM or ENOSYS. On an architecture without a table here there is no
filter.
"""

import ctypes
import errno
import platform
import struct

# linux/audit.h and asm/unistd.h of the two architectures
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED = {
    # name: its number on x86_64, on aarch64
    # keys belong to the instructor's login session
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # new namespaces and file tables, which the watchdog does not see
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    # files and memory that belong to no process
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # queues that outlive their process
    "mq_open": (240, 180),
    # an I/O priority, which can be set for the first process and would outlive the job
    "ioprio_set": (251, 30),
    # no exercise needs them, and they have had many vulnerabilities
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
}
_CLONE = (56, 220)
_CLONE3 = 435  # a filter can't read its flags; on ENOSYS libraries use clone
# linux/sched.h: CLONE_NEWNS, CLONE_NEWUSER and the others
_NAMESPACES = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x20000
_X32 = 0x40000000  # the bit that marks numbers of the x32 ABI on x86_64

# linux/bpf_common.h
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# linux/seccomp.h: the filter's return values, and offsets in struct seccomp_data
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install() -> bool:
    """Apply the filter to this process and its descendants, irrevocably. False if the kernel does
    not support it, or there is no table for this architecture.
    """
    code = program(platform.machine())
    if not code:
        return False
    system = ctypes.CDLL(None, use_errno=True)
    # the kernel requires 64-bit zeros as unused arguments
    rest = [ctypes.c_ulong(0)] * 3
    if system.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *rest):
        return False
    structure = _Program(len(code) // 8, code)
    pointer = ctypes.byref(structure)
    return not system.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), pointer, *rest[:2])


def program(machine: str) -> bytes:
    """The filter's instructions for an architecture, eight bytes each; empty if it has no table."""
    if machine not in _ARCHITECTURES:
        return b""
    column = list(_ARCHITECTURES).index(machine)
    refused = sorted(numbers[column] for numbers in _REFUSED.values())
    # the numbers of other ABIs (32-bit, x32) are not in the table
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _instruction(_RETURN, _ERROR | errno.ENOSYS),
        _instruction(_LOAD, _NUMBER),
        _instruction(_JUMP_AT_LEAST, _X32, 0, 1),
        _instruction(_RETURN, _ERROR | errno.ENOSYS),
    ]
    for number in refused:
        code += [
            _instruction(_JUMP_EQUAL, number, 0, 1),
            _instruction(_RETURN, _ERROR | errno.EPERM),
        ]
    code += [
        _instruction(_JUMP_EQUAL, _CLONE3, 0, 1),
        _instruction(_RETURN, _ERROR | errno.ENOSYS),
        _instruction(_JUMP_EQUAL, _CLONE[column], 0, 3),
        _instruction(_LOAD, _FIRST_ARGUMENT),
        _instruction(_JUMP_SET, _NAMESPACES, 0, 1),
        _instruction(_RETURN, _ERROR | errno.EPERM),
        _instruction(_RETURN, _ALLOW),
    ]
    return b"".join(code)


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; ``if_true`` and ``if_false`` are how many instructions to skip."""
    return struct.pack("=HBBI", code, if_true, if_false, operand)
