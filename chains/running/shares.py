"""How much of a worker process's time the expressions of each user take, and which must wait.

Each process has books of its own, and they need no counter: a user's account is a date, up to which
what the user has had is within its share (a generic cell rate algorithm). Only users whose
expressions were heavy have one. A step of such a user may have to wait if it is heavy itself. It is
promised a time, and the next step a later one. At that time any process may run it, unless its user
has had much more there than was promised.

Invariant: in any time t, a process gives the heavy steps of one user at most `share` times t, and
BURST_SECONDS and the time of one step more. A step that is heavy for the first time is not asked.
"""

import threading
from collections import OrderedDict
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
"""So many users, and so many steps of definitions, are in the books of a process."""

Kind = tuple[UUID, str, int, str]
"""A user, and a step of a version of a definition. Its items and turns are of one kind."""


@dataclass
class _Account:
    """Times of a user, by the clock of the caller."""

    used_until: float = 0.0
    """From when on what was used is within the share."""
    promised_until: float = 0.0
    """From when on what was promised is within the share."""


class Shares:
    """The books of one process; `share` is what a user may have of the process's time."""

    def __init__(self, share: float) -> None:
        self.share = share
        self._guard = threading.Lock()
        # What the steps of the users who have an account took lately.
        self._costs: OrderedDict[Kind, float] = OrderedDict()
        self._accounts: OrderedDict[UUID, _Account] = OrderedDict()

    def is_asked(self, kind: Kind, now: float) -> bool:
        """Whether a step may have to wait: it is heavy, or it is not known while its user has no
        time left."""
        account = self._accounts.get(kind[0])
        if account is None:
            return False
        cost = self._costs.get(kind)
        return self._unpromised(account) > now if cost is None else cost >= HEAVY_SECONDS

    def pause(self, kind: Kind, now: float, fraction: float, *, is_promised: bool) -> float | None:
        """The seconds for which a step that is asked must wait; None if it may run now.

        `is_promised`: it has waited for such a pause. `fraction` in [0, 1) spreads the pauses that
        would be longer than the horizon.
        """
        with self._guard:
            account = self._accounts.get(kind[0])
            if account is None:
                return None
            if is_promised and account.used_until - BURST_SECONDS / self.share <= now:
                return None
            is_in_line = kind in self._costs and account.promised_until > now
            if self._unpromised(account) <= now and not is_in_line:
                return None
            return self._promise(account, kind, now, now, fraction)

    def promise(self, kind: Kind, now: float, fraction: float) -> float:
        """The seconds for which a step must wait that found another one of its user running."""
        with self._guard:
            account = self._accounts.setdefault(kind[0], _Account())
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
        if seconds < HEAVY_SECONDS and (is_more or kind[0] not in self._accounts):
            return
        with self._guard:
            account = self._accounts.setdefault(kind[0], _Account())
            self._accounts.move_to_end(kind[0])
            if seconds >= HEAVY_SECONDS:
                began = now - seconds
                account.used_until = max(account.used_until, began) + seconds / self.share
            self._learn(kind, seconds, is_more=is_more)
            self._forget(now)

    def _unpromised(self, account: _Account) -> float:
        """When a step may run that was promised nothing."""
        return account.used_until - UNPROMISED_BURST_SECONDS / self.share

    def _learn(self, kind: Kind, seconds: float, *, is_more: bool) -> None:
        known = self._costs.pop(kind, None)
        if known is None:
            self._costs[kind] = seconds
        else:
            self._costs[kind] = known + _WEIGHT * (seconds if is_more else seconds - known)

    def _forget(self, now: float) -> None:
        """Keep the books small. Users whose times are past go first, then those who were heavy
        longest ago."""
        if len(self._costs) > _MOST:
            self._costs.popitem(last=False)
        if len(self._accounts) > _MOST:
            accounts = [
                (user, each)
                for user, each in self._accounts.items()
                if max(each.used_until, each.promised_until) > now
            ]
            self._accounts = OrderedDict(accounts[-_MOST:])
