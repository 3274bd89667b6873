"""Makes an event of a webhook: where its id and its type stand is a setting of its source."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from app.errors import InvalidInput
from app.payload import clean
from app.platform import Json
from chains.incoming.events import HOOKS, LONGEST_ID, MOST_DATA_BYTES, Incoming, checked
from chains.incoming.rules import INPUT_WORK, MOST_VALUE
from chains.language import expressions
from chains.language.evaluation import Meter
from chains.language.expressions import ExpressionInvalid

MOST_BYTES = MOST_DATA_BYTES - 20_000
"""The largest body of a webhook. The headers are kept beside it."""
SCOPE = ("headers", "body")
"""What the expressions of a source read."""
_MOST_HEADERS = 16_000
_NOT_KEPT = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-api-key", "webhook-signature"}
)


@dataclass(frozen=True)
class Places:
    """Where a webhook has the id and the type of its event."""

    name: str
    id_header: str | None = None
    id_expression: str | None = None
    type_header: str | None = None
    type_expression: str | None = None
    type_prefix: str = ""


def event_of(places: Places, headers: Mapping[str, str], body: bytes, hidden: str = "") -> Incoming:
    """The event of a verified webhook. `hidden` is the header with the signature.

    The names of headers are in lower case. Raise InvalidInput if the body is not JSON, or if the
    source's settings find no fitting type in it.
    """
    data = _parsed(body)
    kept = _kept(headers, hidden)
    scope = {"headers": kept, "body": data}
    given = {
        "source": HOOKS + places.name,
        "id": _id(places, headers, scope, body),
        "type": places.type_prefix + _type(places, headers, scope),
        "data": data,
    }
    return checked(given, {"headers": kept}, is_own=True)


def _parsed(body: bytes) -> Any:
    try:
        # Whoever sent this cannot mend it, so what cannot be stored is left out.
        return clean(json.loads(body, parse_constant=_no_constant))
    except (ValueError, RecursionError) as err:
        raise InvalidInput("the body is not JSON", code="malformed_json") from err


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _kept(headers: Mapping[str, str], hidden: str) -> dict[str, str]:
    """The headers that are kept, as far as there is room: none that is a secret."""
    kept: dict[str, str] = {}
    room = _MOST_HEADERS
    for name, value in headers.items():
        room -= len(name) + 2 * len(value)
        if room >= 0 and name not in _NOT_KEPT and name != hidden.lower():
            kept[name] = clean(value)
    return kept


def _id(places: Places, headers: Mapping[str, str], scope: Json, body: bytes) -> str:
    """The id; without one, a hash of the body."""
    found = _at(headers, places.id_header)
    if found is None and places.id_expression is not None:
        found = _text(places.id_expression, scope)
    if not found:
        return "sha256:" + hashlib.sha256(body).hexdigest()
    if len(found.encode()) > LONGEST_ID:
        return "sha256:" + hashlib.sha256(found.encode()).hexdigest()
    return found


def _type(places: Places, headers: Mapping[str, str], scope: Json) -> str:
    """The type; the name of the source if its settings name no place of it."""
    if places.type_header is None and places.type_expression is None:
        return places.name
    found = _at(headers, places.type_header)
    if found is None and places.type_expression is not None:
        found = _text(places.type_expression, scope)
    if not found:
        raise InvalidInput("the webhook has no type where its source says", code="no_event_type")
    return found


def _at(headers: Mapping[str, str], name: str | None) -> str | None:
    value = None if name is None else headers.get(name.lower())
    return clean(value) if value else None


def _text(expression: str, scope: Json) -> str | None:
    """The text or number at an expression; None if there is none, or if the expression fails."""
    try:
        meter = Meter(MOST_VALUE, INPUT_WORK)
        value = expressions.render({expressions.MARK: expression}, scope, meter)
    except ExpressionInvalid:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
