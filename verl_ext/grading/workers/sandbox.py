"""Take a process's rights away before it runs what a model wrote. Linux on x86_64 only; elsewhere it refuses.

The kernel answers every system call that is not on a short list with "not permitted": no file can be written, created,
renamed or deleted, no process or thread started, no signal sent, no socket opened, and no limit lifted. The root user is
bound too, which the usual resource limits are not for.

What is left: reading files, using memory and the processor up to the limits set before, and writing to the files that
are open already. So close all but the one that carries the answer, and believe nothing of it but its kind.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys

NEEDS = (
    "The paper's grader and the scorers of reasoning-gym execute model output, so they run only where the kernel can confine "
    "it: Linux on x86_64 with seccomp. For mathematics, use the default grader."
)
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # REFUSE sets errno to EPERM
LOAD, JUMP_IF_EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06  # classic BPF: absolute word, equal to k, and k, return k
NUMBER_AT, ARCHITECTURE_AT, OPENAT_FLAGS_AT = 0, 4, 32  # offsets in struct seccomp_data
X86_64 = 0xC000003E

OPENAT = 257
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
ALLOWED_CALLS = {
    "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "lseek": 8, "mmap": 9, "mprotect": 10,
    "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "ioctl": 16, "pread64": 17,
    "access": 21, "sched_yield": 24, "mremap": 25, "madvise": 28, "getpid": 39, "exit": 60, "uname": 63, "fcntl": 72,
    "getcwd": 79, "readlink": 89, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99, "getuid": 102, "getgid": 104,
    "geteuid": 107, "getegid": 108, "gettid": 186, "futex": 202, "getdents64": 217, "clock_gettime": 228,
    "exit_group": 231, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "getrandom": 318, "statx": 332,
    "rseq": 334, "faccessat2": 439,
}  # fmt: skip
"""What CPython needs to compute and to import modules; ``openat`` is allowed for reading."""


def give_up_rights() -> None:
    """Bind this process for good, and end it with its parent.

    Raises:
        OSError: The machine cannot do this. Nothing untrusted may run then.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise OSError(f"{NEEDS} This is {sys.platform} on {platform.machine()}.")
    libc = ctypes.CDLL(None, use_errno=True)
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))
    _prctl(libc, PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)
    program = _filter()
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    _prctl(libc, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header, len(header)))


def _filter() -> bytes:
    """The list as a program for the kernel: check the architecture, then compare the call's number with each."""
    program = [
        _step(LOAD, ARCHITECTURE_AT),
        _step(JUMP_IF_EQUAL, X86_64, 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER_AT),
    ]
    for number in ALLOWED_CALLS.values():
        program += [_step(JUMP_IF_EQUAL, number, 0, 1), _step(RETURN, ALLOW)]
    program += [
        _step(JUMP_IF_EQUAL, OPENAT, 0, 4),
        _step(LOAD, OPENAT_FLAGS_AT),
        _step(AND, WRITING),
        _step(JUMP_IF_EQUAL, 0, 0, 1),
        _step(RETURN, ALLOW),
        _step(RETURN, REFUSE),
    ]
    return b"".join(program)


def _step(operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, operand)


def _prctl(libc: ctypes.CDLL, option: int, *arguments: object) -> None:
    filled = (*arguments, *[0] * (4 - len(arguments)))
    if libc.prctl(option, *(ctypes.c_ulong(value) if isinstance(value, int) else value for value in filled)):
        code = ctypes.get_errno()
        raise OSError(code, f"{NEEDS} prctl({option}): {os.strerror(code)}.")
