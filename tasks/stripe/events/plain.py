"""Reads at Stripe without the SDK, whose import takes 2 s. The web process makes them.

Invariant: a read takes at most some seconds, and what is read is stored nowhere.
"""

import json
import time

from app.outbound import http
from app.outbound.spare import spare
from app.platform import Json
from app.settings import needed
from tasks.stripe import limits
from tasks.stripe.client import SETTING
from tasks.stripe.events.versions import VERSION
from tasks.stripe.settings import StripeSettings

_SECONDS = 5.0


def read(path: str, name: str) -> Json:
    """The object at a path of the API, `/v1/...`; `name` is the call's name in limits and circuits.

    Raises an Outcome if Stripe does not answer or refuses, and NotConfigured if the credential is
    not set in this process.
    """
    settings = StripeSettings.current()
    headers = {
        "Authorization": f"Bearer {needed(settings.api_key, SETTING)}",
        "Stripe-Version": VERSION,
    }
    keys = spare(SETTING, settings.api_key, settings.api_key_old)
    with (
        http.exchange_scope(time.monotonic() + _SECONDS, []),
        http.operation("stripe", name, repeatable=True, demand=limits.demand(name), spare=keys),
    ):
        reply = http.send("GET", f"{settings.base_url}{path}", headers=headers)
        try:
            seen = json.loads(reply.body)
            if reply.status == 200 and isinstance(seen, dict):
                return seen
            error = seen["error"]
            message, code = str(error.get("message") or "no message"), error.get("code")
        except (ValueError, LookupError, TypeError, AttributeError) as err:
            raise http.unreadable(err) from err
        raise http.refusal(
            "stripe", reply.status, message, setting=SETTING, headers=reply.headers, code=code
        )
