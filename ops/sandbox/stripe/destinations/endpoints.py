"""The webhook endpoints of API v1. https://docs.stripe.com/api/webhook_endpoints"""

from __future__ import annotations

from urllib.parse import urlsplit

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call


class WebhookEndpoints(Resource):
    """The endpoints; only the reply to the creation shows the secret that signs."""

    kind, url, calls, prefix, event = (
        "webhook_endpoint", "/v1/webhook_endpoints", "webhook_endpoint", "we", "",
    )  # fmt: skip
    verbs = ("create", "list", "retrieve", "update", "delete")
    set_apart = ("connect", "disabled")

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Give the endpoint a secret."""
        check_url(given["url"])
        body |= {"status": "enabled", "application": None, "sandbox_secret": new_secret()}
        body["api_version"] = given.get("api_version")

    def made(self, call: Call, given: Json, body: Json) -> Json:
        """Show the secret, once."""
        return body | {"secret": body["sandbox_secret"]}

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Enable or disable the endpoint."""
        check_url(body["url"])
        if "disabled" in given:
            body["status"] = "disabled" if given["disabled"] else "enabled"


def new_secret() -> str:
    """Return a random secret for signatures."""
    return f"whsec_{token62(32)}"


def check_url(url: str) -> None:
    """Raise Stripe's error unless an address has a scheme of HTTP and a host."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise error(400, message, "url_invalid", "url")
