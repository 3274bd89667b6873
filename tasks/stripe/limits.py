"""Stripe's limits: for the account, and for each endpoint. Its answers tell none of them.

https://docs.stripe.com/rate-limits
"""

from functools import lru_cache, partial

from app.outbound import http
from app.outbound.http import Demand, HttpReply, Limit, Told
from tasks.stripe.settings import StripeSettings

_ACCOUNT = "account"
_OF_AN_OBJECT = ("lock_timeout",)
"""Codes of a 429 that says nothing of a rate: another call works on the same object."""


def demand(operation: str) -> Demand | None:
    """What a call of an operation takes: a probe nothing, for it says how the platform is."""
    if operation == "probe":
        return None
    return _demand(operation, StripeSettings.current())


@lru_cache(maxsize=256)
def _demand(operation: str, settings: StripeSettings) -> Demand:
    endpoint = f"endpoint {operation}"
    limits = (
        Limit(_ACCOUNT, requests=settings.limit_requests, in_flight=settings.limit_in_flight),
        Limit(endpoint, requests=settings.limit_endpoint_requests),
    )
    return Demand(limits, told=partial(_told, endpoint))


def _told(endpoint: str, reply: HttpReply) -> Told:
    """What an answer tells: only refusals do. Some have the status 400."""
    if reply.status not in (400, 429):
        return Told()
    answer = reply.json()
    error = answer.get("error") if isinstance(answer, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    reason = reply.headers.get("stripe-rate-limited-reason", "")
    is_of_object = code in _OF_AN_OBJECT or reason == "resource-specific"
    if is_of_object or (reply.status == 400 and code != "rate_limit"):
        return Told()
    names = {"global": (_ACCOUNT,), "endpoint": (endpoint,)}.get(reason.partition("-")[0], ())
    return Told(is_refused=True, after=http.told(reply).after, names=names)
