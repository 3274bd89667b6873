"""The sandbox as a test sees it: its map, faults, settings and books."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from tests.canaries import WATCHED
from tests.sandbox.stripe.asked import faults_of_request

Json = dict[str, Any]


@dataclass(frozen=True)
class Vendors:
    """A running sandbox; `env` is what its clients are configured with."""

    control: str
    key: str
    urls: dict[str, str]
    env: dict[str, str]
    session: requests.Session

    def reset(self, **settings: Any) -> None:
        """Forget all effects, faults and settings, and change some, as `change` does. Webhooks are
        soon sent again."""
        self._ask("POST", "/reset")
        self.change(webhook__retry_seconds=0.5, **settings)

    def fault(self, vendor: str, operation: str, kind: str, **more: Any) -> None:
        """Plan one fault."""
        body = {"vendor": vendor, "operation": operation, "kind": kind, **more}
        self._ask("POST", "/faults", json=body)

    def change(self, **settings: Any) -> None:
        """Change settings; `replicate__hold` stands for `replicate.hold`."""
        self._ask("PUT", "/settings", json={k.replace("__", "."): v for k, v in settings.items()})

    def fail_refunds(self) -> None:
        """Let every refund that has succeeded fail, as a bank does days later."""
        self._ask("POST", "/stripe/fail_refunds")

    def restrict(self, reason: str | None) -> None:
        """Let Stripe restrict the account for a `disabled_reason`; None: it may charge again."""
        self._ask("POST", "/stripe/restrict", json={"reason": reason})

    def authenticate(self, intent: str, outcome: str = "complete") -> None:
        """Let the customer end the authentication of a PaymentIntent or a SetupIntent: `complete`
        or `fail`."""
        kind = "setup_intent" if intent.startswith("seti_") else "payment_intent"
        body = {kind: intent, "outcome": outcome}
        self._ask("POST", "/stripe/authenticate", json=body)

    def advance(self, seconds: float) -> None:
        """Move the time at Stripe ahead."""
        self._ask("POST", "/stripe/advance", json={"seconds": seconds})

    def destination(self, url: str, *events: str) -> Json:
        """Let Stripe send thin events to an address; the event destination with its secret."""
        given = {
            "name": "ours", "type": "webhook_endpoint", "event_payload": "thin",
            "enabled_events": events, "webhook_endpoint": {"url": url},
            "include": ["webhook_endpoint.signing_secret"],
        }  # fmt: skip
        answer = requests.post(
            f"{self.urls['stripe']}/v2/core/event_destinations", json=given, timeout=10,
            headers={"Authorization": f"Bearer {self.env['STRIPE_API_KEY']}"},
        )  # fmt: skip
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    def ping(self, destination: str) -> None:
        """Let Stripe send a test event to an event destination."""
        answer = requests.post(
            f"{self.urls['stripe']}/v2/core/event_destinations/{destination}/ping", timeout=10,
            headers={"Authorization": f"Bearer {self.env['STRIPE_API_KEY']}"},
        )  # fmt: skip
        answer.raise_for_status()

    def complete(self, session: str, payment_method: str) -> Json:
        """Let the customer pay on the page of a Checkout Session; the session afterwards."""
        url = f"{self.urls['stripe']}/v1/payment_pages/{session}/confirm"
        headers = {"Authorization": f"Bearer {self.env['STRIPE_API_KEY']}"}
        given = {"payment_method": payment_method}
        answer = requests.post(url, headers=headers, data=given, timeout=10)
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    def count(self, effect: str) -> int:
        """How often the effect happened since the reset, by the vendors' own books."""
        return int(self._ask("GET", "/books")["counts"][effect])

    def total(self) -> int:
        """How many effects of any kind happened since the reset."""
        return int(self._ask("GET", "/books")["total"])

    def journal(self, effect: str) -> list[Json]:
        """The details of each effect of this kind since the reset, oldest first."""
        entries = self._ask("GET", "/journal")["entries"]
        return [entry["details"] for entry in entries if entry["effect"] == effect]

    def ids(self, effect: str) -> list[str]:
        """The vendors' ids of the objects of each effect of this kind, oldest first."""
        entries = self._ask("GET", "/journal")["entries"]
        return [entry["object_id"] for entry in entries if entry["effect"] == effect]

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = self.session.request(
            method, self.control + path, headers=headers, timeout=10, **more
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


@contextmanager
def running(folder: Path) -> Iterator[Vendors]:
    """Start the sandbox on free ports and stop it.

    Raises AssertionError in the end if Stripe accepted a request that the types of its SDK do not
    allow.
    """
    requests_of_stripe = folder / "requests_of_stripe"
    command = [sys.executable, "-m", "ops.sandbox", "--base-port", "0", "--state", str(folder)]
    noting = os.environ | {"SANDBOX_STRIPE_REQUESTS": str(requests_of_stripe)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=noting) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "the sandbox did not start"
            described = json.loads(line)
            WATCHED.watch_settings(described["env"])
            urls = described["vendors"]
            with requests.Session() as session:
                yield Vendors(urls["control"], described["key"], urls, described["env"], session)
        finally:
            process.terminate()
            process.wait(timeout=10)
    faults = [fault for line in _lines(requests_of_stripe) for fault in _faults(json.loads(line))]
    assert not faults, "\n".join(sorted(set(faults))[:20])


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _faults(noted: Json) -> list[str]:
    if noted["version"] is None or noted["status"] >= HTTPStatus.BAD_REQUEST:
        return []
    return faults_of_request(noted["method"], noted["url"], noted["body"])
