"""Makes the inputs of rows that wait: for a time, for a decision, for a child."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.errors import Permanent
from app.payload import text_of
from app.platform import Json
from app.protocol.claims import Claim
from chains.language.definition import (
    LONGEST_SECONDS,
    LONGEST_UNANSWERED,
    Approval,
    Child,
    Wait,
    parse_duration,
)
from chains.language.event_filters import values_read
from chains.plans import asking
from chains.plans.plan import Plan, PlannedStep
from chains.running.reading import records
from chains.running.references import render_or_fail, scope_of

_LONGEST = timedelta(days=366 * 10)
SHORTEST_SECONDS = 0.001
MOST_GIVEN_BYTES = 16_384
"""The most that the filter of a wait for an event reads beside the event."""


def now() -> datetime:
    """The current time of the clock that decides when waits end.

    It is the clock of the database, which a test may shift.
    """
    return records().now()


def timer_input(claim: Claim, plan: Plan, step: PlannedStep) -> Json:
    """The input {until} of a wait: the time at which it ends, in ISO 8601 and UTC.

    Raise Permanent if the duration or the time is wrong.
    """
    assert isinstance(step.node, Wait)
    given = render_or_fail(step.template, scope_of(claim, step))
    if "until" in given:
        return {"until": _instant(given["until"]).isoformat()}
    seconds = seconds_of("for", given["for"], 0.0, _LONGEST.total_seconds())
    return {"until": (now() + timedelta(seconds=seconds)).isoformat()}


def _instant(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError) as err:
        raise Permanent(
            f"`until` is not an instant such as 2026-11-22T10:00:00Z: {str(value)[:80]!r}",
            code="not_an_instant",
        ) from err
    if found.tzinfo is None:
        raise Permanent("`until` has no offset from UTC", code="not_an_instant")
    if found - now() > _LONGEST:
        raise Permanent("`until` is more than ten years away", code="not_an_instant")
    try:
        return found.astimezone(UTC)
    except OverflowError as err:
        raise Permanent("`until` is before the year 1 in UTC", code="not_an_instant") from err


def seconds_of(name: str, value: Any, least: float, most: float) -> float:
    """The seconds of a duration that an expression gave for the field `name`.

    Raise Permanent if it is no duration, or if it is not between `least` and `most` seconds.
    """
    shown = repr(str(value)[:80])
    try:
        seconds = parse_duration(value)
    except ValueError:
        seconds = None
    if not isinstance(seconds, int | float):
        raise Permanent(
            f"`{name}` is not a duration such as 90s, 10m, 2h or 30d: {shown}",
            code="not_a_duration",
        )
    if not least <= seconds <= most:
        bounds = f"from {least:g} seconds to {most / 86400:g} days"
        raise Permanent(f"`{name}` must be {bounds}, not {shown}", code="not_a_duration")
    return seconds


def event_input(claim: Claim, plan: Plan, step: PlannedStep) -> Json:
    """The input {type, filter, given, within_seconds, until, on_timeout} of a wait for an event.

    `given` has the values that the filter reads beside the event. Raise Permanent if they are too
    large, or if the time-out is wrong.
    """
    node = step.node
    assert isinstance(node, Wait)
    assert node.event is not None
    condition = node.event.filter
    values = {} if condition is None else values_read(condition, scope_of(claim, step))
    size = len(text_of(values).encode())
    if size > MOST_GIVEN_BYTES:
        raise Permanent(
            f"the filter reads {size} bytes beside the event, and may read {MOST_GIVEN_BYTES}:"
            " name the fields that it compares",
            code="filter_too_large",
        )
    seconds = time_limit(claim, step) or LONGEST_UNANSWERED
    return {
        "type": node.event.type,
        "filter": condition,
        "given": values,
        "within_seconds": node.event.within_last or 0.0,
        "until": (now() + timedelta(seconds=seconds)).isoformat(),
        "on_timeout": node.on_timeout or "fail",
    }


def time_limit(claim: Claim, step: PlannedStep) -> float | None:
    """The step's `timeout` in seconds; None if it has none.

    A reference is evaluated at each attempt; its value is the same, because all that it can read is
    recorded. Raise Permanent if the value is wrong.
    """
    return _limit(claim, step, "timeout", step.time_limit)


def attempt_limit(claim: Claim, step: PlannedStep) -> float | None:
    """The step's `attempt_timeout` in seconds, made like its `timeout`; None if it has none."""
    return _limit(claim, step, "attempt_timeout", step.attempt_limit)


def _limit(claim: Claim, step: PlannedStep, name: str, reference: Json | None) -> float | None:
    if reference is None:
        own: float | None = getattr(step.node, name, None)
        return own
    value = render_or_fail(reference, scope_of(claim, step))
    return seconds_of(name, value, SHORTEST_SECONDS, LONGEST_SECONDS)


def approval_input(claim: Claim, plan: Plan, step: PlannedStep) -> Json:
    """The input {signal, by, needed, show, until, on_timeout, on_reject} of an approval.

    `by` is null if only the workflow's owner may decide. With reminders there is also `remind`, the
    times of those before `until`. Raise Permanent if `by`, `show` or the time-out is wrong.
    """
    node = step.node
    assert isinstance(node, Approval)
    given = render_or_fail(step.template, scope_of(claim, step))
    by = asking.addresses(given.get("by"))
    seconds = time_limit(claim, step)
    assert seconds is not None
    since = now()
    at = [since + timedelta(seconds=after) for after in node.remind if after < seconds]
    return {
        "signal": node.signal or node.approval,
        "by": by,
        "needed": node.needed,
        "show": asking.shown(given.get("show")),
        "until": (since + timedelta(seconds=seconds)).isoformat(),
        "on_timeout": node.on_timeout,
        "on_reject": node.on_reject,
        **({"remind": [each.isoformat() for each in at]} if at else {}),
    }


def child_input(claim: Claim, plan: Plan, step: PlannedStep) -> Json:
    """The input {type, version, input, is_awaited, is_left} of a step that starts a child."""
    node = step.node
    assert isinstance(node, Child)
    return {
        "type": node.type,
        "version": node.version,
        "input": render_or_fail(step.template, scope_of(claim, step))["input"],
        "is_awaited": node.await_,
        "is_left": node.on_stop == "leave",
    }
