"""The vendors' outgoing webhooks: an outbox in the store, signed like each vendor's webhooks.

Invariant: a webhook is stored in the transaction of its effect, and it stays `pending` until it is
taken or the last try has failed. So a restart of the sandbox loses no webhook. A try takes at most
`webhook.timeout_seconds`, and each schedule has an end.

A webhook is sent again by its vendor's own schedule (`schedules.py`), in the sandbox's time, which
the control API moves ahead. What has become due on the way is then tried at once, one try after the
other. With the setting `webhook.retry_seconds` above 0, every vendor sends again in real time:
after so many seconds, then after twice as many, until there were `webhook.tries`.
"""

from __future__ import annotations

import base64
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import urllib3

from ops.sandbox.credentials import Credentials
from ops.sandbox.crew import Crew
from ops.sandbox.faults import WEBHOOK, Fault, Faults
from ops.sandbox.settings import Settings
from ops.sandbox.store import Store
from ops.sandbox.webhooks import schedules
from ops.sandbox.webhooks.signing import signature_headers

SENDERS = 8
_AGAIN = "state = 'pending' AND tries > 0"
_UNWANTED = "the endpoint is disabled or deleted"


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
        self.recipients: dict[str, Callable[[str], bool]] = {}
        """By vendor, whether the recipient of an object's id still wants webhooks."""
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

    def pass_time(self, seconds: float) -> None:
        """Let so much of the sandbox's time pass: what is to be sent again is due so much earlier.

        A first try that is delayed waits in real time.
        """
        if seconds and not self._quick():
            self._store.execute(f"UPDATE outbox SET due = due - ? WHERE {_AGAIN}", (seconds,))

    def next_again(self) -> float | None:
        """Return when the next webhook is due to be sent again in the sandbox's time, in Unix
        seconds of the real time, or None."""
        if self._quick():
            return None
        due = self._store.read(f"SELECT min(due) AS due FROM outbox WHERE {_AGAIN}")[0]["due"]
        return None if due is None else float(due)

    def underway(self) -> int:
        """Return how many webhooks are sent soon without a move of the sandbox's time."""
        until = math.inf if self._quick() else time.time()
        rows = self._store.read(
            "SELECT count(*) AS n FROM outbox WHERE state = 'pending' AND (tries = 0 OR due <= ?)",
            (until,),
        )
        return int(rows[0]["n"])

    def _quick(self) -> float:
        return self._settings.number("webhook.retry_seconds")

    def _send(self, row: Any) -> None:
        try:
            is_wanted = self.recipients.get(row["vendor"])
            if is_wanted is not None and not is_wanted(row["object_id"]):
                self._note(row, "failed", _UNWANTED, row["tries"], None)
                return
            outcome, is_done = self._try(row)
            pause = None if is_done else self._pause(row)
            state = "sent" if is_done else "failed" if pause is None else "pending"
            self._note(row, state, outcome, row["tries"] + 1, pause)
        finally:
            self._busy.discard(row["seq"])
            self._wake.set()

    def _note(self, row: Any, state: str, outcome: str, tries: int, pause: float | None) -> None:
        # By difference, because the clock may have been moved since the row was read.
        late = time.time() - row["due"] if self._quick() else 0.0
        self._store.execute(
            "UPDATE outbox SET tries = ?, state = ?, last = ?, due = due + ? WHERE seq = ?",
            (tries, state, outcome, late + (pause or 0.0), row["seq"]),
        )

    def _pause(self, row: Any) -> float | None:
        """The seconds until the next try after this one; None if it was the last."""
        tries, quick = row["tries"], self._quick()
        if quick:
            is_last = tries + 1 >= self._settings.number("webhook.tries")
            return None if is_last else float(quick * 2**tries)
        stripe = self._settings.text("stripe.webhook_schedule")
        own = schedules.pauses(row["vendor"], row["event"], stripe)
        return own[tries] if tries < len(own) else None

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
        return str(answer.status), schedules.is_taken(row["vendor"], answer.status)

    def _secret(self, vendor: str, is_forged: bool, own: str) -> str:
        secret = own or str(getattr(self._credentials, f"{vendor.upper()}_WEBHOOK_SECRET"))
        return "whsec_" + base64.b64encode(b"forged" * 4).decode() if is_forged else secret


def _extra_seconds(fault: Fault | None) -> float:
    if fault is None or fault.kind != "delay_webhook":
        return 0.0
    return float(fault.parameters.get("seconds", 5))
