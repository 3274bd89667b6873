"""Makes the inputs of rows that wait: for a time, for a decision, for a child."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.errors import Permanent
from app.platform import Json
from app.protocol.claims import Claim
from chains.language.definition import Approval, Child, Wait, parse_duration
from chains.plans import asking
from chains.plans.plan import Plan, PlannedStep
from chains.running.reading import records
from chains.running.references import render_or_fail, scope_of

_LONGEST = timedelta(days=366 * 10)


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
    return {"until": (now() + _duration(given["for"])).isoformat()}


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


def _duration(value: Any) -> timedelta:
    try:
        seconds = parse_duration(value)
        if isinstance(seconds, int | float) and 0 <= seconds <= _LONGEST.total_seconds():
            return timedelta(seconds=seconds)
    except ValueError:
        pass
    raise Permanent(
        f"`for` is not a duration such as 90s or 30d: {str(value)[:80]!r}", code="not_a_duration"
    )


def approval_input(claim: Claim, plan: Plan, step: PlannedStep) -> Json:
    """The input {signal, by, show, until, on_timeout, on_reject} of an approval.

    `by` is null if only the workflow's owner may decide. Raise Permanent if `by` or `show` is
    wrong.
    """
    node = step.node
    assert isinstance(node, Approval)
    given = render_or_fail(step.template, scope_of(claim, step))
    by = given.get("by")
    if isinstance(by, str):
        by = [by]
    if by is not None and not (isinstance(by, list | tuple) and all(map(_is_text, by)) and by):
        raise Permanent("`by` is not a list of e-mail addresses", code="invalid_approvers")
    return {
        "signal": node.signal or node.approval,
        "by": None if by is None else [address.strip().lower() for address in by],
        "show": asking.shown(given.get("show")),
        "until": (now() + timedelta(seconds=node.timeout)).isoformat(),
        "on_timeout": node.on_timeout,
        "on_reject": node.on_reject,
    }


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


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
