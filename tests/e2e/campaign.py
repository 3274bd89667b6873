"""A campaign as a customer starts it over HTTP, and what the vendors' books say it did."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any
from uuid import uuid4

import psycopg2
import requests
from PIL import Image

from ops.sandbox import photos
from tests.e2e.stack import Json, Stack, until

TYPE = "face_swap_campaign"
TERMINAL = ("succeeded", "failed", "compensated", "cancelled")
DIFFERENT_PHOTOS = 3
BRIEF = "A summer campaign: the same face in every picture, cheerful and warm."
REFUSED_BRIEF = "A poster that calls for murder."
PAID = ("authorizations", "captures", "refunds", "predictions", "deployments")


@dataclass
class Customer:
    """Uploads photographs once and starts campaigns with them."""

    stack: Stack

    @cached_property
    def source(self) -> str:
        """The artifact of the face that is used."""
        return self.upload(photos.source())

    @cached_property
    def targets(self) -> list[str]:
        """Artifacts of photographs with a face."""
        return [self.upload(data) for _, data in photos.targets(DIFFERENT_PHOTOS)]

    @cached_property
    def faceless(self) -> str:
        """An artifact of a photograph without a face."""
        content = BytesIO()
        Image.linear_gradient("L").resize((320, 240)).convert("RGB").save(content, "JPEG")
        return self.upload(content.getvalue())

    def upload(self, data: bytes) -> str:
        """Upload a photograph; its artifact's id."""
        answer = self.stack.api("POST", "/v1/artifacts", files={"file": ("photo", data)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def photographs(self, count: int) -> list[str]:
        """`count` artifacts, a few pictures again and again."""
        return [self.targets[number % len(self.targets)] for number in range(count)]

    def start(self, count: int = 1, **changes: Any) -> "Campaign":
        """Start a campaign with `count` photographs; `changes` replace parts of its input."""
        given = {
            "customer_email": "ada@example.com",
            "payment_method": "pm_card_visa",
            "price": {"amount": 4900, "currency": "eur"},
            "source": self.source,
            "targets": self.photographs(count),
            "brief": BRIEF,
            "consent": {"by": "Ada", "at": "2026-11-22T10:00:00Z", "text": "I agree."},
        } | changes
        body, key = {"type": TYPE, "input": given}, {"Idempotency-Key": uuid4().hex}
        answer = self.stack.api("POST", "/v1/workflows", json=body, headers=key)
        assert answer.status_code in (200, 201), answer.text
        return Campaign(self.stack, str(answer.json()["id"]))


@dataclass(frozen=True)
class Campaign:
    """One workflow, seen from outside."""

    stack: Stack
    id: str

    def detail(self) -> Json:
        """The workflow and its steps, as the API shows them."""
        answer = self.stack.api("GET", f"/v1/workflows/{self.id}")
        assert answer.status_code == 200, answer.text
        shown: Json = answer.json()
        return shown

    def cancel(self) -> int:
        """Ask for the end; the HTTP status."""
        return self.stack.api("POST", f"/v1/workflows/{self.id}/cancel").status_code

    def ended(self, status: str, seconds: float = 60.0) -> Json:
        """Wait for the end, which is to be `status`; the workflow."""

        def look() -> Json | None:
            shown = self.detail()
            return shown if shown["status"] in TERMINAL else None

        shown = until(f"the end of {self.id}", look, seconds, self.dump)
        assert shown["status"] == status, f"{self.id} is {shown['status']}\n{self.dump()}"
        return shown

    def until(self, what: str, look: Callable[[Json], bool], seconds: float = 30.0) -> Json:
        """Wait until the steps, by key, are as `look` wants them."""

        def found() -> Json | None:
            steps = self.steps()
            return steps if look(steps) else None

        return until(what, found, seconds, self.dump)

    def steps(self) -> Json:
        """The steps by key."""
        return {step["key"]: step for step in self.detail()["steps"]}

    def settled_but(self, count: int, seconds: float = 20.0) -> None:
        """Wait until just `count` steps run: those whose calls the sandbox holds.

        What is killed between an intent and its call is looked up until its deadline has passed,
        a minute and a half for a prediction; that is tested nearer to the engine.
        """
        self.until(
            f"{count} running steps",
            lambda steps: sum(s["status"] == "running" for s in steps.values()) == count,
            seconds,
        )

    def in_status(self, *statuses: str) -> Callable[[Json], bool]:
        """Whether some prediction stands in one of these."""
        return lambda steps: any(
            step["status"] in statuses for key, step in steps.items() if key.startswith("swap[")
        )

    def events(self) -> list[Json]:
        """The bodies of the events, in order."""
        rows = self.stack.rows(
            "SELECT body FROM events WHERE workflow_id = %s ORDER BY seq", self.id
        )
        return [json.loads(row["body"]) for row in rows]

    def kinds(self, step: str) -> list[str]:
        """The types of a step's events, in order."""
        return [event["type"] for event in self.events() if event.get("step") == step]

    def effects(self) -> list[Json]:
        """What the vendors' books hold of this workflow, in order."""
        journal = self.stack.journal()
        files = {entry["object_id"] for entry in journal if self._names_us(entry)}
        channel = self._channel()
        return [
            entry
            for entry in journal
            if self._names_us(entry)
            or entry["details"].get("cname") == channel
            or any(_file_of(address) in files for address in _addresses(entry))
        ]

    def counts(self) -> Counter[str]:
        """How often each effect happened for this workflow."""
        return Counter(entry["effect"] for entry in self.effects())

    def paid(self) -> dict[str, int]:
        """The paid effects."""
        counts = self.counts()
        return {name: counts[name] for name in PAID}

    def _names_us(self, entry: Json) -> bool:
        return self.id in json.dumps(entry["details"])

    def _channel(self) -> str:
        found = self.stack.rows(
            "SELECT response ->> 'channel' AS channel FROM intents"
            " WHERE workflow_id = %s AND operation = 'channels.open'",
            self.id,
        )
        return str(found[0]["channel"]) if found else "none was opened"

    def dump(self) -> str:
        """Steps, events, faults, effects and logs, for a failure's message."""
        told = [
            _told("steps", lambda: self.stack.rows(_STEPS, self.id)),
            _told("events", self.events),
            _told("faults", lambda: self.stack.control("GET", "/faults")["faults"]),
            _told("effects", lambda: [dict(self.counts())]),
        ]
        return "\n".join([f"== {self.id}", *told, self.stack.dump()])


_STEPS = """
SELECT w.status AS workflow, w.cause, w.attention, w.error AS why,
       w.next_wake_at - playalter_now() AS wakes_in, s.key, s.status, s.tries, s.claims,
       s.external_id, s.error, s.wake_at - playalter_now() AS due_in,
       s.lease_until - clock_timestamp() AS lease_left,
       s.publish_after - clock_timestamp() AS publish_in
  FROM workflows w JOIN steps s ON s.workflow_id = w.id
 WHERE w.id = %s ORDER BY s.position, s.key
"""


def _told(what: str, look: Callable[[], list[Json]]) -> str:
    """Rows as lines; a server that is away must not hide what the others know."""
    try:
        rows = look()
    except (requests.RequestException, psycopg2.Error) as err:
        return f"-- {what}: {type(err).__name__}"
    lines = [str({k: str(v) for k, v in row.items() if v is not None}) for row in rows]
    return "\n".join([f"-- {what}", *lines])


def _addresses(entry: Json) -> list[str]:
    return [str(value) for value in (entry["details"].get("input") or {}).values()]


def _file_of(address: str) -> str:
    """The id in an uploaded file's address, `.../v1/files/<id>`."""
    return address.partition("/v1/files/")[2].partition("/")[0].partition("?")[0] or "none"
