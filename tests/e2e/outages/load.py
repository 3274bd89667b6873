"""Workflows that keep coming at a steady pace while a platform is away, and what became of them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

from tests.e2e.stack import Json, Stack

PAYMENT: Json = {
    "name": "outage_payment",
    "do": {
        "sequence": [
            {
                "step": "authorize",
                "action": "stripe.authorize",
                "with": {
                    "customer_email": "ada@example.com",
                    "payment_method": "pm_card_visa",
                    "amount": 1990,
                    "currency": "eur",
                },
            },
            {
                "step": "capture",
                "action": "stripe.capture",
                "with": {"payment_intent": {"$": "steps.authorize.output.payment_intent"}},
            },
        ]
    },
}
OTHER: Json = {
    "name": "outage_other",
    "do": {
        "sequence": [
            {
                "step": f"look_{number}",
                "action": "openai.moderate",
                "with": {"brief": "A circus in the rain", "cache": False},
            }
            for number in range(2)
        ]
    },
}


@dataclass
class Load:
    """Starts one workflow of each definition every `pause` seconds, until it is stopped."""

    stack: Stack
    names: tuple[str, ...]
    pause: float
    started: dict[str, list[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Start workflows at the pace, however long each start takes."""
        with requests.Session() as http:
            http.headers["Authorization"] = f"Bearer {self.stack.key}"
            due = time.monotonic()
            while not self._stopping.wait(max(0.0, due - time.monotonic())):
                due += self.pause
                for name in self.names:
                    self._start(http, name)

    def _start(self, http: requests.Session, name: str) -> None:
        body = {"type": name, "input": {}}
        answer = http.post(f"{self.stack.profile.url}/v1/workflows", json=body, timeout=15)
        if answer.status_code == 201:
            self.started.setdefault(name, []).append(str(answer.json()["id"]))
        else:
            self.failures.append(answer.text)

    def stop(self) -> None:
        """Start no more workflows."""
        self._stopping.set()


@contextmanager
def coming(stack: Stack, *names: str, pause: float) -> Iterator[Load]:
    """Let workflows of these definitions come within the block."""
    load = Load(stack, names, pause)
    thread = threading.Thread(target=load.run, name="load")
    thread.start()
    try:
        yield load
    finally:
        load.stop()
        thread.join(30)
        assert not thread.is_alive()


def rate(stack: Stack, name: str, since: float, until: float) -> float:
    """The workflows of a definition that ended in each second of an interval of Unix times."""
    (row,) = stack.rows(
        "SELECT count(*) AS n FROM workflows WHERE type = %s"
        " AND completed_at >= to_timestamp(%s) AND completed_at < to_timestamp(%s)",
        name,
        since,
        until,
    )
    return float(row["n"]) / (until - since)


def slowest(stack: Stack, name: str, since: float, until: float) -> float:
    """The seconds within which 95 of 100 workflows ended that began in the interval."""
    (row,) = stack.rows(
        "SELECT percentile_cont(0.95) WITHIN GROUP ("
        " ORDER BY extract(epoch FROM coalesce(completed_at, clock_timestamp()) - created_at)) AS p"
        " FROM workflows WHERE type = %s"
        " AND created_at >= to_timestamp(%s) AND created_at < to_timestamp(%s)",
        name,
        since,
        until,
    )
    return float(row["p"])
