"""Executes a command as another user: `python -I -S unprivileged.py UID GID CAPABILITY ARGV...`.

PostgreSQL refuses to run as root. The other user may be unable to reach the program or its data
(for example, if a parent folder has mode 0700). Then the command keeps one Linux capability, so
that the rights of folders need not change. CAPABILITY -1 means none. This module imports only the
standard library.
"""

import ctypes
import os
import sys

# linux/prctl.h, linux/securebits.h and linux/capability.h
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def become(uid: int, gid: int, capability: int) -> None:
    """Become the user permanently. Keep one capability (below 32), or none (-1), after the exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    if capability >= 0:
        # With this bit, the process keeps its capabilities when its user changes, and access(2)
        # respects them. PostgreSQL's programs find each other by access(2).
        kept = libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
        _check(kept, "prctl(PR_SET_SECUREBITS)")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capability >= 0:
        _keep(libc, capability)


def _keep(libc: ctypes.CDLL, capability: int) -> None:
    # The permitted set must not exceed the ambient set. Otherwise the kernel treats the exec like
    # one of a set-user-id program, and the loader ignores the $ORIGIN paths of the wheel.
    bit = 1 << capability
    sets = (_Sets * 2)(_Sets(bit, bit, bit), _Sets(0, 0, 0))
    header = _Header(CAPABILITY_VERSION_3, 0)
    _check(libc.capset(ctypes.byref(header), sets), "capset")
    raised = libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)
    _check(raised, "prctl(PR_CAP_AMBIENT_RAISE)")


def _check(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")


if __name__ == "__main__":
    become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 - no shell is the point
