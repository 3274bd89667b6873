"""What starts workflows by itself while the instance is broken, and who is told of their ends.

Schedules start a workflow every few seconds, and events start one each by a trigger. A receiver of
webhooks is told how each workflow has ended; it refuses some messages once.

Invariant: what must have been started is computed here, from the times of the schedules and from
the events that were accepted; so is what must have been told.
"""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import requests
from standardwebhooks import Webhook

from tests.chaos.record import TERMINAL, Workflow
from tests.e2e.stack import Stack
from tests.integration.webhooks.receiver import Answer, Received, Receiver

Json = dict[str, Any]
Start = tuple[str, str]
"""What started a workflow, and the time or the event for which."""

TYPE = "chaos_begun"
EVENT_TYPE = "chaos.happened"
EVERY_SECONDS = {"allow_all": 3, "buffer_all": 4}
"""The interval of the schedule of each overlap policy. Both policies start every time."""
SPAN = 0.85
"""The part of a run in which schedules and events start workflows."""
EVENTS_PAUSE_SECONDS = 1.0
WANTED = 3
"""Every so many events the trigger's filter lets one through."""
REFUSED_ONCE = 0.1
ANSWER_SECONDS = 10.0
PATH = "/told"
ENDS = {
    "workflow.succeeded": "succeeded",
    "workflow.failed": "failed",
    "workflow.cancelled": "cancelled",
    "workflow.compensated": "compensated",
}
_STARTED = (
    "SELECT input ->> 'by' AS by, input ->> 'what' AS what, count(*) AS number FROM workflows"
    f" WHERE type = '{TYPE}' GROUP BY 1, 2"
)
_UNSENT = "SELECT count(*) AS number FROM webhook_sendings WHERE status IN ('pending', 'sending')"


class Customer(Receiver):
    """A receiver that refuses some messages when they first come."""

    def __init__(self, seed: int) -> None:
        self._random, self._met = Random(f"customer {seed}"), set[str]()
        super().__init__()

    def answer(self, got: Received) -> Answer:
        """503 for a message that is refused once."""
        found = super().answer(got)
        if got.id not in self._met:
            self._met.add(got.id)
            if self._random.random() < REFUSED_ONCE:
                return Answer(503)
        return found


@dataclass
class Starts:
    """Creates the schedules, the trigger and the endpoint, and sends events until it is closed."""

    stack: Stack
    customer: Customer
    seconds: float
    due: set[Start] = field(default_factory=set)
    """What must have been started."""
    secret: str = ""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        made = self._create(
            "/v1/webhooks", {"url": self.customer.url(PATH), "event_types": list(ENDS)}
        )
        self.secret = made["secret"]
        self._create(
            "/v1/triggers",
            {
                "name": "happened",
                "event_type": EVENT_TYPE,
                "filter": "event.data.is_wanted",
                "definition": TYPE,
                "input": {"by": "event", "what": {"$": "event.id"}},
            },
        )
        begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
        end = begin + timedelta(seconds=int(self.seconds * SPAN))
        for overlap, every in EVERY_SECONDS.items():
            self._schedule(overlap, every, begin, end)
        self._thread = threading.Thread(target=self._send_all, name="events")
        self._thread.start()

    def close(self) -> None:
        """Send no more events; idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _schedule(self, overlap: str, every: int, begin: datetime, end: datetime) -> None:
        self._create(
            "/v1/schedules",
            {
                "name": overlap,
                "type": TYPE,
                "input": {"by": overlap, "what": {"$": "scheduled_at"}},
                "overlap": overlap,
                "spec": {
                    "every": f"{every}s",
                    "starts_at": begin.isoformat(),
                    "ends_at": end.isoformat(),
                },
            },
        )
        self.due |= {(overlap, each.isoformat()) for each in times(every, begin, end)}

    def _create(self, path: str, body: Json) -> Json:
        answer = self.stack.api("POST", path, json=body)
        assert answer.ok, answer.text
        made: Json = answer.json()
        return made

    def _send_all(self) -> None:
        ends, number = time.monotonic() + self.seconds * SPAN, 0
        with requests.Session() as http:
            while time.monotonic() < ends and not self._stopping.wait(EVENTS_PAUSE_SECONDS):
                number += 1
                id, is_wanted = f"happened-{number}", number % WANTED == 0
                event = {
                    "source": "chaos",
                    "id": id,
                    "type": EVENT_TYPE,
                    "data": {"is_wanted": is_wanted},
                }
                # Sent again under its id until it is answered, as a source does.
                while not self._is_accepted(http, event):
                    if self._stopping.wait(0.5):
                        return
                if is_wanted:
                    self.due.add(("event", id))

    def _is_accepted(self, http: requests.Session, event: Json) -> bool:
        address = f"{self.stack.profile.url}/v1/events"
        headers = {"Authorization": f"Bearer {self.stack.key}"}
        with contextlib.suppress(requests.RequestException):
            answer = http.post(address, json=event, headers=headers, timeout=ANSWER_SECONDS)
            return answer.ok
        return False

    # When all is over.

    def unsettled(self) -> Iterator[str]:
        """What is due and has not been started, and messages that are not sent yet."""
        missing = self.due - set(self._started())
        if missing:
            yield f"{len(missing)} starts are due"
        waiting = self.stack.rows(_UNSENT)[0]["number"]
        if waiting:
            yield f"{waiting} messages are not sent"

    def wrong(self) -> list[str]:
        """Starts that are lost, doubled, or were never due."""
        return differing(self.due, self._started())

    def untold(self, known: Iterable[Workflow]) -> list[str]:
        """Ends of which the customer was not told, and what it was told wrongly."""
        ended = {
            each.id: each.status for each in known if each.status in TERMINAL and not each.is_child
        }
        got = self.customer.of(PATH)
        forged = [f"{each.id} is not signed" for each in got if not _is_signed(each, self.secret)]
        return forged + untold(ended, [(each.id, json.loads(each.body)) for each in got])

    def _started(self) -> Counter[Start]:
        return Counter(
            {(_utc(row["by"], row["what"])): row["number"] for row in self.stack.rows(_STARTED)}
        )


def _is_signed(got: Received, secret: str) -> bool:
    """Whether a message has the right signature. How old it is does not matter: the library's own
    check refuses what has come more than five minutes ago."""
    at = datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC)
    signature = Webhook(secret).sign(got.id, at, got.body.decode())
    return signature in got.headers["webhook-signature"].split()


def _utc(by: str, what: str) -> Start:
    """A start whose time is written as in `due`."""
    return (by, what if by == "event" else datetime.fromisoformat(what).isoformat())


def times(every: int, begin: datetime, end: datetime) -> Iterator[datetime]:
    """The times of an interval of whole seconds, which counts from the epoch. Pure.

    >>> at = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    >>> [each.second for each in times(3, at, at + timedelta(seconds=8))]
    [3, 6, 9]
    """
    first, last = int(begin.timestamp()), int(end.timestamp())
    for second in range(first + -first % every, last + 1, every):
        yield datetime.fromtimestamp(second, UTC)


def differing(due: set[Start], started: Mapping[Start, int]) -> list[str]:
    """How what was started differs from what was due. Pure.

    >>> differing({("event", "1"), ("event", "2")}, {("event", "2"): 2, ("event", "3"): 1})
    ['event 1 was not started', 'event 2 was started 2 times', 'event 3 was started 1 times']
    """
    lost = [f"{by} {what} was not started" for by, what in sorted(due - set(started))]
    return lost + [
        f"{by} {what} was started {number} times"
        for (by, what), number in sorted(started.items())
        if number != 1 or (by, what) not in due
    ]


def untold(ended: Mapping[str, str], told: Iterable[tuple[str, Json]]) -> list[str]:
    """Workflows of whose end no message has told, or that were told to have ended otherwise. Pure.

    `told` has the id and the body of each message that came. A message may come twice, under the
    same id; two messages of one end may not.

    >>> one = {"type": "workflow.failed", "data": {"workflow_id": "a"}}
    >>> untold({"a": "failed"}, [("1", one), ("1", one)])
    []
    >>> untold({"a": "failed", "b": "succeeded"}, [("1", one), ("2", one)])
    ['b: its end, succeeded, was not told', 'a: its end was told by 2 messages']
    """
    ids: dict[str, set[str]] = {}
    wrong = []
    for id, body in told:
        workflow, status = body["data"]["workflow_id"], ENDS[body["type"]]
        ids.setdefault(workflow, set()).add(id)
        if ended.get(workflow) != status:
            wrong.append(f"{workflow}: told as {status}, is {ended.get(workflow)}")
    missing = [
        f"{id}: its end, {status}, was not told" for id, status in ended.items() if id not in ids
    ]
    doubled = [
        f"{id}: its end was told by {len(each)} messages"
        for id, each in ids.items()
        if len(each) > 1
    ]
    return missing + doubled + wrong
