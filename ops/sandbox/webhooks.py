"""The vendors' outgoing webhooks: an outbox in the store, signed like each vendor's webhooks.

Invariant: a webhook is stored in the transaction of its effect, and it stays `pending` until a 2xx
response or the last attempt. So a restart of the sandbox loses no webhook.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from functools import partial
from typing import Any

import urllib3

from ops.sandbox.credentials import Credentials
from ops.sandbox.crew import Crew
from ops.sandbox.faults import WEBHOOK, Fault, Faults
from ops.sandbox.settings import Settings
from ops.sandbox.store import Store

SENDERS = 8


class Outbox:
    """Sends webhooks with retries and back-off; a webhook keeps its id over all attempts."""

    def __init__(
        self, store: Store, settings: Settings, faults: Faults, credentials: Credentials
    ) -> None:
        self._store, self._settings, self._faults = store, settings, faults
        self._credentials = credentials
        self._http = urllib3.PoolManager(num_pools=16, maxsize=SENDERS, retries=False)
        self._crew = Crew("webhook", SENDERS)
        self._wake, self._stop = threading.Event(), threading.Event()
        self._busy: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        store.on_commit(self._wake.set)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Stop sending; return whether all requests in flight ended within the given seconds."""
        self._stop.set()
        self._wake.set()
        self._thread.join(seconds)
        return self._crew.stop(seconds) and not self._thread.is_alive()

    def post(
        self,
        vendor: str,
        event: str,
        url: str,
        message_id: str,
        object_id: str,
        body: bytes,
        scheme: str,
        delay_seconds: float = 0.0,
    ) -> None:
        """Enqueue a webhook; a planned fault for this vendor and event may alter it.

        A secret may follow the scheme after a colon; without it the vendor's own secret signs.
        """
        text = f"{url}\n{body.decode('utf-8', 'replace')}"
        fault = self._faults.take(vendor, event, WEBHOOK, text)
        kind = fault.kind if fault else None
        if kind == "drop_webhook":
            self._insert((vendor, event, message_id, object_id, url, scheme, body, 0, 0), "dropped")
            return
        due = time.time() + delay_seconds + _extra_seconds(fault)
        forged = int(kind == "forge_webhook")
        row = (vendor, event, message_id, object_id, url, scheme, body, forged, due)
        for _ in range(2 if kind == "double_webhook" else 1):
            self._insert(row, "pending")

    def _insert(self, row: tuple[Any, ...], state: str) -> None:
        self._store.execute(
            "INSERT INTO outbox (vendor, event, message_id, object_id, url, scheme, body, forged,"
            " due, state) VALUES (?,?,?,?,?,?,?,?,?,?)",
            (*row, state),
        )

    def deliveries(self, after: int = 0) -> list[dict[str, Any]]:
        """Return every webhook after a sequence number, with its state and last response."""
        rows = self._store.read(
            "SELECT seq, vendor, event, message_id, object_id, url, state, tries, last "
            "FROM outbox WHERE seq > ? ORDER BY seq",
            (after,),
        )
        return [dict(row) for row in rows]

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            now = time.time()
            for row in self._due(now):
                self._busy.add(row["seq"])
                self._crew.submit(partial(self._send, row))
            self._wake.wait(self._seconds_to_next(now))

    def _due(self, now: float) -> list[Any]:
        rows = self._store.read(
            "SELECT * FROM outbox WHERE state = 'pending' AND due <= ? ORDER BY due LIMIT 200",
            (now,),
        )
        return [row for row in rows if row["seq"] not in self._busy]

    def _seconds_to_next(self, now: float) -> float:
        rows = self._store.read(
            "SELECT min(due) AS due FROM outbox WHERE state = 'pending' AND due > ?", (now,)
        )
        due = rows[0]["due"]
        return 0.5 if due is None else min(0.5, max(0.005, due - time.time()))

    def _send(self, row: Any) -> None:
        try:
            outcome, is_done = self._try(row)
            tries = row["tries"] + 1
            is_last = tries >= self._settings.number("webhook.tries")
            state = "sent" if is_done else "failed" if is_last else "pending"
            wait = self._settings.number("webhook.retry_seconds") * 2 ** row["tries"]
            self._store.execute(
                "UPDATE outbox SET tries = ?, state = ?, last = ?, due = ? WHERE seq = ?",
                (tries, state, outcome, time.time() + wait, row["seq"]),
            )
        finally:
            self._busy.discard(row["seq"])

    def _try(self, row: Any) -> tuple[str, bool]:
        scheme, _, own_secret = row["scheme"].partition(":")
        headers = signature_headers(
            scheme,
            self._secret(row["vendor"], bool(row["forged"]), own_secret),
            row["message_id"],
            row["body"],
            int(time.time()),
        )
        seconds = self._settings.number("webhook.timeout_seconds")
        try:
            answer = self._http.request(
                "POST",
                row["url"],
                body=row["body"],
                headers=headers,
                timeout=seconds,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            return f"{type(error).__name__}: {error}"[:200], False
        return str(answer.status), 200 <= answer.status < 300

    def _secret(self, vendor: str, is_forged: bool, own: str) -> str:
        secret = own or str(getattr(self._credentials, f"{vendor.upper()}_WEBHOOK_SECRET"))
        return "whsec_" + base64.b64encode(b"forged" * 4).decode() if is_forged else secret


def _extra_seconds(fault: Fault | None) -> float:
    if fault is None or fault.kind != "delay_webhook":
        return 0.0
    return float(fault.parameters.get("seconds", 5))


def signature_headers(
    scheme: str, secret: str, message_id: str, body: bytes, now: int
) -> dict[str, str]:
    """Return the headers of a delivery signed at `now` (Unix seconds).

    `stripe`: Stripe-Signature; `vercel`: x-vercel-signature; `standard`: standardwebhooks.com.
    """
    headers = {"Content-Type": "application/json"}
    if scheme == "stripe":
        mac = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        headers["Content-Type"] = "application/json; charset=utf-8"
        return headers | {
            "Stripe-Signature": f"t={now},v1={mac}",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
    if scheme == "vercel":
        sha1 = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
        return headers | {"x-vercel-signature": sha1, "User-Agent": "Vercel/1.0"}
    if scheme == "agora":
        # https://docs.agora.io/en/video-calling/advanced-features/receive-notifications
        return headers | {
            "Agora-Signature": hmac.new(secret.encode(), body, hashlib.sha1).hexdigest(),
            "Agora-Signature-V2": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }
    return headers | standard_headers(secret, message_id, body, now)


def standard_headers(secret: str, message_id: str, body: bytes, now: int) -> dict[str, str]:
    """Return the three Standard Webhooks headers for a `whsec_` secret."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{message_id}.{now}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
