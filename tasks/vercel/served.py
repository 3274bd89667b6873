"""Whether a stranger who opens the page of a deployment is served that page.

Vercel calls a deployment READY although its page may not be served: Deployment Protection asks each
visitor to log in, or the address does not lead to the deployment yet. Only a request to the public
address shows it. https://vercel.com/docs/deployment-protection

Invariant: no other host than that of the page sees the secret which bypasses the protection.
"""

import hashlib

from app.engine.call import Call
from app.errors import NotServed, Permanent, Retryable
from app.outbound import http
from app.outbound.fetching import fetch, origin
from tasks.vercel.settings import VercelSettings

MOST_TRIES = 20
"""The tries of a step after which a page that is not served fails it: with the pauses between
polls about a quarter of an hour."""
_LOGIN_HOST = "vercel.com"
_CHALLENGES = ("x-vercel-mitigated", "cf-mitigated")
"""Headers with which a firewall marks its own answer: it asks for a proof that visitors are people,
or refuses them."""
_PROTECTED = (
    "Vercel asks the visitors of the page to log in ({}). Turn Deployment Protection off for the"
    " project {} in Vercel's settings, or set VERCEL_PROTECTION_BYPASS if the visitors have another"
    " way in. The step then goes on by itself"
)
_CHALLENGED = (
    "a firewall answers {} instead of the page, because this request is no browser's. Let Playalter"
    " pass, by a rule of the firewall or by VERCEL_PROTECTION_BYPASS. The step then goes on by"
    " itself"
)


def mark_of(call: Call) -> str:
    """What the page of a step contains, and no other page. It tells nothing about the workflow."""
    return hashlib.sha256(f"page of {call.reference}".encode()).hexdigest()[:32]


def is_served(call: Call, address: str) -> bool:
    """Whether a stranger is served the page now."""
    try:
        return _fault(address, mark_of(call)) is None
    except (NotServed, Retryable, Permanent):
        return False


def require_served(call: Call, address: str) -> None:
    """Fetch the page as a stranger does.

    Raises NotServed if visitors are asked to log in or a firewall does not let this request pass,
    Retryable if another page or no page is served, and Permanent if that has lasted for MOST_TRIES
    tries.
    """
    try:
        fault = _fault(address, mark_of(call))
    except (Retryable, Permanent) as err:
        # The page may have no public address, or redirect in circles: what was paid for is not
        # given up while that may still be corrected.
        fault = err.message
    if fault is None:
        return
    message = f"the deployment is READY, but its page {address} is not served: {fault}"
    if call.tries >= MOST_TRIES:
        raise Permanent(message, code="page_not_served")
    raise Retryable(message, code="page_not_served")


def _fault(address: str, mark: str) -> str | None:
    """What is wrong with what a stranger gets at the address, or None."""
    with http.operation("vercel", "page.get", repeatable=True, is_cut=True):
        reply = fetch(address, lambda url: _headers(url, address))
    if any(reply.headers.get(each) for each in _CHALLENGES):
        raise _held(_CHALLENGED.format(reply.status))
    if reply.status in (401, 403):
        raise _protected(f"it answers {reply.status}")
    if reply.status != 200:
        return f"the answer is {reply.status}"
    return None if mark.encode() in reply.body else "another page is served"


def _headers(url: str, address: str) -> dict[str, str]:
    """The headers for the page, or for an address to which it redirects."""
    settings, is_page = VercelSettings.current(), origin(url) == origin(address)
    if not is_page and origin(url)[1] == _LOGIN_HOST:
        raise _protected(f"it redirects to {_LOGIN_HOST}")
    bypass = settings.protection_bypass.get_secret_value()
    return {"x-vercel-protection-bypass": bypass} if bypass and is_page else {}


def _protected(how: str) -> NotServed:
    return _held(_PROTECTED.format(how, VercelSettings.current().project))


def _held(message: str) -> NotServed:
    return NotServed(message, code="page_protected")
