"""What an answer of each cache costs: of a process, of Valkey, of a known result, and over HTTP.

All runs in one process, one call after the other, over real servers and a real socket. A value is
2,000 bytes of JSON. `made` is what the answer costs that is not known: the time of the maker is not
in it. `valkey away` is a value that is made while Valkey does not answer, after the first such
call, which waits for the connection. A known result is read by `claim_result_v1` in a workflow of
its own, and copies no file. Over HTTP the front is Flask behind a threaded server of this process,
and the connection is kept: a list that is read or remembered, a document that is sent or not.
"""

import argparse
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from app import caching, db
from app.caching import Cache, key_of
from app.identity.keys import create_key
from app.settings import current
from chains.catalogue import versions
from chains.starting.start import start_workflow
from tests.bench.comparing.measure import percentile
from tests.bench.comparing.report import table
from tests.bench.machine.servers import servers, settings
from tests.bench.options import positive, run, scratch, takes_json, tell
from tests.unit.definitions import noop
from web import create_app

VALUE = {"name": "x" * 980, "more": "y" * 980}
NOWHERE = "redis://127.0.0.1:1/0"
_TYPE = "cached"
_HIT = (
    "SELECT verdict FROM claim_result_v1(%s, 'a', %s, %s, 3600, 60, NULL, '{}', 'waits_for_result')"
)

Json = dict[str, Any]


def measure(calls: int, folder: Path) -> Json:
    """Servers and all figures, of so many calls each."""
    with servers(folder):
        times = {**_levels(calls), **_results(calls), **_over_http(calls)}
        return {"calls": calls, "microseconds": times, "setting": settings()}


def _levels(calls: int) -> Json:
    found = {}
    for name, address in (("valkey", current().redis_url), ("valkey away", NOWHERE)):
        caching.share(address, lambda *_: None)
        shared = Cache("bench", seconds=60, own_seconds=1e-9)
        kept = Cache("bench", seconds=60, own_seconds=60)
        keys = [key_of(name, number) for number in range(calls)]
        shared.get(key_of("warm"), lambda: VALUE)
        found[f"made, {name}"] = _each(keys, lambda key: shared.get(key, lambda: VALUE))  # noqa: B023
        if name == "valkey":
            found["hit, valkey"] = _each(keys, lambda key: shared.get(key, lambda: VALUE))  # noqa: B023
            kept.get(keys[0], lambda: VALUE)
            found["hit, process"] = _each(keys, lambda _: kept.get(keys[0], lambda: VALUE))  # noqa: B023
        caching.forget()
    return found


def _results(calls: int) -> Json:
    """A hit of a known result, and the first question, which claims it."""
    versions.register({"name": _TYPE, "do": noop("a")}, activates=True)
    user, _ = create_key("bench@example.com")
    fences = [_claimed(start_workflow(user_id=user, type=_TYPE, input={}).id) for _ in range(calls)]
    hashed = [bytes.fromhex(key_of(number)) for number in range(calls)]
    made = _each(list(zip(fences, hashed, strict=True)), lambda each: _ask(each[0], each[1]))
    db.rows(
        "UPDATE steps SET status = 'succeeded', output = '{}', finished_at = clock_timestamp()"
        " RETURNING 1",
        (),
    )
    others = [_claimed(start_workflow(user_id=user, type=_TYPE, input={}).id) for _ in range(calls)]
    hit = _each(
        list(zip(others, hashed, strict=True)), lambda each: _ask(each[0], each[1], wanted="hit")
    )
    return {"made, results": made, "hit, results": hit}


def _claimed(workflow: UUID) -> tuple[UUID, str]:
    row = db.row(
        "UPDATE steps SET status = 'running', fence = gen_random_uuid() WHERE workflow_id = %s"
        " RETURNING fence",
        (workflow,),
    )
    assert row is not None
    return workflow, str(row["fence"])


def _ask(claimed: tuple[UUID, str], hashed: bytes, wanted: str = "make") -> None:
    row = db.row(_HIT, (*claimed, hashed))
    assert row == {"verdict": wanted}


class _Kept(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        """Log nothing."""


def _over_http(calls: int) -> Json:
    _, key = create_key("bench@example.com")
    server = make_server(
        "127.0.0.1", 0, create_app(current()), threaded=True, request_handler=_Kept
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {key}"
            lists = [f"{base}/v1/workflows?limit=20&version={n + 1}" for n in range(calls)]
            document = f"{base}/openapi/openapi.json"
            etag = session.get(document, timeout=30).headers["ETag"]
            return {
                "list, read": _each(lists, lambda url: _get(session, url)),
                "list, remembered": _each(lists, lambda _: _get(session, lists[-1])),
                "document, sent": _each(lists, lambda _: _get(session, document)),
                "document, 304": _each(lists, lambda _: _get(session, document, etag)),
            }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _get(session: requests.Session, url: str, etag: str | None = None) -> None:
    headers = {} if etag is None else {"If-None-Match": etag}
    found = session.get(url, timeout=30, headers=headers)
    assert found.status_code == (200 if etag is None else 304)


def _each(items: list[Any], call: Callable[[Any], object]) -> Json:
    """The median and the 99th percentile of the calls, in microseconds."""
    times = []
    for item in items:
        began = time.perf_counter()
        call(item)
        times.append((time.perf_counter() - began) * 1e6)
    return {"p50": percentile(tuple(times), 50), "p99": percentile(tuple(times), 99)}


def as_text(found: Json) -> str:
    """A table of the figures."""
    rows = [
        (name, f"{each['p50']:,.0f}", f"{each['p99']:,.0f}")
        for name, each in found["microseconds"].items()
    ]
    setting = ", ".join(f"{name} {value}" for name, value in found["setting"].items())
    return "\n".join([*table([("answer", "p50 us", "p99 us"), *rows]), setting])


def main(arguments: list[str] | None = None) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="ops/bench caches", description=__doc__)
    parser.add_argument("--calls", type=positive, default=300, help="calls of each kind (300)")
    takes_json(parser)
    given = parser.parse_args(arguments)
    with scratch() as folder:
        found = measure(given.calls, folder)
    tell(found, as_text(found), given.json)
    return 0


if __name__ == "__main__":
    run(main)
