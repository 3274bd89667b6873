"""The rules of limits, without I/O: when a call may be made, and what refusals teach.

limits.lua has the same rules, for all workers together. A test gives the same histories to both.
Times are milliseconds; rates are requests in each second.

Requests are spaced evenly: each takes the next free moment (GCRA, as ATM Forum TM 4.0 defines it).
A refusal without a stated wait halves the rate. The rate then climbs fast to a little below what
the vendor was seen to accept, and slowly further (additive increase, multiplicative decrease, with
a memory of the limit as in RFC 9438).
"""

import math
from dataclasses import dataclass, field

from app.outbound.limits.lanes import MOST_AHEAD_MS, Lanes
from app.outbound.scopes import Limit

SLICE_MS = 250
TOKENS_AHEAD_MS = 10_000
"""The tokens of so much time may be used at once."""
FULL_MS = 200
"""The pause before it is asked again whether a request in flight has ended."""
UNUSED_MS = 1_000
"""If places have been free for so long, those that wait have not come, and count no more: else the
steps of a workflow that was paused or has ended would hold up the calls of others."""
NEWEST = 0.125
"""The part of the newest call in the mean time for which calls hold their places."""
NEAR = 0.95
STEP, SLOW_MS, AGAIN_MS, FAST_MS = 0.05, 5_000, 1_000, 250
"""The rate climbs by this part in each of two slow quiet intervals, then by twice as much in each
shorter one. Below the ceiling it climbs by twice as much in each fast one."""
SETTLE_MS = 1_000
"""A lower rate shows only after so long: what was sent before still counts at the vendor."""
SEEN_SLICES = 20
"""In so many slices of the past it is looked how much a vendor accepts in a second."""
FORGOTTEN = 4.0
"""At so many times its ceiling a rate is forgotten, if nothing is configured."""
LEAST_RATE = 0.05
MOST_CLOSED_MS = 3_600_000
"""A limit is closed for at most so long. Then a call tries whether the vendor still refuses."""
BACK_MS = 1_000
"""A clock that is further behind the last time that a limit was used was set back."""
RETRIES = 0.1
"""The part of the calls to a platform that may be repeated calls."""
MOST_RETRIES = 10.0
AMPLE_RETRIES = 2.0
"""With so many left, no user waits for another."""
RETRIES_PER_SECOND = 0.5
"""So many are allowed however few other calls there are, so that none waits for ever."""


@dataclass(frozen=True)
class Ask:
    """A call that wants to be made. It may be told to wait for up to `most_ms`.

    What it holds is free again after `hold_ms`, even if nobody gives it back. `owner` is the step
    that makes it, one call after the other: what an earlier call of the step still holds is free,
    because the attempt that made that call is dead. `user` is whose step it is. Both may be empty.
    """

    id: str
    tokens: int = 0
    most_ms: float = 0.0
    hold_ms: float = 60_000.0
    is_retry: bool = False
    owner: str = ""
    user: str = ""


@dataclass(frozen=True)
class Answer:
    """`wait` is in milliseconds: until the call may be made, or may ask again if not `is_taken`.

    `place` is that of the limit that asks for the longest wait; -1 is the budget for retries.
    `tops` are the requests in each second that answers have told for each limit, 0 if none has.
    """

    is_taken: bool
    wait: float
    place: int
    now: float
    tops: tuple[float, ...] = ()


@dataclass(frozen=True)
class Note:
    """What became of a call, for one limit. Negative numbers stand for what is not known.

    `asked` is when it took its place, and `at` when it was to be made. `token_limit` are the tokens
    that are allowed in each second, and `tokens_left` those that may be used now.
    """

    id: str
    asked: float
    at: float
    is_refused: bool = False
    after_ms: float = -1.0
    limit: float = -1.0
    remaining: float = -1.0
    reset_ms: float = -1.0
    tokens: float = -1.0
    token_limit: float = -1.0
    tokens_left: float = -1.0
    owner: str = ""


@dataclass
class Bucket:
    """The state of one limit. `rate` is 0 while it is what is configured or was told (`top`)."""

    at: float = 0.0
    """When the limit was used last."""
    rate: float = 0.0
    top: float = 0.0
    token_top: float = 0.0
    """The tokens in each second that answers have told, 0 if none has."""
    ceiling: float = 0.0
    cut_at: float = -1.0
    climb_at: float = 0.0
    quiet: int = 0
    free: float = 0.0
    """When the next request may be made."""
    free_tokens: float = 0.0
    closed: float = 0.0
    """When the limit is open again."""
    left: float = 0.0
    left_until: float = 0.0
    made: dict[str, float] = field(default_factory=dict)
    """Calls that were made less those that were refused, by quarters of a second."""
    held: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    """Until when the call in flight of each owner holds its place, its tokens, and its id."""
    lanes: Lanes = field(default_factory=Lanes)
    places: Lanes = field(default_factory=Lanes)
    """The turns at the places in flight."""
    lasted: float = 0.0
    """For how long the calls that have ended lately held their places, on average."""
    full_until: float = 0.0
    """When all places in flight were seen to be taken last."""

    def free_dead(self, limit: Limit, ask: Ask, now: float) -> None:
        """Free what an earlier attempt of the step that asks has not given back."""
        self._follow(now)
        _, tokens, _ = self.held.pop(ask.owner, (0.0, 0.0, ""))
        if tokens > 0 and self._token_rate(limit) > 0:
            self.free_tokens -= tokens * 1000.0 / self._token_rate(limit)

    def wait(self, limit: Limit, ask: Ask, now: float) -> float:
        """The milliseconds until a call may be made."""
        self._climb(limit, now)
        found = max(0.0, self.closed - now)
        rate = self._current(limit)
        if rate > 0:
            found = max(found, self.free - now - (limit.burst - 1) * 1000.0 / rate)
        if ask.tokens > 0 and self._token_rate(limit) > 0:
            found = max(found, self.free_tokens - now - TOKENS_AHEAD_MS)
        if self.left_until > now and self.left < 1:
            found = max(found, self.left_until - now)
        return max(found, self.lanes.wait(ask.user, now))

    def is_full(self, limit: Limit, ask: Ask, now: float) -> bool:
        """Whether as many requests are in flight as may be, or the few places that are free are for
        other users, which wait. A user may be one call ahead of its turn: else places stay empty
        whenever the next user comes a little late."""
        self.held = {id: each for id, each in self.held.items() if each[0] > now}
        if limit.in_flight <= 0:
            return False
        if len(self.held) >= limit.in_flight:
            self.full_until = now
        elif now >= self.full_until + UNUSED_MS:
            self.places = Lanes()
        turn, waiting = self.places.wait(ask.user, now), self.places.waiting(ask.user, now)
        free = limit.in_flight - len(self.held)
        is_ahead = turn > self.lasted / limit.in_flight * (waiting + 1)
        return free <= 0 or (is_ahead and free <= waiting)

    def spacing(self, limit: Limit, ask: Ask) -> float:
        """The milliseconds in which the limit allows one such call."""
        rate, tokens = self._current(limit), self._token_rate(limit)
        found = 1000.0 / rate if rate > 0 else float(FULL_MS) if limit.in_flight > 0 else 0.0
        return max(found, ask.tokens * 1000.0 / tokens if tokens > 0 else 0.0)

    def place_spacing(self, limit: Limit, ask: Ask) -> float:
        """The milliseconds after which another call may ask for a place: as one becomes free while
        all are taken and the rate allows a call, but at most FULL_MS if it allows them faster."""
        if self.lasted <= 0:
            return self.spacing(limit, ask)
        rate, found = self._current(limit), min(self.lasted / limit.in_flight, float(FULL_MS))
        return max(found, 1000.0 / rate if rate > 0 else 0.0)

    def _use(self, limit: Limit, ask: Ask, now: float) -> float:
        """The milliseconds of the limit that a call uses up, 0 if it has no rate. Tokens count
        while they are short, because most calls reserve more than they use."""
        rate, tokens = self._current(limit), self._token_rate(limit)
        is_short = tokens > 0 and self.free_tokens > now
        found = ask.tokens * 1000.0 / tokens if is_short else 0.0
        return max(found, 1000.0 / rate if rate > 0 else 0.0)

    def grant(self, limit: Limit, ask: Ask, now: float, wait: float) -> None:
        """Let a call take its place, to be made after the wait."""
        self.lanes.make(ask.user, self._use(limit, ask, now), now)
        left = limit.in_flight - len(self.held) - 1
        # Of places of which more are left than users wait, none has to be shared out.
        if limit.in_flight > 0 and left <= self.places.waiting(ask.user, now):
            self.places.make(ask.user, self.lasted / limit.in_flight, now)
        rate, slice = self._current(limit), str(math.floor((now + wait) / SLICE_MS))
        if rate > 0:
            self.free = max(self.free, now) + 1000.0 / rate
        if ask.tokens > 0 and self._token_rate(limit) > 0:
            cost = ask.tokens * 1000.0 / self._token_rate(limit)
            self.free_tokens = min(max(self.free_tokens, now) + cost, now + MOST_CLOSED_MS)
        if self.left_until > now:
            self.left -= 1
        if limit.in_flight > 0 or ask.tokens > 0:
            held = now + wait + ask.hold_ms, float(ask.tokens), ask.id
            self.held[ask.owner or ask.id] = held
        self.made[slice] = self.made.get(slice, 0.0) + 1
        oldest = math.floor(now / SLICE_MS) - SEEN_SLICES - 4
        self.made = {at: number for at, number in self.made.items() if int(at) >= oldest}

    def note(self, limit: Limit, note: Note, now: float) -> None:
        """Take note of what became of a call."""
        self._follow(now)
        if note.limit > 0:
            self.top = note.limit
        if note.token_limit > 0:
            self.token_top = note.token_limit
        if note.remaining >= 0 and note.reset_ms > 0:
            if self.left_until <= now:
                self.left = note.remaining
                self.left_until = now + min(note.reset_ms, MOST_CLOSED_MS)
            self.left = min(self.left, note.remaining)
        if note.is_refused:
            self._refuse(limit, note, now)
        owner, rate, reserved = note.owner or note.id, self._token_rate(limit), -1.0
        # The place may be that of a later attempt of the step.
        if owner in self.held and self.held[owner][2] == note.id:
            self._give_back(limit, note, now)
            reserved = self.held.pop(owner)[1]
        if reserved >= 0 and note.tokens >= 0 and rate > 0:
            more = self.free_tokens + (note.tokens - reserved) * 1000.0 / rate
            self.free_tokens = min(more, now + MOST_CLOSED_MS)
        if note.tokens_left >= 0 and rate > 0:
            # What is left comes back at the rate, so that the time of its reset is not needed.
            least = now + TOKENS_AHEAD_MS - note.tokens_left * 1000.0 / rate
            self.free_tokens = max(self.free_tokens, least)

    def _give_back(self, limit: Limit, note: Note, now: float) -> None:
        """Learn for how long a call held its place, and that all were taken until now."""
        lasted = min(max(0.0, now - note.asked), float(MOST_AHEAD_MS))
        self.lasted += (lasted - self.lasted) * (NEWEST if self.lasted > 0 else 1.0)
        if len(self.held) >= limit.in_flight:
            self.full_until = now

    def _follow(self, now: float) -> None:
        """Go by the clock, also if it was set back: then all times are set back too, so that no
        call waits until the clock has caught up."""
        back, self.at = self.at - now, now
        if back <= BACK_MS:
            return
        self.free, self.free_tokens = self.free - back, self.free_tokens - back
        self.closed, self.left_until = self.closed - back, self.left_until - back
        self.climb_at, self.full_until = self.climb_at - back, self.full_until - back
        self.cut_at = max(0.0, self.cut_at - back) if self.cut_at >= 0 else self.cut_at
        self.held = {
            owner: (until - back, tokens, id) for owner, (until, tokens, id) in self.held.items()
        }
        self.lanes.move(back)
        self.places.move(back)
        self.made = {}

    def _refuse(self, limit: Limit, note: Note, now: float) -> None:
        slice = str(math.floor(note.at / SLICE_MS))
        if slice in self.made:
            self.made[slice] -= 1
        if note.after_ms > 0:
            self.closed = max(self.closed, now + min(note.after_ms, MOST_CLOSED_MS))
        elif self.cut_at < 0 or note.asked > self.cut_at + SETTLE_MS:
            accepted = self._accepted(now)
            rate = self._current(limit)
            if self._top(limit) <= 0:  # nothing is configured: what was sent lately was too much
                sent = max(accepted, self._second(math.floor(now / SLICE_MS)), 1.0)
                rate = min(rate, sent) if rate > 0 else sent
            self.ceiling = max(rate / 2, min(accepted, rate))
            self.rate = max(rate / 2, LEAST_RATE)
            self.cut_at, self.quiet = now, 0
            self.climb_at = now + self._interval()

    def _accepted(self, now: float) -> float:
        """The most calls of a second that were not refused, in the last seconds.

        The newest slices are left out, because their refusals may not be known yet.
        """
        slice = math.floor(now / SLICE_MS)
        ends = range(slice - SEEN_SLICES, slice - 1)
        return max(self._second(end) for end in ends)

    def _second(self, last: int) -> float:
        """The calls of a second that were not refused, as far as is known; `last` is its end."""
        return sum(self.made.get(str(last - back), 0.0) for back in range(4))

    def _climb(self, limit: Limit, now: float) -> None:
        # A time without calls teaches nothing, so only its end counts.
        self.climb_at = max(self.climb_at, now - SLOW_MS)
        top = self._top(limit)
        # If nothing is configured, a rate that is far above what was refused limits nothing.
        most = top if top > 0 else FORGOTTEN * self.ceiling
        while self.rate > 0 and self.climb_at <= now:
            if self.rate < NEAR * self.ceiling:
                self.rate = min(self.rate + 2 * STEP * self.ceiling, NEAR * self.ceiling)
            else:
                self.quiet += 1
                self.rate *= 1 + STEP * (2 if self.quiet > 2 else 1)
            self.climb_at += self._interval()
            if most <= self.rate:
                self.rate = 0.0

    def _interval(self) -> float:
        if self.rate < NEAR * self.ceiling:
            return FAST_MS
        return SLOW_MS if self.quiet < 2 else AGAIN_MS

    def _top(self, limit: Limit) -> float:
        return self.top if self.top > 0 else limit.requests / limit.seconds

    def _token_rate(self, limit: Limit) -> float:
        return self.token_top if self.token_top > 0 else limit.tokens / limit.seconds

    def _current(self, limit: Limit) -> float:
        top = self._top(limit)
        return self.rate if 0 < self.rate < top or top <= 0 else top


@dataclass
class Retries:
    """The budget of a platform for repeated calls."""

    level: float = MOST_RETRIES
    at: float = 0.0
    lanes: Lanes = field(default_factory=Lanes)

    def wait(self, ask: Ask, now: float) -> float:
        """The milliseconds until a call may be made."""
        if self.at - now > BACK_MS:
            self.lanes.move(self.at - now)
        gained = max(0.0, now - self.at) / 1000.0 * RETRIES_PER_SECOND
        self.level, self.at = min(MOST_RETRIES, self.level + gained), now
        if not ask.is_retry:
            return 0.0
        if self.level >= AMPLE_RETRIES:
            return 0.0
        alone = max(0.0, 1 - self.level) * 1000.0 / RETRIES_PER_SECOND
        return max(alone, self.lanes.wait(ask.user, now))

    def grant(self, ask: Ask, now: float) -> None:
        """Count a call."""
        if ask.is_retry and self.level < AMPLE_RETRIES:
            self.lanes.make(ask.user, 1000.0 / RETRIES_PER_SECOND, now)
        change = -1.0 if ask.is_retry else RETRIES
        self.level = min(MOST_RETRIES, self.level + change)


def take(buckets: list[tuple[Bucket, Limit]], retries: Retries, ask: Ask, now: float) -> Answer:
    """Let a call take its place in all buckets, or in none if it would have to wait too long."""
    longest, place, is_full = retries.wait(ask, now), -1, False
    lanes, spacing, is_guess = retries.lanes, 1000.0 / RETRIES_PER_SECOND, False
    for number, (bucket, limit) in enumerate(buckets):
        bucket.free_dead(limit, ask, now)
        wait, turns = bucket.wait(limit, ask, now), bucket.lanes
        if bucket.is_full(limit, ask, now):
            is_full, turns = True, bucket.places if wait < FULL_MS else turns
            wait = max(wait, float(FULL_MS))
        if wait > longest:
            longest, place, lanes, spacing = wait, number, turns, bucket.spacing(limit, ask)
            is_guess = turns is bucket.places
            if is_guess:
                spacing = bucket.place_spacing(limit, ask)
    tops = tuple(bucket.top for bucket, _ in buckets)
    if longest > ask.most_ms:
        longest = lanes.tell(ask.user, spacing, now, longest, is_guess=is_guess)
    if is_full or longest > ask.most_ms:
        return Answer(False, longest, place, now, tops)
    for bucket, limit in buckets:
        bucket.grant(limit, ask, now, longest)
    retries.grant(ask, now)
    return Answer(True, longest, place, now, tops)
