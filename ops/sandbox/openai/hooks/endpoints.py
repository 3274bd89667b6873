"""The endpoints for webhook endpoints.

Besides `https` only `http` addresses of loopback are taken, for tests.
https://developers.openai.com/api/reference/resources/webhooks
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import urllib3
from werkzeug.wrappers import Response

from ops.sandbox import clock
from ops.sandbox.box import token36
from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.hooks.events import KIND, Hooks, made
from ops.sandbox.openai.parameters import CALLS
from ops.sandbox.store import Json
from ops.sandbox.webhooks.signing import signature_headers
from ops.sandbox.wire import Call, Refusal, Route, reply

_DAY = 86_400.0
_TEST_SECONDS = 10.0


class WebhookEndpoints:
    """The endpoints for webhook endpoints."""

    def __init__(self, desk: Desk, hooks: Hooks) -> None:
        self._desk, self._hooks, self._store = desk, hooks, desk.store

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        base, kinds = "/v1/webhook_endpoints", "/v1/webhook_event_types"
        return [
            ("POST", base, "webhooks.create", self._create),
            ("GET", base, "webhooks.list", self._list),
            ("GET", f"{base}/<id>", "webhooks.retrieve", self._retrieve),
            ("POST", f"{base}/<id>", "webhooks.update", self._update),
            ("DELETE", f"{base}/<id>", "webhooks.delete", self._delete),
            ("POST", f"{base}/<id>/rotate_secret", "webhooks.rotate_secret", self._rotate),
            ("POST", f"{base}/<id>/test", "webhooks.test", self._test),
            ("GET", kinds, "webhooks.event_types.list", self._types),
        ]

    def _create(self, call: Call) -> Response:
        given = self._desk.given(call)
        _check(given)
        now, secret = clock.now(self._store), _secret()
        endpoint: Json = {
            "id": f"whep_{token36(32)}",
            "object": "webhook_endpoint",
            "created_at": int(now),
            "updated_at": int(now),
            "event_types": given["event_types"],
            "name": given["name"],
            "url": given["url"],
            "signing_secret_hint": _hint(secret),
            "sandbox": {"secret": secret, "old_secret": None, "old_until": 0.0},
        }
        with self._store.transaction():
            self._put(endpoint)
            self._desk.note(call, "webhook_endpoints", endpoint["id"], {"url": endpoint["url"]})
        return reply(_public(endpoint) | {"signing_secret": secret})

    def _list(self, call: Call) -> Response:
        asked = self._desk.asked(call)
        found = [_public(row.body) for row in self._store.query(KIND, order="ASC")]
        return reply(wire.page(found, asked))

    def _retrieve(self, call: Call, id: str) -> Response:
        return reply(_public(self._get(id)))

    def _update(self, call: Call, id: str) -> Response:
        given = self._desk.given(call)
        _check(given)
        with self._store.transaction():
            endpoint = self._get(id)
            if any(endpoint[name] != value for name, value in given.items()):
                endpoint |= given | {"updated_at": int(clock.now(self._store))}
                self._put(endpoint)
        return reply(_public(endpoint))

    def _delete(self, call: Call, id: str) -> Response:
        with self._store.transaction():
            self._get(id)
            self._store.delete(KIND, id)
        return reply({"id": id, "deleted": True, "object": "webhook_endpoint.deleted"})

    def _rotate(self, call: Call, id: str) -> Response:
        is_kept = bool(self._desk.given(call).get("keep_old_secret_active_for_24_hours"))
        now, secret = clock.now(self._store), _secret()
        with self._store.transaction():
            endpoint = self._get(id)
            old = endpoint["sandbox"]["secret"] if is_kept else None
            endpoint["sandbox"] = {"secret": secret, "old_secret": old, "old_until": now + _DAY}
            endpoint |= {"updated_at": int(now), "signing_secret_hint": _hint(secret)}
            self._put(endpoint)
        return reply(_public(endpoint) | {"signing_secret": secret})

    def _test(self, call: Call, id: str) -> Response:
        """Send a sample at once, and answer with the status that it got."""
        kind = self._desk.given(call)["event_type"]
        endpoint = self._get(id)
        event = made(kind, f"sample_{token36(24)}", clock.now(self._store))
        body, signed_by = json.dumps(event).encode(), " ".join(self._hooks.secrets(endpoint))
        headers = signature_headers(
            "standard", signed_by, f"wh_{token36(32)}", body, int(time.time())
        )
        try:
            answer = urllib3.request(
                "POST", endpoint["url"], body=body, headers=headers, timeout=_TEST_SECONDS,
                retries=False, redirect=False,
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as err:
            words = "The webhook endpoint could not be reached."
            raise wire.error(400, words, None, "webhook_endpoint_unreachable") from err
        return reply(
            {
                "object": "webhook_endpoint.test",
                "webhook_endpoint_id": id,
                "event_type": kind,
                "status_code": answer.status,
                "success": True,
            }
        )

    def _types(self, call: Call) -> Response:
        kinds: Any = CALLS["webhooks.create"]["event_types!"]["*"]
        return reply({"object": "list", "data": kinds})

    def _put(self, endpoint: Json) -> None:
        self._store.put(KIND, endpoint["id"], endpoint)

    def _get(self, endpoint_id: str) -> Json:
        row = self._store.get(KIND, endpoint_id)
        if row is None:
            raise wire.error(404, f"No webhook endpoint found with id '{endpoint_id}'.")
        return row.body


def _check(given: Json) -> None:
    if "url" in given:
        _check_url(given["url"])
    if given.get("event_types") == []:
        wire.empty_list("event_types")
    if given.get("name") == "":
        expected = "Expected a string with minimum length 1, but got an empty string instead."
        raise wire.error(400, f"Invalid 'name': empty string. {expected}", "name", "empty_string")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
        is_right = bool(parts.hostname) and (parts.scheme == "https" or is_here)
    except ValueError as err:
        raise _no_url() from err
    if not is_right:
        raise _no_url()


def _no_url() -> Refusal:
    return wire.error(400, "Invalid 'url': expected an HTTPS URL.", "url", "invalid_value")


def _secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _hint(secret: str) -> str:
    return f"whsec_...{secret[-4:]}"


def _public(endpoint: Json) -> Json:
    return {name: value for name, value in endpoint.items() if name != "sandbox"}
