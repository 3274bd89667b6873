"""Fetches what an address holds that a vendor or a user has named, through at most five redirects.

Invariant: each redirect is a new request, whose destination is checked like the first. The caller
decides for each address which headers it may see.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

from app.errors import Permanent
from app.outbound import http

MOST_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://([^/?#]*)")
_AMBIGUOUS = re.compile(r"[\\@\s]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def fetch(
    url: str,
    headers_for: Callable[[str], Mapping[str, str]],
    *,
    method: str = "GET",
    params: Mapping[str, str | int] | None = None,
) -> http.HttpReply:
    """Send a request that changes nothing, and follow redirects. The answer may have any status.

    `headers_for(url)` gives the headers for an address. Raises like `http.send`, and Permanent for
    a destination that is refused or one redirect too many.
    """
    for _ in range(MOST_REDIRECTS + 1):
        _check(url)
        reply = http.send(method, url, headers=headers_for(url), params=params, is_guarded=True)
        target = reply.headers.get("location")
        if reply.status not in _REDIRECTS or not target:
            return reply
        # The address of the redirect has its own query.
        url, params = _joined(url, target), None
    raise Permanent(
        f"the address redirects more than {MOST_REDIRECTS} times", code="too_many_redirects"
    )


def _check(url: str) -> None:
    try:
        scheme, host, _port = origin(url)
    except ValueError as err:
        raise _malformed() from err
    if scheme not in _PORTS or not host:
        raise _malformed()


def _joined(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError as err:
        raise _malformed() from err


def _malformed() -> Permanent:
    return Permanent(
        "the address, or one to which it redirects, is no http:// or https:// address of a host"
        " without user and password",
        code="cannot_be_sent",
    )


def origin(url: str) -> tuple[str, str, int | None]:
    """The scheme, host and port of an address, which decide who gets a request (RFC 6454).

    Raises ValueError if the address is malformed, holds a user or a password, or could name another
    host to another parser: for `https://a\\@b/`, some read the host a, and some b.

    >>> origin("https://Example.com/a") == origin("https://example.com:443/b?c")
    True
    """
    authority = _AUTHORITY.match(url)
    if authority is None or _AMBIGUOUS.search(authority[1]) or _CONTROL.search(url):
        raise ValueError("the address names no host in a way that is read alike by all")
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme)
