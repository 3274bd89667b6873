"""Lets calls wait for their place under the limits of their platform.

A short wait is waited in place. For a longer one, NotServed lets the step wait without a slot.
"""

import random
import time
from dataclasses import dataclass, replace
from secrets import token_hex

from app import telemetry
from app.errors import NotServed
from app.outbound.limits.core import LEAST_RATE, Answer, Ask, Note
from app.outbound.limits.stores import Stores
from app.outbound.replies import HttpReply, Told
from app.outbound.scopes import MARGIN_SECONDS, Demand
from app.outbound.stated_waits import LONGEST_SECONDS

log = telemetry.logger(__name__)

PATIENCE_SECONDS = 1.0
"""A call waits in place for so long, for a place under all limits."""
_HOLD_MARGIN_SECONDS = 5.0
_MOST_CALLS = 1e6
_MOST_JITTER_SECONDS = 4.0
"""Less than the time for which a user that is told to wait counts as waiting (lanes.py)."""
_LEAST_TOKENS, _MOST_TOKENS = 1.0, 1e9
_MOST_OVERDRAWN = 10
"""A call counts as at most so many times the tokens that it has reserved."""
_LONG_WAIT_SECONDS = 0.05
"""After a wait in place of so long, it is looked whether a limit was closed meanwhile."""


@dataclass(frozen=True)
class Place:
    """A place that a call has taken under its limits, at `asked` and for `at` (milliseconds).

    `tops` are the limits that answers had told by then (see Answer), and `owner` is the step that
    has taken it (see Ask).
    """

    id: str
    owner: str
    platform: str
    demand: Demand
    asked: float
    at: float
    tops: tuple[float, ...]


class Limiter:
    """The limits as one process uses them. Threads share it."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._closed: dict[tuple[str, str], float] = {}

    def take(
        self,
        platform: str,
        demand: Demand,
        *,
        hold_seconds: float,
        seconds_left: float,
        is_retry: bool = False,
        owner: str = "",
        user: str = "",
    ) -> Place:
        """Wait for a place under all limits of a call, and take it.

        The call must end in `hold_seconds`. `owner` is the step that makes it and `user` whose step
        it is, if a step makes it (see Ask). Raises NotServed (`rate_limited`) if it would have to
        wait for more than PATIENCE_SECONDS, or past the attempt's time.
        """
        ends = time.monotonic() + min(PATIENCE_SECONDS, seconds_left - MARGIN_SECONDS)
        hold_ms = (hold_seconds + _HOLD_MARGIN_SECONDS) * 1000.0
        while True:
            left = max(0.0, ends - time.monotonic())
            ask = Ask(token_hex(8), demand.tokens, left * 1000.0, hold_ms, is_retry, owner, user)
            answer = self._stores.take(_account(platform, demand), demand.limits, ask)
            wait = answer.wait / 1000.0
            if not answer.is_taken and wait > left:
                raise _refusal(platform, demand, answer)
            if wait > 0:
                time.sleep(wait)
            if answer.is_taken:
                at = answer.now + answer.wait
                place = Place(ask.id, owner, platform, demand, answer.now, at, answer.tops)
                if wait > _LONG_WAIT_SECONDS:
                    self._check_open(place)
                return place

    def give_back(self, place: Place, reply: HttpReply | None) -> None:
        """Take note of how a call has ended, with an answer or without one."""
        told = _told(place, reply)
        if self._is_news(place, told):
            notes = [_note(place, told, each.name) for each in place.demand.limits]
            account = _account(place.platform, place.demand)
            self._stores.note(account, place.demand.limits, notes)
        if told.is_refused:
            telemetry.CALLS_LIMITED.labels(place.platform).inc()
            until = time.monotonic() + (told.after or 0.0)
            for limit in place.demand.limits:
                if not told.names or limit.name in told.names:
                    self._closed[_account(place.platform, place.demand), limit.name] = until

    def close(self) -> None:
        """Close the connections."""
        self._stores.close()

    def _check_open(self, place: Place) -> None:
        """Raise NotServed if this process has learned meanwhile that a limit is closed."""
        now, account = time.monotonic(), _account(place.platform, place.demand)
        for number, limit in enumerate(place.demand.limits):
            left = self._closed.get((account, limit.name), 0.0) - now
            if left > 0:
                answer = Answer(False, left * 1000.0, number, place.asked)
                self.give_back(place, None)
                raise _refusal(place.platform, place.demand, answer)

    def _is_news(self, place: Place, told: Told) -> bool:
        """Whether the limits must hear of it. What is as it was costs no round trip."""
        demand = place.demand
        holds = demand.tokens > 0 or any(each.in_flight for each in demand.limits)
        is_low = told.remaining is not None and told.reset is not None
        is_new = told.limit is not None and any(
            top != told.limit
            for limit, top in zip(demand.limits, place.tops, strict=True)
            if not told.names or limit.name in told.names
        )
        return holds or told.is_refused or is_low or is_new


def _account(platform: str, demand: Demand) -> str:
    return f"{platform} {demand.account}".rstrip()


def _told(place: Place, reply: HttpReply | None) -> Told:
    """What an answer tells. An error is logged: it must not hide the answer, which may be paid."""
    try:
        told = place.demand.told(reply) if reply is not None else Told()
        return _bounded(told, place.demand.tokens)
    except Exception as err:  # a vendor may send anything
        log.error("limits.answer_unreadable", platform=place.platform, exc_info=err)
        return Told()


def _bounded(told: Told, reserved: int) -> Told:
    """What was told, within bounds: an absurd number must not hold the calls of all workers."""
    remaining = _within(told.remaining, 0.0, _MOST_CALLS)
    tokens = _within(told.tokens, 0.0, _MOST_OVERDRAWN * max(1, reserved))
    left = _within(told.tokens_left, 0.0, _MOST_TOKENS)
    is_limit = told.limit is not None and told.limit > 0
    has_tokens = told.token_limit is not None and told.token_limit > 0
    return replace(
        told,
        after=_within(told.after, 0.0, LONGEST_SECONDS),
        limit=_within(told.limit, LEAST_RATE, _MOST_CALLS) if is_limit else None,
        remaining=None if remaining is None else int(remaining),
        reset=_within(told.reset, 0.0, LONGEST_SECONDS),
        tokens=None if tokens is None else int(tokens),
        token_limit=_within(told.token_limit, _LEAST_TOKENS, _MOST_TOKENS) if has_tokens else None,
        tokens_left=None if left is None else int(left),
    )


def _within(value: float | None, least: float, most: float) -> float | None:
    """A number within bounds; None if it is none."""
    return None if value is None or value != value else float(min(max(value, least), most))


def _note(place: Place, told: Told, name: str) -> Note:
    if told.names and name not in told.names:
        told = Told(tokens=told.tokens)
    return Note(
        place.id,
        place.asked,
        place.at,
        told.is_refused,
        _known(told.after) * 1000.0,
        _known(told.limit),
        _known(told.remaining),
        _known(told.reset) * 1000.0,
        _known(told.tokens),
        _known(told.token_limit),
        _known(told.tokens_left),
        place.owner,
    )


def _known(value: float | None) -> float:
    """The number as notes have it: -1 if it is not known."""
    return -1.0 if value is None else float(value)


def _refusal(platform: str, demand: Demand, answer: Answer) -> NotServed:
    platform, what = _account(platform, demand), "the budget for repeated calls"
    if answer.place >= 0:
        what = f"the limit {demand.limits[answer.place].name}"
    seconds = min(answer.wait / 1000.0, LONGEST_SECONDS)
    return NotServed(
        f"{what} of {platform} is used up for {seconds:.1f} s",
        code="rate_limited",
        after=seconds + random.uniform(0.0, min(max(0.5, seconds / 5.0), _MOST_JITTER_SECONDS)),
        is_turn=True,
    )
