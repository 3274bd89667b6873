"""Chooses the user that PostgreSQL runs as, and the command prefix that starts it as that user.

A normal user runs PostgreSQL directly. Root runs it as the user `nobody`. The rights of folders are
never changed. If `nobody` cannot enter a folder, the process keeps a Linux capability to enter it.
"""

import os
import pwd
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
_DROP = Path(__file__).with_name("unprivileged.py")


@dataclass(frozen=True)
class Account:
    """A user, by its numeric ids. To run a command as that user, put `prefix` in front of it."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def own(self, path: Path) -> None:
        """Make the account the owner of a file or folder that the caller has created."""
        if self.prefix:
            os.chown(path, self.uid, self.gid)


def server_account(*paths: Path) -> Account:
    """The account for a server that must be able to reach all of `paths`; it is never root."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    nobody = pwd.getpwnam("nobody")
    reachable = all(_reaches(nobody.pw_uid, nobody.pw_gid, path.resolve()) for path in paths)
    capability = -1 if reachable else _needed_capability()
    drop = (sys.executable, "-I", "-S", str(_DROP))
    numbers = (str(nobody.pw_uid), str(nobody.pw_gid), str(capability))
    return Account(nobody.pw_uid, nobody.pw_gid, (*drop, *numbers))


def _reaches(uid: int, gid: int, path: Path) -> bool:
    return all(_may_search(uid, gid, folder.stat()) for folder in path.parents)


def _may_search(uid: int, gid: int, folder: os.stat_result) -> bool:
    if folder.st_uid == uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _needed_capability() -> int:
    # CAP_DAC_READ_SEARCH is enough, but root in a container often has only CAP_DAC_OVERRIDE.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    permitted = next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:"))
    has_search = int(permitted, 16) & (1 << CAP_DAC_READ_SEARCH)
    return CAP_DAC_READ_SEARCH if has_search else CAP_DAC_OVERRIDE
