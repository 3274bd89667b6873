"""Small inputs that took a whole front, worker or database before they were bounded.

To add one, add an entry to INPUTS: `prepare` is called once, with an administrator's key, then
`begin` once, with the key of the user who sends, and then `send` again and again by `threads`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.e2e.definitions import noop
from tests.e2e.stack import Json

ITEMS = [*range(5000)]
_SHORT_LIST = f"`{list(range(60))}`"
_FIVE_MAPS = f"length({'map(&' * 5}@{f', {_SHORT_LIST})' * 5}) > `0`"


@dataclass(frozen=True)
class Sender:
    """A user of the front at `url`."""

    url: str
    key: str
    session: requests.Session = field(default_factory=requests.Session)

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request; its answer may be a refusal. Wait as long as a refusal asks to."""
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        answer = self.session.request(method, self.url + path, headers=headers, timeout=120, **more)
        if answer.status_code in (429, 503):
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        return answer

    def register(self, body: Json) -> None:
        """Register and activate a definition."""
        answer = self.send("POST", "/v1/definitions?activate=true", json=body)
        assert answer.ok, answer.text

    def start(self, type: str, given: Json) -> None:
        """Start a workflow, or be refused."""
        self.send("POST", "/v1/workflows", json={"type": type, "input": given})

    def run(self, type: str, given: Json) -> None:
        """Start a workflow and look at it until it has ended, or be refused."""
        answer = self.send("POST", "/v1/workflows", json={"type": type, "input": given})
        end = time.monotonic() + 60
        while answer.ok and answer.json()["completed_at"] is None and time.monotonic() < end:
            time.sleep(0.1)
            answer = self.send("GET", f"/v1/workflows/{answer.json()['id']}")


@dataclass(frozen=True)
class Input:
    """What one user sends, by `threads` threads, while a neighbour's workflows run."""

    send: Callable[[Sender], None]
    prepare: Callable[[Sender], None] = lambda _: None
    begin: Callable[[Sender], None] = lambda _: None
    threads: int = 8


def _doubling(sender: Sender) -> None:
    condition = "'" + '"' * 40 + "'"
    for _ in range(15):
        condition = f"to_string(`1` | [{condition}])"
    case = {"when": condition, "do": noop("a")}
    body = {"name": "doubling", "do": {"choice": "c", "cases": [case]}}
    sender.send("POST", "/v1/definitions/validate", json=body)


def _patterns(sender: Sender) -> None:
    schema = {"properties": {f"p{n}": {"pattern": rf"\pL{{400}}{n}"} for n in range(40)}}
    body = {"name": "patterns", "input_schema": schema, "do": noop("a")}
    sender.send("POST", "/v1/definitions/validate", json=body)


def _register_pattern(sender: Sender) -> None:
    schema = {"properties": {"text": {"pattern": r"\w{90}x$"}}}
    sender.register({"name": "long_text", "input_schema": schema, "do": noop("a")})


def _register_nested_maps(sender: Sender) -> None:
    sender.register({"name": "five_maps", "do": {**noop("a"), "when": _FIVE_MAPS}})


def _map_in_map(over: str) -> Json:
    inner = {"map": "inner", "over": {"$": over}, "max_concurrency": 5000, "do": noop("leaf")}
    return {"map": "outer", "over": {"$": "input.list"}, "max_concurrency": 5000, "do": inner}


def _register_maps(sender: Sender) -> None:
    sender.register({"name": "known_maps", "do": _map_in_map("input.list")})
    kept = noop("rows", list={"$": "input.list"})
    later = {"sequence": [kept, _map_in_map("steps.rows.output.list")]}
    sender.register({"name": "later_maps", "do": later})


def _cancelled_maps(sender: Sender) -> None:
    body = {"type": "later_maps", "input": {"list": ITEMS}}
    workflow = sender.send("POST", "/v1/workflows", json=body).json()["id"]
    sender.send("POST", f"/v1/workflows/{workflow}/cancel", json={})


def _dry_runs(sender: Sender) -> None:
    body = {"action": "fork", "filter": {"type": "noop_chain"}, "arguments": {"from_step": "first"}}
    sender.send("POST", "/v1/workflows/bulk", json=body)


def _start_many(sender: Sender) -> None:
    for _ in range(300):
        sender.start("noop_chain", {})


def _streams(sender: Sender) -> None:
    page = sender.send("GET", "/v1/workflows?type=a_waiter").json()
    path = f"/v1/workflows/{page['items'][0]['id']}/events"
    headers = {"Accept": "text/event-stream"}
    with sender.send("GET", path, headers=headers, stream=True) as answer:
        for number, _ in enumerate(answer.iter_lines()):
            if number > 20:
                return


def _register_waiter(sender: Sender) -> None:
    sender.register({"name": "a_waiter", "do": {"wait": "long", "for": "1h"}})


INPUTS = {
    "a constant that doubles": Input(_doubling),
    "patterns of large classes": Input(_patterns),
    "a long text for a pattern": Input(
        lambda sender: sender.start("long_text", {"text": "a" * 10_000}), _register_pattern
    ),
    "conditions of five nested maps, one after the other": Input(
        lambda sender: sender.run("five_maps", {}), _register_nested_maps, threads=2
    ),
    "a map in a map, known before": Input(
        lambda sender: sender.start("known_maps", {"list": ITEMS}), _register_maps
    ),
    "a map in a map, known later, cancelled": Input(_cancelled_maps, _register_maps, threads=1),
    "dry runs of bulk requests": Input(_dry_runs, begin=_start_many, threads=40),
    "event streams": Input(
        _streams, _register_waiter, lambda sender: sender.start("a_waiter", {}), threads=32
    ),
    # The last one, because it leaves a backlog.
    "a condition of five nested maps": Input(
        lambda sender: sender.start("five_maps", {}), _register_nested_maps, threads=2
    ),
}
