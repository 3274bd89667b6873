"""Starts that go straight through: by what a process remembers, and by messages made once."""

import base64
import json
import time
from typing import Any
from uuid import UUID

import pytest
import redis
from uuid_utils.compat import uuid4, uuid7

from app import db
from app.broker.published import HEADER, published_at
from app.errors import Conflict, InvalidInput
from app.settings import Settings, current
from chains import definitions, dispatch, registry
from chains.catalogue import versions
from chains.envelopes import envelope
from chains.plans.compiler import DEFAULT_PRIORITY
from chains.starting import start as starting
from chains.starting.start import Started, start_workflow
from tests.integration.conftest import Kernel, Threads

NAME = "sample"
STEP = {"step": "a", "action": "control.noop"}
# Of two actions, so each has a message of its own.
BOTH = {
    "parallel": "both",
    "branches": [{**STEP, "step": "b"}, {"step": "c", "action": "control.fail"}],
}


def register(number: int, **rest: Any) -> int:
    body = {"name": NAME, "do": {**STEP, "with": {"n": number}}, **rest}
    return versions.register(body).version


def begin(kernel: Kernel, key: str | None = None, **input: Any) -> Started:
    return start_workflow(user_id=kernel.user_id, type=NAME, input=input, idempotency_key=key)


def version_of(kernel: Kernel, started: Started) -> int:
    return int(kernel.workflow(started.id)["version"])


def count() -> int:
    row = db.row("SELECT count(*) AS number FROM workflows", ())
    assert row is not None
    return int(row["number"])


def test_what_is_remembered_of_a_type_is_what_the_database_compares_it_with(
    kernel: Kernel,
) -> None:
    for number in (1, 2, 3, 4):
        register(number)
    versions.retire(NAME, 4)
    for weights in ({}, {1: 80, 3: 20}, {2: 1}):
        versions.spread(NAME, weights)
        choice = registry.choice(NAME)
        assert registry.remembered(NAME) == choice
        assert begin(kernel).summary is not None, choice.mark


def test_a_version_that_is_activated_starts_at_once_whatever_is_remembered(kernel: Kernel) -> None:
    for number in (1, 2):
        register(number)
    assert [version_of(kernel, begin(kernel)) for _ in range(2)] == [1, 1]
    versions.activate(NAME, 2)
    assert registry.remembered(NAME) == registry.Choice(NAME, ((1, True, None),))
    assert version_of(kernel, begin(kernel)) == 2
    versions.spread(NAME, {1: 1})
    assert version_of(kernel, begin(kernel)) == 1
    versions.rollback(NAME)
    assert version_of(kernel, begin(kernel)) == 1


def test_a_replay_is_answered_by_either_way_and_another_body_refused(kernel: Kernel) -> None:
    register(1)
    first = begin(kernel, "key")
    assert begin(kernel, "key") == Started(first.id, created=False)
    second = begin(kernel, "other key")
    assert second.summary is not None
    assert begin(kernel, "other key") == Started(second.id, created=False)
    with pytest.raises(Conflict, match="with another body"):
        begin(kernel, "other key", more=1)
    assert count() == 2


def test_a_replay_is_answered_even_where_its_input_would_be_refused_by_now(kernel: Kernel) -> None:
    register(1)
    first = begin(kernel, "key")
    strict = {"type": "object", "required": ["n"]}
    versions.activate(NAME, register(2, input_schema=strict))
    assert begin(kernel, "key") == Started(first.id, created=False)
    with pytest.raises(InvalidInput, match="required"):
        begin(kernel, "new key")
    assert begin(kernel, "new key", n=1).created
    # And the other way round: what this process remembers would refuse what is right by now.
    versions.activate(NAME, 1)
    assert begin(kernel, "a third key").created


def test_one_key_at_the_same_moment_starts_one_workflow(
    kernel: Kernel, in_threads: Threads
) -> None:
    register(1)
    begin(kernel)
    for key in ("a", "b", "c"):
        started = in_threads([lambda key=key: begin(kernel, key) for _ in range(6)])  # type: ignore[misc] # a lambda's default
        assert len({each.id for each in started}) == 1
        assert [each.created for each in started].count(True) == 1
    assert count() == 4


@pytest.mark.parametrize("key", ["key", None])
def test_a_start_sent_a_second_time_by_a_broken_connection_is_the_first(
    kernel: Kernel, key: str | None
) -> None:
    register(1)
    choice = registry.choice(NAME)
    request = starting._Request(kernel.user_id, NAME, {}, DEFAULT_PRIORITY, key)
    start = request.start(uuid7(), 1)
    assert starting._submit(choice, start)["verdict"] == "started"
    again = starting._submit(choice, start)
    assert (again["verdict"], again["id"]) == ("known", start.id)
    register(2)
    versions.activate(NAME, 2)
    again = starting._submit(choice, start)
    assert (again["verdict"], again["id"]) == ("known", start.id)
    assert count() == 1


def test_nothing_is_written_on_a_choice_that_has_changed(kernel: Kernel) -> None:
    register(1)
    stale = registry.choice(NAME)
    register(2)
    versions.activate(NAME, 2)
    request = starting._Request(kernel.user_id, NAME, {}, DEFAULT_PRIORITY, None)
    assert starting._submit(stale, request.start(uuid7(), 1))["verdict"] == "changed"
    assert count() == 0


def published(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """All messages, without what differs from one to the next."""
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as client:
        found = []
        for name in sorted(client.scan_iter(_type="list")):
            for text in client.lrange(name, 0, -1):
                message = json.loads(text)
                tag = message["properties"].pop("delivery_tag")
                assert str(UUID(tag)) == tag
                at = published_at(text)
                assert at is not None
                assert abs(at.timestamp() - time.time()) < 60
                del message["headers"][HEADER]
                # It names the thread that made the message, and no reply is ever sent.
                thread = message["properties"].pop("reply_to")
                body = base64.b64decode(message["body"]).decode().replace(thread, "a thread")
                found.append((name, message | {"body": body}))
        client.flushdb()
    return found


@pytest.mark.parametrize("priority", [DEFAULT_PRIORITY, 9, 1])
def test_a_message_made_once_is_the_one_that_celery_would_send(
    kernel: Kernel, settings: Settings, priority: int
) -> None:
    made_once = 0
    for body in definitions.ALL:
        name = str(body["name"])
        if envelope(name, 1, priority) is None:
            continue
        made_once += 1
        plan = registry.plan(name, 1)
        for _ in range(2):
            workflow_id = uuid4()
            assert dispatch.dispatch_start(workflow_id, name, 1, priority)
            mine = published(settings)
            assert dispatch.dispatch(workflow_id, list(plan.heads), plan, priority)
            assert mine == published(settings) != []
    assert made_once


def test_a_message_with_ids_of_celerys_own_is_left_to_celery(kernel: Kernel) -> None:
    assert envelope(kernel.register({"sequence": [STEP, BOTH]}), 1, DEFAULT_PRIORITY) is None


def test_each_message_has_a_delivery_tag_of_its_own(kernel: Kernel) -> None:
    found = envelope("noop_chain", 1, DEFAULT_PRIORITY)
    assert found is not None
    workflow_id = uuid4()
    tags = {
        json.loads(found.addressed(workflow_id))["properties"]["delivery_tag"] for _ in range(3)
    }
    assert len(tags) == 3


def test_heads_side_by_side_are_left_to_celery(kernel: Kernel, settings: Settings) -> None:
    name = kernel.register(BOTH)
    assert envelope(name, 1, DEFAULT_PRIORITY) is None
    published(settings)
    kernel.start(name)
    assert len(published(settings)) == 2


def test_a_start_is_published_although_redis_has_closed_the_connection(
    kernel: Kernel, settings: Settings
) -> None:
    register(1)
    begin(kernel)
    assert len(published(settings)) == 1
    with redis.Redis.from_url(settings.redis_url) as client:
        number = client.connection_pool.connection_kwargs["db"]
        ours = [each for each in client.client_list() if int(each["db"]) == number]
        cut = [each["id"] for each in ours if each["cmd"] == "lpush"]
        assert cut
        for each in cut:
            client.client_kill_filter(_id=each)
    begin(kernel)
    assert len(published(settings)) == 1


def test_without_redis_a_start_is_committed_all_the_same(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(1)
    begin(kernel)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    current.cache_clear()
    started = begin(kernel)
    assert started.created
    assert kernel.workflow(started.id)["status"] == "running"
