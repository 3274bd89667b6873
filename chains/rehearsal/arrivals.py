"""Rehearses the starts of a definition: which of them flow control lets begin, when, with what.

It knows rate limits, debounces, batches, throttles and the times of a schedule, as the functions in
app/db/sql/gathering and `admit_starts_v1` do them. Workflows take no time here, so limits of
concurrency and singletons hold nothing back, and starts come in the order in which they arrive.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.errors import InvalidInput
from app.payload import whole_numbers
from app.platform import Json
from chains.flow.keys import Keys, terms_of
from chains.language.definition import Definition
from chains.language.expressions import render
from chains.language.flow import MOST_BYTES, MOST_ITEMS, Flow
from chains.language.functions.dates import written
from chains.language.schema import check_shape
from chains.rehearsal.fakes import seconds_of
from chains.schedules.spec import read_spec
from chains.schedules.times import due_at, nominal_times
from chains.starting.accepting import given_to, of_item

MOST_ARRIVALS = 10_000
_SCHEDULE = UUID(int=1)


@dataclass(frozen=True)
class Arrival:
    """A request to start a workflow; arrivals are numbered from 0 in their order."""

    number: int
    at: datetime
    input: Json


@dataclass(frozen=True)
class Begun:
    """A workflow that begins `after` the start of the rehearsal; `arrivals` are those in it."""

    at: datetime
    after: timedelta
    input: Json
    arrivals: tuple[int, ...]


@dataclass(frozen=True)
class Refused:
    """An arrival that starts nothing, with the code and the words of the answer."""

    arrival: int
    code: str
    message: str


@dataclass(frozen=True)
class Starts:
    """What became of the arrivals: the workflows in the order in which they begin, and the rest."""

    begun: list[Begun]
    refused: list[Refused]


@dataclass
class _Gathering:
    """An open debounce or batch."""

    opened_at: datetime
    due_at: datetime
    arrivals: list[Arrival] = field(default_factory=list)
    bytes: int = 0


@dataclass(frozen=True)
class _Due:
    """A workflow that begins when its throttle lets it, at `at` at the earliest."""

    at: datetime
    input: Json
    arrivals: tuple[int, ...]


def arrivals_of(
    requests: Iterable[tuple[Any, Json]],
    schedule: Mapping[str, Any] | None,
    until: Any,
    starts_at: datetime,
) -> list[Arrival]:
    """The requests, pairs (time after the start, input), and the times of a schedule, in order.

    Raise ValueError if there are more than MOST_ARRIVALS.
    """
    found = [(starts_at + timedelta(seconds=seconds_of(at)), given) for at, given in requests]
    if schedule is not None:
        end = starts_at + timedelta(seconds=seconds_of(until))
        found += _times(schedule, starts_at, end)
    if len(found) > MOST_ARRIVALS:
        raise ValueError(f"there are more than {MOST_ARRIVALS} arrivals")
    found.sort(key=lambda each: each[0])
    return [Arrival(number, at, whole_numbers(given)) for number, (at, given) in enumerate(found)]


def _times(
    schedule: Mapping[str, Any], starts_at: datetime, end: datetime
) -> list[tuple[datetime, Json]]:
    """The starts of a schedule after the start of the rehearsal, with its jitter."""
    spec = read_spec(schedule["spec"], {})
    name = str(schedule.get("name", "schedule"))
    found = []
    for nominal in nominal_times(spec, starts_at, end, MOST_ARRIVALS + 1):
        scope = {
            "scheduled_at": written(nominal),
            "schedule": {"id": str(_SCHEDULE), "name": name},
        }
        found.append((due_at(spec, _SCHEDULE, nominal), render(schedule.get("input", {}), scope)))
    return found


class Gate:
    """The flow control of a definition on a virtual clock."""

    def __init__(self, definition: Definition, starts_at: datetime) -> None:
        self._definition = definition
        self._flow = definition.flow or Flow()
        self._starts_at = starts_at
        self._open: dict[str, _Gathering] = {}
        self._rates: dict[str, datetime] = {}
        self._due: list[_Due] = []
        self._refused: list[Refused] = []

    def starts(self, arrivals: Iterable[Arrival]) -> Starts:
        """What becomes of these arrivals, which are in their order."""
        for arrival in arrivals:
            self._begin_due(arrival.at)
            try:
                self._accept(arrival)
            except InvalidInput as err:
                self._refused.append(Refused(arrival.number, err.code, err.message))
        self._begin_due(None)
        return Starts(self._throttled(), self._refused)

    def _accept(self, arrival: Arrival) -> None:
        whole = given_to(self._flow, arrival.input)
        try:
            check_shape(self._definition.input_schema, whole)
        except InvalidInput as err:
            raise err if whole is arrival.input else of_item(err) from err
        terms_of(self._flow, self._definition.name, whole)
        keys = Keys(arrival.input)
        gathers = self._flow.batch or self._flow.debounce
        place = "batch" if self._flow.batch is not None else "debounce"
        key = "" if gathers is None else keys.of(gathers.key, f"/flow/{place}/key")
        if not self._takes_rate(arrival, keys):
            return
        if gathers is None:
            self._due.append(_Due(arrival.at, arrival.input, (arrival.number,)))
        else:
            self._gather(key, arrival)

    def _takes_rate(self, arrival: Arrival, keys: Keys) -> bool:
        rate = self._flow.rate_limit
        if rate is None:
            return True
        key = keys.of(rate.key, "/flow/rate_limit/key")
        back_at = max(self._rates.get(key, arrival.at), arrival.at)
        back_at += timedelta(microseconds=rate.period * 1e6 // rate.limit)
        wait = back_at - arrival.at - timedelta(seconds=rate.period)
        if wait > timedelta():
            words = f"nothing was started; try again after {wait.total_seconds():g} s"
            self._refused.append(Refused(arrival.number, "rate_limited", words))
            return False
        self._rates[key] = back_at
        return True

    def _gather(self, key: str, arrival: Arrival) -> None:
        weight = len(json.dumps(arrival.input, ensure_ascii=False).encode())
        found = self._open.get(key)
        if found is not None and self._flow.collects and _is_full(found, weight):
            found.due_at = arrival.at
            self._begin_due(arrival.at)
            found = None
        batch, debounce = self._flow.batch, self._flow.debounce
        if found is None:
            period = batch.timeout if batch is not None else debounce.period if debounce else 0.0
            found = _Gathering(arrival.at, arrival.at + timedelta(seconds=period))
            self._open[key] = found
        elif batch is None and debounce is not None:
            found.due_at = arrival.at + timedelta(seconds=debounce.period)
            if debounce.timeout is not None:
                last = found.opened_at + timedelta(seconds=debounce.timeout)
                found.due_at = min(found.due_at, last)
        found.arrivals.append(arrival)
        found.bytes += weight
        size = batch.size if batch is not None else MOST_ITEMS
        most = batch.bytes if batch is not None else None
        if self._flow.collects and (
            len(found.arrivals) >= size or (most is not None and found.bytes >= most)
        ):
            found.due_at = arrival.at
            self._begin_due(arrival.at)

    def _begin_due(self, now: datetime | None) -> None:
        """Close what is due at this time; None: all that is open."""
        for key, each in sorted(self._open.items(), key=lambda item: item[1].due_at):
            if now is None or each.due_at <= now:
                del self._open[key]
                numbers = tuple(arrival.number for arrival in each.arrivals)
                self._due.append(_Due(each.due_at, self._kept(each.arrivals), numbers))

    def _kept(self, arrivals: list[Arrival]) -> Json:
        if self._flow.collects:
            return {"items": [each.input for each in arrivals]}
        is_first = self._flow.debounce is not None and self._flow.debounce.keep == "first"
        return arrivals[0 if is_first else -1].input

    def _throttled(self) -> list[Begun]:
        tats: dict[str, datetime] = {}
        begun = []
        for due in sorted(self._due, key=lambda each: each.at):
            at = due.at
            try:
                terms = terms_of(self._flow, self._definition.name, due.input)
            except InvalidInput as err:
                self._refused += [Refused(number, err.code, err.message) for number in due.arrivals]
                continue
            for throttle in terms.throttles:
                each = timedelta(seconds=throttle.period_seconds / throttle.limit)
                tat = tats.get(throttle.key, at)
                at = max(at, tat - (throttle.burst - 1) * each)
                tats[throttle.key] = max(tat, at) + each
            begun.append(Begun(at, at - self._starts_at, due.input, due.arrivals))
        return sorted(begun, key=lambda each: each.at)


def _is_full(gathering: _Gathering, weight: int) -> bool:
    return len(gathering.arrivals) >= MOST_ITEMS or gathering.bytes + weight > MOST_BYTES
