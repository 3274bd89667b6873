"""Full disks: a step or request that cannot be stored says why, and goes on when there is room."""

import contextlib
import errno
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import make_url
from structlog.testing import capture_logs

from app import db
from app.engine.attempt import execute
from app.engine.call import Call
from app.engine.outcome_writer import record
from app.identity import keys
from app.payload import dumps
from app.platform import Action, Effect, Json
from app.protocol import outcomes
from app.protocol.outcomes import Finish
from app.queries import human_tasks
from app.settings import Settings
from chains.repair.reconcile import reconcile
from chains.running.prepare import prepare
from ops.laptop.account import server_account
from ops.laptop.postgres import Postgres
from tasks.control.actions import NoopInput
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.driving import drive
from tests.small_disk import SmallDisk, small_disk
from tests.unit.definitions import noop
from web import create_app

KILOBYTES = 512
BACK_AFTER_SECONDS = 1.5


class EventsDisk:
    """The disk that the table of events stands on."""

    def __init__(self, disk: SmallDisk, url: str, stuffing: UUID) -> None:
        self._disk = disk
        self._url = url
        self._stuffing = stuffing

    def fill(self) -> None:
        """Leave no room, on the disk and in the table's own pages, for one more event."""
        self._disk.fill()
        with _administering(self._url) as run, contextlib.suppress(psycopg2.errors.DiskFull):
            while True:
                run("SELECT append_event_v1(%s, 'X', NULL, NULL)", (self._stuffing,))

    def make_room(self) -> None:
        """Undo `fill`."""
        self._disk.make_room()


@contextlib.contextmanager
def _administering(url: str) -> Iterator[Callable[..., None]]:
    with contextlib.closing(psycopg2.connect(db.dsn(url), connect_timeout=5)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor.execute


@pytest.fixture
def events_disk(
    kernel: Kernel, settings: Settings, postgres_server: Postgres, tmp_path: Path
) -> Iterator[EventsDisk]:
    """Events on a small disk of their own, for this test."""
    folder = tmp_path / "tablespace"
    folder.mkdir(mode=0o700)
    server_account(postgres_server.folder).own(folder)
    name = f"small_{tmp_path.name[-20:]}_{abs(hash(str(tmp_path))) % 10**6}"
    database = str(make_url(settings.database_url).database)
    administering = _administering(postgres_server.superuser_url(database))
    with small_disk(folder, KILOBYTES) as disk, administering as run:
        run(f"CREATE TABLESPACE \"{name}\" LOCATION '{folder}'")
        try:
            run(f'ALTER TABLE events SET TABLESPACE "{name}"')
            yield EventsDisk(disk, settings.database_url, kernel.start("noop_chain"))
        finally:
            disk.make_room()
            run("SET lock_timeout = '10s'")
            run("ALTER TABLE events SET TABLESPACE pg_default")
            run(f'DROP TABLESPACE "{name}"')


@pytest.fixture
def front(settings: Settings) -> FlaskClient:
    """The front, on the same database."""
    return create_app(settings).test_client()


def _later(do: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(BACK_AFTER_SECONDS, do)
    timer.start()
    return timer


def _paying(books: list[str], afterwards: Callable[[], None]) -> Action:
    """An action with one paid effect, which must not be repeated if it cannot be recorded."""

    def run(call: Call, given: NoopInput) -> Json:
        def perform(request: Json, key: str) -> Json:
            books.append(key)
            afterwards()
            return {"paid": True}

        return call.once("charges.create", {}, perform)

    return Action("control.noop", NoopInput, run, Effect.LOOKUP, attempt_seconds=30.0)


def test_a_paid_outcome_is_recorded_once_there_is_room_and_paid_once(
    kernel: Kernel, events_disk: EventsDisk, agreeing: None
) -> None:
    workflow = kernel.start(kernel.register(noop("pay")))
    claim = kernel.claim(workflow, "pay")
    books: list[str] = []
    action = _paying(books, events_disk.fill)
    result = execute(claim, action, prepare, time.monotonic())
    timer = _later(events_disk.make_room)
    with capture_logs() as logs:
        advance = record(claim, result, fraction=0.0)
    timer.join()
    assert advance.verdict == "completed"
    assert len(books) == 1
    assert kernel.step(workflow, "pay")["output"] == {"paid": True}
    waiting = [line for line in logs if line["event"] == "database.waiting"]
    assert len(waiting) == 1
    assert "disk is full" in waiting[0]["reason"]
    assert [line["event"] for line in logs][-1] == "database.back"


def test_an_action_that_meets_a_full_database_waits_without_spending_a_try(
    kernel: Kernel, events_disk: EventsDisk, agreeing: None
) -> None:
    workflow = kernel.start(kernel.register(noop("log")))

    def run(call: Call, given: NoopInput) -> Json:
        db.row("SELECT append_event_v1(%s, 'X', NULL, NULL)", (workflow,))
        return {}

    action = Action("control.noop", NoopInput, run, Effect.NONE, attempt_seconds=30.0)
    claim = kernel.claim(workflow, "log")
    events_disk.fill()
    result = execute(claim, action, prepare, time.monotonic())
    events_disk.make_room()
    assert record(claim, result, fraction=0.0).verdict == "recorded"
    step = kernel.step(workflow, "log")
    assert (step["status"], step["tries"]) == ("pending", 0)
    assert step["error"]["code"] == "database_full"
    assert step["held_since"] is not None


def test_the_front_refuses_a_start_while_the_database_is_full_and_takes_it_afterwards(
    kernel: Kernel, events_disk: EventsDisk, front: FlaskClient
) -> None:
    _, key = keys.create_key("full@example.com")
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "one"}
    body = {"type": kernel.register(noop("a")), "input": {}}
    events_disk.fill()
    refused = front.post("/v1/workflows", json=body, headers=headers)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert refused.json is not None
    assert refused.json["code"] == "database_full"
    assert "disk is full" in refused.json["detail"]
    events_disk.make_room()
    taken = front.post("/v1/workflows", json=body, headers=headers)
    assert taken.status_code == 201
    assert taken.json is not None
    drive()
    assert kernel.workflow(UUID(taken.json["id"]))["status"] == "succeeded"


def _photograph() -> bytes:
    content = BytesIO()
    Image.effect_noise((60, 40), 90).convert("RGB").save(content, "JPEG")
    return content.getvalue()


def _upload(front: FlaskClient, headers: dict[str, str]) -> Any:
    return front.post(
        "/v1/artifacts", data=_photograph(), content_type="image/jpeg", headers=headers
    )


def test_an_upload_is_refused_while_the_disk_is_full_and_leaves_nothing_behind(
    settings: Settings, front: FlaskClient
) -> None:
    _, key = keys.create_key("full@example.com")
    headers = {"Authorization": f"Bearer {key}"}
    with small_disk(settings.storage_dir, 2048) as disk:
        disk.fill()
        refused = _upload(front, headers)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        assert refused.json["code"] == "storage_unavailable"
        assert "No space left" in refused.json["detail"]
        left = [path.name for path in disk.folder.rglob("*") if path.is_file()]
        assert left == [".filler"]
        disk.make_room()
        taken = _upload(front, headers)
        assert taken.status_code == 201, taken.json


def test_a_full_disk_for_temporary_files_is_no_unexpected_error(settings: Settings) -> None:
    app = create_app(settings)

    def spool() -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    app.add_url_rule("/spool", view_func=spool)
    answer = app.test_client().get("/spool")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["code"] == "storage_unavailable"


def test_pauses_grow_while_a_store_is_full_and_start_anew_for_another_reason(
    kernel: Kernel, agreeing: None
) -> None:
    workflow = kernel.start(kernel.register(noop("a")))

    def pause(code: str) -> float:
        db.row("UPDATE steps SET wake_at = NULL WHERE workflow_id = %s", (workflow,))
        claimed = kernel.claim(workflow, "a")
        outcomes.retry_step(
            claimed, NOTHING, {"code": code}, 5.0, new_generation=False, is_try=False
        )
        row = db.row(
            "SELECT extract(epoch FROM wake_at - playalter_now())::float8 AS s FROM steps"
            " WHERE workflow_id = %s",
            (workflow,),
        )
        assert row is not None
        return float(row["s"])

    def age(seconds: int) -> None:
        db.row(
            "UPDATE steps SET held_since = held_since - make_interval(secs => %s)"
            " WHERE workflow_id = %s",
            (seconds, workflow),
        )

    assert 4 < pause("storage_unavailable") <= 5
    age(100)
    assert 24 < pause("storage_unavailable") <= 27
    age(10_000)
    assert 59 < pause("storage_unavailable") <= 60
    assert 4 < pause("database_full") <= 5
    assert kernel.step(workflow, "a")["tries"] == 0


def _hold_off(kernel: Kernel, workflow: UUID, hours: float) -> None:
    """Record an attempt of step `a` that failed because our storage has been down for `hours`."""
    db.row("UPDATE steps SET wake_at = NULL WHERE workflow_id = %s", (workflow,))
    claimed = kernel.claim(workflow, "a")
    error = {"code": "storage_unavailable", "message": "full"}
    db.row(
        "UPDATE steps SET error = %s, error_code = %s,"
        " held_since = clock_timestamp() - make_interval(secs => 3600 * %s::float8)"
        " WHERE workflow_id = %s AND key = 'a'",
        (dumps(error), error["code"], hours, workflow),
    )
    outcomes.retry_step(claimed, NOTHING, error, 5.0, new_generation=False, is_try=False)


def _look(workflow: UUID) -> None:
    """Let the reconciler look at the workflow."""
    db.row("UPDATE workflows SET next_wake_at = playalter_now() WHERE id = %s", (workflow,))
    reconcile()


def test_a_person_is_called_once_a_store_has_held_a_step_off_for_an_hour_and_until_it_is_there(
    kernel: Kernel, agreeing: None
) -> None:
    workflow = kernel.start(kernel.register({"sequence": [noop("a"), {"wait": "w", "for": "1h"}]}))
    _hold_off(kernel, workflow, 0.9)
    assert kernel.workflow(workflow)["attention"] is None
    for _ in range(2):
        _hold_off(kernel, workflow, 1.1)
        _look(workflow)
    db.row("UPDATE steps SET wake_at = NULL WHERE workflow_id = %s", (workflow,))
    claimed = kernel.claim(workflow, "a")
    _look(workflow)
    assert kernel.workflow(workflow)["attention"] == "store_unavailable", "it is only being tried"
    (item,) = human_tasks.attention(kernel.user_id).items
    assert [(step["key"], step["reason"]) for step in item["steps"]] == [("a", "store_unavailable")]
    outcomes.finish_step(claimed, NOTHING, Finish({}))
    _look(workflow)
    assert kernel.workflow(workflow)["attention"] is None
    told = [event["type"] for event in kernel.events(workflow) if "Attention" in event["type"]]
    assert told == ["AttentionNeeded", "AttentionResolved"]


@pytest.mark.parametrize("is_patient", [True, False])
def test_a_statement_over_a_limit_of_postgresql_counts_as_a_try_and_is_not_repeated(
    kernel: Kernel, agreeing: None, is_patient: bool
) -> None:
    workflow = kernel.start(kernel.register(noop("huge")))
    raised = "DO $$ BEGIN RAISE 'stack depth' USING ERRCODE = 'statement_too_complex'; END $$"

    def run(call: Call, given: NoopInput) -> Json:
        if is_patient:
            db.call(raised, (), seconds=20.0)
        db.row(raised, ())
        return {}

    action = Action("control.noop", NoopInput, run, Effect.NONE, attempt_seconds=30.0)
    began = time.monotonic()
    claim = kernel.claim(workflow, "huge")
    result = execute(claim, action, prepare, began)
    assert time.monotonic() - began < 15, "it was waited for, up to 20 s"
    record(claim, result, fraction=0.0)
    step = kernel.step(workflow, "huge")
    assert (step["status"], step["tries"]) == ("pending", 1)
    assert step["error"]["code"] == "database_limit"
    assert step["held_since"] is None
