"""Replicate's lists: pages of 100, newest first, each with the addresses of its neighbours.

A cursor names the object next to which a page begins, so that what is created meanwhile moves no
page.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request

from ops.sandbox.replicate.problems import problem
from ops.sandbox.store import Json, Row, Store

PAGE = 100
_BEFORE, _AFTER, _FROM = "b", "a", "f"


def of_rows(
    request: Request,
    url: str,
    store: Store,
    kind: str,
    show: Callable[[Row], Json],
    where: str = "1",
    parameters: Sequence[Any] = (),
) -> Json:
    """Return a page of the stored objects of a kind that match an SQL condition.

    `url` is the list's address. The addresses of the other pages have the query of this one.
    """
    way, at = _cursor(request, {_BEFORE, _AFTER}, (_BEFORE, 2**62))
    is_back = way == _AFTER
    side, order = ("seq > ?", "ASC") if is_back else ("seq < ?", "DESC")
    rows = store.query(kind, f"({where}) AND {side}", (*parameters, at), PAGE + 1, order)
    has_more = len(rows) > PAGE
    rows = rows[:PAGE][::-1] if is_back else rows[:PAGE]
    newer = older = None
    if rows:
        newer = (_AFTER, rows[0].seq) if has_more or not is_back else None
        older = (_BEFORE, rows[-1].seq) if has_more or is_back else None
        if not is_back and not store.query(
            kind, f"({where}) AND seq > ?", (*parameters, rows[0].seq), 1
        ):
            newer = None
    return _page(request, url, newer, older, [show(row) for row in rows])


def of_list(request: Request, url: str, items: Sequence[Json]) -> Json:
    """Return a page of objects that are known as a whole, in their order."""
    _way, at = _cursor(request, {_FROM}, (_FROM, 0))
    newer = (_FROM, max(0, at - PAGE)) if at > 0 else None
    older = (_FROM, at + PAGE) if len(items) > at + PAGE else None
    return _page(request, url, newer, older, list(items[at : at + PAGE]))


def _page(
    request: Request,
    url: str,
    newer: tuple[str, int] | None,
    older: tuple[str, int] | None,
    results: list[Json],
) -> Json:
    asked = {name: value for name, value in request.args.items() if name != "cursor"}

    def address(to: tuple[str, int] | None) -> str | None:
        if to is None:
            return None
        cursor = base64.urlsafe_b64encode(f"{to[0]}={to[1]}".encode()).decode()
        return f"{url}?{urlencode({**asked, 'cursor': cursor})}"

    return {"previous": address(newer), "next": address(older), "results": results}


def _cursor(request: Request, ways: set[str], default: tuple[str, int]) -> tuple[str, int]:
    given = request.args.get("cursor")
    if not given:
        return default
    try:
        way, _, at = base64.b64decode(given, b"-_", validate=True).decode().partition("=")
        number = int(at)
    except ValueError as error:
        raise problem(400, "Bad request", "Invalid cursor") from error
    if way not in ways or not 0 <= number < 2**63:
        raise problem(400, "Bad request", "Invalid cursor")
    return way, number
