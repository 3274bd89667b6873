"""The wire format of Stripe's API v2: JSON bodies, errors by field, and pages by address.

https://docs.stripe.com/api-v2-overview, /api/errors?api-version=2026-10-28.endive
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.wire import parse_form
from ops.sandbox.wire import Call, Refusal, json_object, reply

NOT_FOUND = "The resource wasn't found."
_MOST, _USUAL = 100, 20
Check = Callable[[Any], str | None]
"""Returns what is wrong with the value of a field, or None."""


def refusal(status: int, code: str, message: str) -> Refusal:
    """Return an error of API v2, which has a code and no type."""
    return Refusal(status, {"error": {"code": code, "message": message}})


def invalid(*faults: str) -> Refusal:
    """Return the error of fields; each fault begins with the path of its field."""
    listed = ", ".join(f"'{each}'" for each in faults)
    return refusal(400, "invalid_fields", f"Some fields in the request were invalid: {listed}")


def body_of(call: Call, checks: dict[str, Check], needed: Sequence[str] = ()) -> Json:
    """Return the fields of a JSON body; raises the error of all fields that are wrong."""
    given = json_object(call.request)
    if given is None:
        raise refusal(400, "invalid_request", "The body of the request must be a JSON object.")
    return _checked(given, checks, needed)


def query_of(call: Call, checks: dict[str, Check]) -> Json:
    """Return the fields of the query, of which lists are written `types[0]=…`."""
    return _checked(parse_form(call.request.query_string.decode()), checks, ())


def _checked(given: Json, checks: dict[str, Check], needed: Sequence[str]) -> Json:
    faults = [f"{name}: This field is required." for name in needed if given.get(name) is None]
    for name, value in given.items():
        fault = checks[name](value) if name in checks else "Unknown field."
        if fault and not (value is None and name in needed):
            faults.append(fault if fault.startswith(f"{name}[") else f"{name}: {fault}")
    if faults:
        raise invalid(*faults)
    return given


def text(value: Any) -> str | None:
    """Check a text."""
    return None if isinstance(value, str) else "Expected a string."


def one_of(*values: str) -> Check:
    """Check one of the values of an enumeration."""
    return lambda value: None if value in values else _unknown(value, values)


def list_of(name: str, check: Check, most: int | None = None) -> Check:
    """Check a list; the fault names the element."""

    def fault(value: Any) -> str | None:
        if not isinstance(value, list):
            return "Expected an array."
        if most is not None and len(value) > most:
            return f"Expected at most {most} elements."
        found = ((at, check(each)) for at, each in enumerate(value))
        return next((f"{name}[{at}]: {wrong}" for at, wrong in found if wrong), None)

    return fault


def size(value: Any) -> str | None:
    """Check the size of a page."""
    is_whole = str(value).isdecimal()
    return None if is_whole and 1 <= int(value) <= _MOST else f"Must be between 1 and {_MOST}."


def _unknown(value: Any, values: Sequence[str]) -> str:
    return f"Unrecognized enum value '{value}', valid values are: {', '.join(values)}."


def page(call: Call, found: list[Json], given: Json, url: str) -> Response:
    """Return one page of a list, with the addresses of its neighbours."""
    limit = int(given.get("limit", _USUAL))
    start = _start(given)
    wanted = [(k, v) for k, v in call.request.args.items(multi=True) if k != "page"]

    def at(position: int) -> str:
        token = base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")
        return f"{url}?{urlencode([*wanted, ('page', token)])}"

    return reply(
        {
            "data": found[start : start + limit],
            "next_page_url": at(start + limit) if start + limit < len(found) else None,
            "previous_page_url": at(max(0, start - limit)) if start else None,
        }
    )


def _start(given: Json) -> int:
    token = str(given.get("page", ""))
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        return int(raw) if raw else 0
    except ValueError:
        raise invalid("page: The token is invalid.") from None
