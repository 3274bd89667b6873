"""How much of a worker's time the expressions of each user take, and which must wait.

A user's account is a date, up to which what the user has had is within its share (a generic cell
rate algorithm). All processes of a worker have the same accounts, in memory that they share. A step
of a user who has one may have to wait if it is heavy itself. It is promised a time, and the next
step a later one. At that time any worker may run it, unless its user has had much more there than
was promised.

Invariant: in any time t, a worker gives the heavy steps of one user at most `share` times t, and
BURST_SECONDS and the time of one step more. A step that is heavy for the first time is not asked
while its user has time left.
"""

import fcntl
import mmap
import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

HEAVY_SECONDS = 0.01
"""Time below which the expressions of a step are not counted."""
BURST_SECONDS = 1.5
"""What a user may have beyond its share, for steps that were promised their time."""
UNPROMISED_BURST_SECONDS = 0.25
"""The same for steps that have not waited yet."""
HORIZON_SECONDS = 300.0
"""The longest promise. Beyond it, a step waits up to twice as long and then asks again."""

_WEIGHT = 0.125
"""What the latest of a step's costs weighs in their average."""
_MOST = 10_000
"""So many steps of definitions a process remembers."""
_PLACES = 2**20
"""So many accounts there are. Two users with the same one are not worth a thought."""
_DATES = struct.Struct("dd")

Kind = tuple[UUID, str, int, str]
"""A user, and a step of a version of a definition. Its items and turns are of one kind."""


@dataclass
class _Account:
    """Times of a user, by the clock of the caller, which all processes have."""

    used_until: float = 0.0
    """From when on what was used is within the share."""
    promised_until: float = 0.0
    """From when on what was promised is within the share."""


class _Accounts:
    """The accounts of users, for the process that makes them and those forked from it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._file = os.memfd_create("accounts")
        # Pages that were never written take no memory.
        os.ftruncate(self._file, _PLACES * _DATES.size)
        self._memory = mmap.mmap(self._file, _PLACES * _DATES.size)

    def get(self, user: UUID) -> _Account:
        """A copy of a user's account; zeros if the user has none."""
        return _Account(*_DATES.unpack_from(self._memory, self._place(user)))

    @contextmanager
    def changing(self, user: UUID) -> Iterator[_Account]:
        """A user's account for the block, which may change it."""
        place = self._place(user)
        # The kernel gives the lock back if the process dies. It excludes no thread.
        with self._guard:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, place)
            try:
                account = self.get(user)
                yield account
                dates = account.used_until, account.promised_until
                _DATES.pack_into(self._memory, place, *dates)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def _place(self, user: UUID) -> int:
        return user.int % _PLACES * _DATES.size


class Shares:
    """The books of one worker; `share` is what a user may have of the time of one core."""

    def __init__(self, share: float) -> None:
        self.share = share
        # What the steps of the users who have an account took lately in this process.
        self._costs: OrderedDict[Kind, float] = OrderedDict()
        self._accounts = _Accounts()

    def is_asked(self, kind: Kind, now: float) -> bool:
        """Whether a step may have to wait: it is heavy, or it is not known while its user has no
        time left."""
        account = self._accounts.get(kind[0])
        cost = self._costs.get(kind)
        return self._unpromised(account) > now if cost is None else cost >= HEAVY_SECONDS

    def pause(self, kind: Kind, now: float, fraction: float, *, is_promised: bool) -> float | None:
        """The seconds for which a step that is asked must wait; None if it may run now.

        `is_promised`: it has waited for such a pause. `fraction` in [0, 1) spreads the pauses that
        would be longer than the horizon.
        """
        with self._accounts.changing(kind[0]) as account:
            if is_promised and account.used_until - BURST_SECONDS / self.share <= now:
                return None
            is_in_line = kind in self._costs and account.promised_until > now
            if self._unpromised(account) <= now and not is_in_line:
                return None
            return self._promise(account, kind, now, now, fraction)

    def promise(self, kind: Kind, now: float, fraction: float) -> float:
        """The seconds for which a step must wait that found another one of its user running."""
        with self._accounts.changing(kind[0]) as account:
            return self._promise(account, kind, now + self._cost(kind), now, fraction)

    def _promise(
        self, account: _Account, kind: Kind, earliest: float, now: float, fraction: float
    ) -> float:
        begins = max(earliest, self._unpromised(account))
        if kind in self._costs:
            begins = max(begins, account.promised_until)
        if begins - now > HORIZON_SECONDS:
            return HORIZON_SECONDS * (1.0 + fraction)
        if kind in self._costs:
            account.promised_until = begins + self._cost(kind) / self.share
        return begins - now

    def _cost(self, kind: Kind) -> float:
        return max(HEAVY_SECONDS, self._costs.get(kind, 0.0))

    def use(self, kind: Kind, seconds: float, now: float, *, is_more: bool = False) -> None:
        """Book what the expressions of a step have taken until `now`.

        `is_more`: this is the rest of an attempt of which a part was booked before.
        """
        is_light = seconds < HEAVY_SECONDS
        if is_light and (is_more or not self._accounts.get(kind[0]).used_until):
            return
        with self._accounts.changing(kind[0]) as account:
            if not is_light:
                began = now - seconds
                account.used_until = max(account.used_until, began) + seconds / self.share
            self._learn(kind, seconds, is_more=is_more)

    def _unpromised(self, account: _Account) -> float:
        """When a step may run that was promised nothing."""
        return account.used_until - UNPROMISED_BURST_SECONDS / self.share

    def _learn(self, kind: Kind, seconds: float, *, is_more: bool) -> None:
        known = self._costs.pop(kind, None)
        if known is None:
            self._costs[kind] = seconds
        else:
            self._costs[kind] = known + _WEIGHT * (seconds if is_more else seconds - known)
        if len(self._costs) > _MOST:
            self._costs.popitem(last=False)
