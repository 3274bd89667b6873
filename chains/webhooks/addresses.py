"""Decides to which addresses webhooks may be sent.

An address is checked when it is set, and again before each attempt: a setting may have changed, and
a name may lead elsewhere meanwhile. app/outbound/destinations.py checks the addresses of its host.
"""

from app import settings
from app.errors import InvalidInput, Outcome
from app.outbound import destinations
from app.outbound.fetching import origin
from app.settings import hosts_and_ports

MOST_CHARACTERS = 2048
_RESOLVE_SECONDS = 5.0


def fault(url: str) -> str | None:
    """Why nothing may be sent to an address, whatever its host resolves to; None if something may.

    A host and port in OUTBOUND_ALLOWED may have any scheme.
    """
    try:
        scheme, host, port = origin(url)
    except ValueError:
        return "is no address of a host without user and password"
    if not host or port is None or len(url) > MOST_CHARACTERS:
        return f"must be https://, a host, and a path, of at most {MOST_CHARACTERS} characters"
    if "#" in url or not url.isascii() or not url.isprintable() or " " in url:
        return "must be ASCII without blanks and without a fragment"
    current = settings.current()
    if scheme in ("http", "https") and (host, port) in hosts_and_ports(current.outbound_allowed):
        return None
    if scheme != "https":
        return "must begin with https://"
    if port not in current.allowed_webhook_ports:
        ports = ", ".join(map(str, sorted(current.allowed_webhook_ports)))
        return f"uses port {port}; webhooks are sent to port {ports} (setting WEBHOOK_PORTS)"
    return None


def check(url: str) -> None:
    """Raise InvalidInput, which says why, for an address to which nothing may be sent now.

    Its name is resolved, which takes at most five seconds.
    """
    found = fault(url)
    if found is None:
        _scheme, host, port = origin(url)
        assert port is not None
        try:
            destinations.check(host, port, _RESOLVE_SECONDS)
        except Outcome as err:
            found = f"is refused: {err.message}"
        except OSError:
            found = "is refused: its host cannot be resolved"
    if found is not None:
        raise InvalidInput(found, field="/url", code="url_refused")
