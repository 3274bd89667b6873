"""The rules of a circuit, without I/O: when it opens, who tries it then, and when it closes.

circuit.lua has the same rules, so that all workers share a circuit in Valkey; this module has them
for a process that cannot reach Valkey. A test gives the same histories to both. All times are whole
milliseconds, so that both compute the same.

closed     all calls are made, and counted in a window of seconds
open       no call is made until a time, which doubles with each opening soon after another
half_open  one call at a time is made; some successes close the circuit, a failure opens it
"""

from dataclasses import dataclass, field

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"

WINDOW_SECONDS = 10
LEAST_CALLS = 10
"""A circuit does not open before so many calls are in its window."""
RECENT_SECONDS = 3
"""The newest part of the window counts by itself too. Good calls from before a platform began to
hang would hide that it hangs."""
FEW_CALLS, ROW_MS, ROW_GAP_MS = 5, 15_000, 60_000
"""So many bad calls in a row open a circuit with few calls, if they took so long and no two of them
are further apart than the gap."""
FIRST_OPEN_MS = 2_000
MOST_OPEN_MS = 60_000
CALM_MS = 60_000
"""A circuit that opens again within so long of its closing is open for longer than before."""
CLOSING = 3
"""So many successes, one after the other, close a circuit that is half open."""
MOST_LEASE_MS = 120_000
"""A call that tries an open circuit holds its leave for at most so long."""
HUNG_MS = 2_000
"""What a process says of its running calls is believed for so long."""


@dataclass(frozen=True)
class Report:
    """What a process says of a circuit, and what it asks.

    `calls` have ended since its last report, `bad` of which failed or were slow; `hung` run longer
    than a call may. All of them began in the epoch `epoch`. `token` is the leave under which a call
    was made while the circuit was half open; `verdict` is 1 if that call succeeded, 0 if it failed,
    and -1 if it says nothing. With `wants`, a token, leave is asked for such a call, which is lost
    after `lease_ms`. `why` says why the last bad call was bad. `permille` is the used part of the
    jitter.
    """

    reporter: str = ""
    epoch: int = 0
    calls: int = 0
    bad: int = 0
    hung: int = 0
    why: str = ""
    token: str = ""
    verdict: int = -1
    wants: str = ""
    lease_ms: int = 0
    permille: int = 0


@dataclass(frozen=True)
class View:
    """What a circuit answers to a report. `now`, `until` and `leased` are by the circuit's clock.

    `until` is when an open circuit lets a call through, and `leased` until when such a call holds
    its leave. `change` is the state that this report has led to, or "". `is_granted`: the leave
    that was asked for is given.
    """

    state: str
    epoch: int
    until: int
    leased: int
    why: str
    change: str
    is_granted: bool
    now: int


@dataclass
class Circuit:
    """The state of a circuit. `epoch` counts its openings, `times` those with no calm between."""

    state: str = CLOSED
    epoch: int = 0
    until: int = 0
    times: int = 0
    calm_at: int = 0
    """When a closed circuit forgets its openings."""
    good: int = 0
    token: str = ""
    leased: int = 0
    why: str = ""
    last: str = ""
    """Why the last bad call was bad."""
    row: int = 0
    """The bad calls since the last good one; the first was at `row_since`, the last at `row_at`."""
    row_since: int = 0
    row_at: int = 0
    slices: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Calls and bad calls, by the second in which they ended."""
    hung: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Running calls that are slow, by the process that makes them, and until when that counts."""

    def turn(self, report: Report, now: int) -> View:
        """Take a report at a time, and answer it."""
        self._follow(now)
        change = self._take_verdict(report, now)
        if self.state == CLOSED and report.epoch == self.epoch:
            self._count(report, now)
        if self.state == CLOSED:
            fault = self._fault(now)
            if fault:
                why = f"{fault} failed or were slow, the last one: {self.last}"
                self._open(why, report.permille, now)
                change = OPEN
        granted = self._grant(report, now)
        return View(self.state, self.epoch, self.until, self.leased, self.why, change, granted, now)

    def _follow(self, now: int) -> None:
        """Let nothing wait for longer than it ever may, as it would if the clock was set back."""
        self.until = min(self.until, now + MOST_OPEN_MS)
        self.leased = min(self.leased, now + MOST_LEASE_MS)
        self.calm_at = min(self.calm_at, now + CALM_MS)
        self.slices = {at: counted for at, counted in self.slices.items() if at <= now // 1000}
        self.hung = {by: each for by, each in self.hung.items() if each[1] <= now + HUNG_MS}
        if self.row_at > now:
            self.row = 0

    def _take_verdict(self, report: Report, now: int) -> str:
        if self.state != HALF_OPEN or not report.token or report.token != self.token:
            return ""
        self.token, self.leased = "", 0
        if report.verdict == 0:
            why = f"the call that tried whether it is over failed: {report.why}"
            self._open(why, report.permille, now)
            return OPEN
        self.good += report.verdict == 1
        if self.good < CLOSING:
            return ""
        self.state, self.good, self.until, self.why, self.calm_at = CLOSED, 0, 0, "", now + CALM_MS
        return CLOSED

    def _count(self, report: Report, now: int) -> None:
        second = now // 1000
        calls, bad = self.slices.get(second, (0, 0))
        if report.calls:
            self.slices[second] = calls + report.calls, bad + report.bad
        if report.hung:
            self.hung[report.reporter] = report.hung, now + HUNG_MS
        else:
            self.hung.pop(report.reporter, None)
        if report.why:
            self.last = report.why
        if report.calls > report.bad:
            self.row = 0
        elif report.bad:
            if not self.row or now - self.row_at > ROW_GAP_MS:
                self.row, self.row_since = 0, now
            self.row, self.row_at = self.row + report.bad, now

    def _fault(self, now: int) -> str:
        """Which calls were bad, if they are so many that the circuit opens; else ""."""
        first = now // 1000 - WINDOW_SECONDS
        self.slices = {at: counted for at, counted in self.slices.items() if at > first}
        self.hung = {by: (n, until) for by, (n, until) in self.hung.items() if until > now}
        for seconds in (WINDOW_SECONDS, RECENT_SECONDS):
            calls, bad = self._sums(now // 1000 - seconds)
            if calls >= LEAST_CALLS and bad * 2 >= calls:
                return f"{bad} of {calls} calls in {seconds} s"
        if self.row >= FEW_CALLS and self.row_at - self.row_since >= ROW_MS:
            return f"{self.row} calls in a row"
        return ""

    def _sums(self, first: int) -> tuple[int, int]:
        """The calls after a second and the bad ones of them, both with those that hang."""
        hung = sum(n for n, _ in self.hung.values())
        found = [counted for at, counted in self.slices.items() if at > first]
        return sum(n for n, _ in found) + hung, sum(n for _, n in found) + hung

    def _open(self, why: str, permille: int, now: int) -> None:
        if self.state == CLOSED and now >= self.calm_at:
            self.times = 0
        base = min(FIRST_OPEN_MS * 2 ** min(self.times, 10), MOST_OPEN_MS)
        self.state, self.why, self.good = OPEN, why, 0
        self.epoch, self.times = self.epoch + 1, self.times + 1
        self.until = now + base - base * permille // 4000
        self.slices, self.hung, self.row = {}, {}, 0

    def _grant(self, report: Report, now: int) -> bool:
        if not report.wants:
            return False
        if self.state == OPEN and now >= self.until:
            self.state, self.good, self.token, self.leased = HALF_OPEN, 0, "", 0
        if self.state != HALF_OPEN or (self.token and now < self.leased):
            return False
        self.token, self.leased = report.wants, now + min(report.lease_ms, MOST_LEASE_MS)
        return True
