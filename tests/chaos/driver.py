"""The customers: they submit at a steady pace until each submission is answered.

Invariant: what a customer was told is kept here and nowhere else; a submission whose answer was
lost is sent again under its key.
"""

import contextlib
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid5

import psycopg2
import requests

from tests.chaos.mix import Item
from tests.chaos.stack import plan_fault
from tests.e2e.stack import Stack

Json = dict[str, Any]

CLIENTS = 6
_ACCEPTED = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
ANSWER_SECONDS = 15.0
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = (0.2, 0.5, 1.0)
APPROVALS_SECONDS = 1.0
_WAITING_APPROVALS = """
SELECT workflow_id::text AS workflow, key, signal
  FROM steps WHERE status = 'waiting' AND signal IS NOT NULL
"""


@dataclass
class Ledger:
    """Our own list of what was accepted, refused and never answered."""

    accepted: dict[str, Item] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    sent_again: int = 0
    moved: list[str] = field(default_factory=list)
    """Keys that were answered with two different workflows."""


class Driver:
    """Submits the mix; `finish` waits for the last answers."""

    def __init__(self, stack: Stack, items: list[Item]) -> None:
        self.ledger = Ledger()
        self._stack = stack
        self._items = items
        self._lock = threading.Lock()
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS, thread_name_prefix="customer")
        self._pacer = threading.Thread(target=self._pace, name="pacer")
        self._approver = threading.Thread(target=self._approve, name="approver")
        self._pending: list[Future[None]] = []
        self._began = 0.0

    def start(self, began: float) -> None:
        """Begin to submit; `began` is the monotonic time of the run's start."""
        self._began = began
        self._pacer.start()
        self._approver.start()

    def finish(self) -> None:
        """Wait until everything is submitted and answered (or given up)."""
        self._pacer.join()
        for each in self._pending:
            each.result()

    def close(self) -> None:
        """Stop, whatever is still to be submitted."""
        self._stopping.set()
        for thread in (self._pacer, self._approver):
            if thread.is_alive():
                thread.join()
        self._pool.shutdown(cancel_futures=True)
        for session in self._sessions:
            session.close()

    def _pace(self) -> None:
        for item in self._items:
            if self._stopping.wait(max(0.0, self._began + item.at - time.monotonic())):
                return
            self._pending.append(self._pool.submit(self._submit, item))

    def _submit(self, item: Item) -> None:
        if item.fault is not None:
            plan_fault(self._stack, item.fault)
        ends = time.monotonic() + PATIENCE_SECONDS
        tries = 0
        while time.monotonic() < ends and not self._stopping.is_set():
            answer = self._send(item)
            if answer is not None and answer.status_code < 500:
                self._note(item, answer, tries)
                return
            self._stopping.wait(PAUSE_SECONDS[min(tries, len(PAUSE_SECONDS) - 1)])
            tries += 1
        with self._lock:
            self.ledger.unanswered.append(item.key)

    def _send(self, item: Item) -> requests.Response | None:
        body = {"type": item.type, "input": item.input}
        return self._post("/v1/workflows", body, item.key)

    def _post(self, path: str, body: Json, key: str) -> requests.Response | None:
        """The answer, or None where there was none."""
        headers = {"Authorization": f"Bearer {self._stack.key}", "Idempotency-Key": key}
        address = self._stack.profile.url + path
        try:
            return self._session().post(address, json=body, headers=headers, timeout=ANSWER_SECONDS)
        except requests.RequestException:
            return None

    def _session(self) -> requests.Session:
        """One for each thread."""
        if not hasattr(self._local, "http"):
            self._local.http = requests.Session()
            with self._lock:
                self._sessions.append(self._local.http)
        session: requests.Session = self._local.http
        return session

    def _note(self, item: Item, answer: requests.Response, tries: int) -> None:
        with self._lock:
            self.ledger.sent_again += tries
            if answer.status_code not in _ACCEPTED:
                self.ledger.refused[item.key] = f"{answer.status_code}: {answer.text[:300]}"
                return
            self.ledger.accepted[str(answer.json()["id"])] = item

    def ask_again(self, sample: list[tuple[str, Item]]) -> None:
        """Send accepted submissions once more: each must be answered with its own workflow."""
        for workflow, item in sample:
            answer = self._send(item)
            if answer is None or not answer.ok or answer.json()["id"] != workflow:
                self.ledger.moved.append(item.key)

    def _approve(self) -> None:
        while not self._stopping.wait(APPROVALS_SECONDS):
            with contextlib.suppress(psycopg2.Error):
                for row in self._stack.rows(_WAITING_APPROVALS):
                    path = f"/v1/workflows/{row['workflow']}/signals/{row['signal']}"
                    key = str(uuid5(UUID(row["workflow"]), row["key"]))
                    self._post(path, {"approved": True, "comment": "as planned"}, key)
