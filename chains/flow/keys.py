"""Makes the terms of a start from the `flow` of its definition and its input.

Pure. Keys are evaluated once, when the start is accepted, with a bound of work.
"""

import hashlib
import math
from typing import Any
from uuid import UUID

from app.errors import InvalidInput
from app.payload import text_of
from app.platform import Json
from chains.flow.terms import DEFAULT_DEPTH, Limit, Terms, Throttle
from chains.language.evaluation import Meter
from chains.language.expressions import MARK, ExpressionInvalid, render
from chains.language.flow import Concurrency, Flow, Share

MOST_KEY_BYTES = 200
MOST_COST = 1e12
_MOST_VALUE = 1_000_000
_WORK = 100_000
"""Units of work of all expressions of one `flow` (see chains.language.evaluation)."""


class Keys:
    """Evaluates the expressions of one `flow` over one input, all within one bound of work."""

    def __init__(self, given: Json) -> None:
        self._scope = {"input": given}
        self._meter = Meter(_MOST_VALUE, _WORK)

    def of(self, expression: str | None, place: str) -> str:
        """The value of a key as a text of at most 200 bytes; empty if there is no key.

        Raise InvalidInput if the expression fails, or its value is not a text, a number or a
        boolean.
        """
        if expression is None:
            return ""
        value = self.value(expression, place)
        if isinstance(value, bool | int | float):
            value = text_of(value)
        if not isinstance(value, str):
            found = "null" if value is None else "no text, number or boolean"
            raise _refused(place, f"{expression!r} is {found} for this input")
        if len(value.encode("utf-8", "surrogatepass")) <= MOST_KEY_BYTES:
            return value
        return "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()

    def value(self, expression: str, place: str) -> Any:
        """The value of an expression; raise InvalidInput if it fails."""
        try:
            return render({MARK: expression}, self._scope, self._meter)
        except ExpressionInvalid as err:
            raise _refused(place, str(err)) from err


def terms_of(
    flow: Flow,
    name: str,
    given: Json,
    user_id: UUID | None = None,
    throttled_by: UUID | None = None,
) -> Terms:
    """The terms of a start of the definition `name` with this input, by this user.

    `throttled_by` is the schedule that the throttle belongs to, if it is not the definition's.
    Raise InvalidInput, with the code `flow_key_invalid`, if an expression fails or its value cannot
    be used.
    """
    keys = Keys(given)
    share, user = flow.share, str(user_id or "")
    share_key = user if share is None else keys.of(share.key, "/flow/share/key")
    return Terms(
        limits=tuple(_limits(flow, name, keys, user_id)),
        throttles=_throttles(flow, name, keys, throttled_by),
        share_key=share_key,
        weight=1.0 if share is None else share.weights.get(share_key, 1.0),
        cost=1.0 if share is None else _cost(share, keys),
        priority=_priority(flow, keys),
        depth=flow.depth or DEFAULT_DEPTH,
        cost_unit=None if share is None else share.cost_unit,
        user=user,
    )


def _limits(flow: Flow, name: str, keys: Keys, user_id: UUID | None) -> list[Limit]:
    found = [
        _limit(each, name, keys.of(each.key, f"/flow/concurrency/{number}/key"))
        for number, each in enumerate(flow.concurrency or ())
    ]
    one = flow.singleton
    if one is not None and one.mode != "skip":
        # A replaced workflow may still be undone, so its successor waits for its place too. A
        # singleton is a user's: nobody waits for, or stops, the workflow of somebody else.
        key = keys.of(one.key, "/flow/singleton/key")
        found.append(Limit("definition", name, f"singleton:{user_id or ''}:{key}", 1))
    return found


def _limit(one: Concurrency, name: str, key: str) -> Limit:
    if one.scope != "definition":
        return Limit(one.scope, one.name or "", key, one.limit)
    # Two limits of one definition may have the same value for different keys.
    label = one.name or one.key
    return Limit(one.scope, name, key if label is None else f"{label}={key}", one.limit)


def _throttles(flow: Flow, name: str, keys: Keys, schedule_id: UUID | None) -> tuple[Throttle, ...]:
    one = flow.throttle
    if one is None:
        return ()
    # Its numbers are a part of the key: what has started under others, of another version, says
    # nothing of when the next may start.
    rate = f"{one.limit}/{one.period:g}s"
    if schedule_id is not None:
        rate = f"schedule:{schedule_id}:{rate}"
    key = rate if one.key is None else f"{rate}={keys.of(one.key, '/flow/throttle/key')}"
    return (Throttle(name, key, one.limit, one.period, one.burst),)


def _cost(share: Share, keys: Keys) -> float:
    if share.cost is None:
        return 1.0
    place = "/flow/share/cost"
    value = keys.value(share.cost, place)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 < value <= MOST_COST:
        raise _refused(place, f"{share.cost!r} is no number above 0 for this input")
    return float(value)


def _priority(flow: Flow, keys: Keys) -> int | None:
    if flow.priority is None:
        return None
    value = keys.value(flow.priority, "/flow/priority")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 9:
        raise _refused("/flow/priority", f"{flow.priority!r} is no whole number from 1 to 9")
    return value


def _refused(place: str, words: str) -> InvalidInput:
    message = f"the definition's {place}: {words}"
    return InvalidInput(message, field="/input", code="flow_key_invalid")
