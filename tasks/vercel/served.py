"""Whether a stranger who opens the page of a deployment is served that page.

Vercel calls a deployment READY although its page may not be served: Deployment Protection asks each
visitor to log in, or the address does not lead to the deployment yet. Only a request to the public
address shows it. https://vercel.com/docs/deployment-protection
"""

import hashlib
from urllib.parse import urljoin, urlsplit

from app.engine.call import Call
from app.errors import NotServed, Permanent, Retryable
from app.outbound import http
from tasks.vercel.settings import VercelSettings

MOST_TRIES = 20
"""The tries of a step after which a page that is not served fails it: with the pauses between
polls about a quarter of an hour."""
_MOST_REDIRECTS = 3
_PROTECTED = (
    "Vercel asks the visitors of the page to log in ({}). Turn Deployment Protection off for the"
    " project {} in Vercel's settings, or set VERCEL_PROTECTION_BYPASS if the visitors have another"
    " way in. The step then goes on by itself"
)


def mark_of(call: Call) -> str:
    """What the page of a step contains, and no other page. It tells nothing about the workflow."""
    return hashlib.sha256(f"page of {call.reference}".encode()).hexdigest()[:32]


def require_served(call: Call, address: str) -> None:
    """Fetch the page as a stranger does.

    Raises NotServed if visitors are asked to log in, Retryable if another page or no page is
    served, and Permanent if that has lasted for MOST_TRIES tries.
    """
    try:
        fault = _fault(address, mark_of(call))
    except Retryable as err:
        fault = err.message
    if fault is None:
        return
    message = f"the deployment is READY, but its page {address} is not served: {fault}"
    if call.tries >= MOST_TRIES:
        raise Permanent(message, code="page_not_served")
    raise Retryable(message, code="page_not_served")


def _fault(address: str, mark: str) -> str | None:
    """What is wrong with what a stranger gets at the address, or None."""
    here, left = address, _MOST_REDIRECTS
    while (reply := _get(here)) is not None:
        if reply.status in (401, 403):
            raise _protected(f"it answers {reply.status}")
        if not 300 <= reply.status < 400 or not left:
            break
        here, left = urljoin(here, reply.headers.get("location", "")), left - 1
        if urlsplit(here)[:2] != urlsplit(address)[:2]:
            raise _protected(f"it redirects to {urlsplit(here).netloc}")
    if reply is not None and reply.status != 200:
        return f"the answer is {reply.status}"
    is_it = reply is not None and mark.encode() in reply.body
    return None if is_it else "another page is served"


def _get(address: str) -> http.HttpReply | None:
    """The answer to a stranger's request, or None if it is far larger than any page of ours."""
    bypass = VercelSettings.current().protection_bypass.get_secret_value()
    headers = {"x-vercel-protection-bypass": bypass} if bypass else {}
    with http.operation("vercel", "page.get", repeatable=True):
        try:
            return http.send("GET", address, headers=headers)
        except Permanent as err:
            if err.code == "answer_too_large":
                return None
            raise


def _protected(how: str) -> NotServed:
    return NotServed(
        _PROTECTED.format(how, VercelSettings.current().project), code="page_protected"
    )
