"""Webhook endpoints through openai.OpenAI, and the events that they get."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.sandbox.openai.batch_files import ended, started
from tests.sandbox.running import Catcher, Sandbox, until

DAY = 86_400
KINDS: Any = ["batch.completed", "batch.failed"]


@pytest.fixture
def endpoint(openai_client: openai.OpenAI, catcher: Catcher) -> Any:
    """A webhook endpoint at `/mine`."""
    return openai_client.webhooks.create(
        name="Mine", url=f"{catcher.url}/mine", event_types=["batch.completed", "batch.failed"]
    )


def caught(catcher: Catcher, path: str) -> tuple[dict[str, str], bytes]:
    """The headers and the body of the first webhook that comes to a path."""
    found = until(lambda: [each for each in catcher.got if each[0] == path])
    return found[0][1], found[0][2]


def test_endpoint_is_made_changed_and_deleted(openai_client: openai.OpenAI, endpoint: Any) -> None:
    hooks = openai_client.webhooks
    assert endpoint.signing_secret.startswith("whsec_")
    assert endpoint.signing_secret_hint.endswith(endpoint.signing_secret[-4:])
    found = hooks.retrieve(endpoint.id)
    assert (found.name, found.event_types) == ("Mine", KINDS)
    assert hooks.update(endpoint.id, name="Ours", event_types=["batch.expired"]).name == "Ours"
    assert hooks.retrieve(endpoint.id).event_types == ["batch.expired"]
    second = hooks.create(name="B", url="https://example.com/x", event_types=KINDS)
    assert [each.id for each in hooks.list(limit=1)] == [second.id, endpoint.id]
    assert hooks.delete(second.id).deleted
    for call in (hooks.retrieve, hooks.delete, hooks.rotate_secret):
        with pytest.raises(openai.NotFoundError):
            call(second.id)
    assert "response.completed" in hooks.event_types.list().data


def test_event_goes_to_the_endpoints_that_want_it(
    sandbox: Sandbox, openai_client: openai.OpenAI, endpoint: Any, catcher: Catcher
) -> None:
    other = openai_client.webhooks.create(
        name="Other", url=f"{catcher.url}/other", event_types=["batch.expired"]
    )
    batch = ended(sandbox, openai_client, started(openai_client, 2))
    headers, body = caught(catcher, "/mine")
    event: Any = openai_client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
    assert (event.type, event.data.id) == ("batch.completed", batch.id)
    assert event.created_at == batch.completed_at
    usual, raw = caught(catcher, "/hooks/openai")
    secret = sandbox.env("OPENAI_WEBHOOK_SECRET")
    assert openai_client.webhooks.unwrap(raw, usual, secret=secret).id == event.id
    with pytest.raises(openai.InvalidWebhookSignatureError):
        openai_client.webhooks.unwrap(body, headers, secret=other.signing_secret)
    assert not [each for each in catcher.got if each[0] == "/other"]


def test_both_secrets_sign_for_a_day_if_that_is_asked_for(
    sandbox: Sandbox, openai_client: openai.OpenAI, endpoint: Any, catcher: Catcher
) -> None:
    hooks = openai_client.webhooks
    new = hooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=True)
    assert new.signing_secret != endpoint.signing_secret
    assert hooks.test(endpoint.id, event_type="batch.failed").status_code == 200
    headers, body = caught(catcher, "/mine")
    for each in (new, endpoint):
        assert hooks.unwrap(body, headers, secret=each.signing_secret).type == "batch.failed"
    catcher.got.clear()
    sandbox.control("POST", "/stripe/advance", {"seconds": DAY + 1})
    hooks.test(endpoint.id, event_type="batch.failed")
    headers, body = caught(catcher, "/mine")
    assert hooks.unwrap(body, headers, secret=new.signing_secret).type == "batch.failed"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        hooks.unwrap(body, headers, secret=endpoint.signing_secret)


def test_test_tells_what_the_endpoint_answers(
    openai_client: openai.OpenAI, endpoint: Any, catcher: Catcher
) -> None:
    catcher.statuses.append(503)
    found = openai_client.webhooks.test(endpoint.id, event_type="batch.completed")
    assert (found.status_code, found.webhook_endpoint_id) == (503, endpoint.id)


def test_deleted_endpoint_gets_no_more(
    sandbox: Sandbox, openai_client: openai.OpenAI, endpoint: Any, catcher: Catcher
) -> None:
    catcher.statuses += [500, 500]
    ended(sandbox, openai_client, started(openai_client, 1))
    until(lambda: len(catcher.got) == 2)
    openai_client.webhooks.delete(endpoint.id)
    sandbox.control("POST", "/stripe/advance", {"seconds": 60})
    found = until(
        lambda: [
            each
            for each in sandbox.control("GET", "/webhooks")["deliveries"]
            if each["url"].endswith("/mine") and each["state"] != "pending"
        ]
    )
    assert (found[0]["state"], found[0]["tries"]) == ("failed", 1)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"url": "http://example.com"}, "expected an HTTPS URL"),
        ({"url": "https://[x"}, "expected an HTTPS URL"),
        ({"event_types": []}, "empty array"),
        ({"event_types": ["batch.begun"]}, "Invalid value: 'batch.begun'"),
        ({"name": ""}, "empty string"),
    ],
)
def test_what_is_no_endpoint_is_refused(
    openai_client: openai.OpenAI, more: dict[str, Any], words: str
) -> None:
    given: Any = {"name": "A", "url": "https://example.com", "event_types": KINDS} | more
    with pytest.raises(openai.BadRequestError, match=words):
        openai_client.webhooks.create(**given)
