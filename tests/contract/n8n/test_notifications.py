"""What only n8n does: answers that come by webhook, and answers that are polled for."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from app import db
from app.errors import Permanent, Retryable
from app.platform import Json
from tests.contract.cases import Claim
from tests.contract.n8n.cases import NOTIFY, notify
from tests.contract.pictures import wait
from tests.contract.vendors import Vendors


def deliver(reference: str, payload: Json) -> None:
    """Commit an answer of n8n as the web process does after it was verified."""
    with db.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)"
                " VALUES ('n8n', :id, :reference, 'execution', cast(:payload AS jsonb))"
            ),
            {"id": str(uuid7()), "reference": reference, "payload": json.dumps(payload)},
        )


def test_a_notification_ends_with_its_answer(step: Claim, vendors: Vendors) -> None:
    prepared = notify(step)
    reference = NOTIFY.begin(prepared)
    deliver(reference, {"reference": reference, "status": "success", "delivered_to": "ada"})
    made = prepared.run(reference)
    assert made["status"] == "success"
    assert made["answer"] == {"delivered_to": "ada"}
    assert vendors.count("notifications_repeated") == 0


def test_an_answer_that_says_error_is_permanent(step: Claim) -> None:
    prepared = notify(step)
    reference = NOTIFY.begin(prepared)
    deliver(reference, {"reference": reference, "status": "error", "error": "mail refused"})
    with pytest.raises(Permanent, match="mail refused"):
        prepared.run(reference)


@pytest.mark.parametrize("outcome", ["success", "error"])
def test_a_lost_answer_is_made_good_by_asking(outcome: str, step: Claim, vendors: Vendors) -> None:
    vendors.change(n8n__outcome=outcome)
    prepared = notify(step)
    reference = NOTIFY.begin(prepared)
    if outcome == "success":
        assert wait(prepared, reference)["status"] == "success"
    else:
        with pytest.raises(Permanent, match="error"):
            wait(prepared, reference)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"status": 302, "html": "moved"}, "not_from_n8n"),
        ({"status": 204, "html": ""}, "not_from_n8n"),
        ({"status": 200, "html": "<h1>Please log in</h1>"}, "not_from_n8n"),
        ({"status": 404}, "not_found"),
    ],
)
def test_an_answer_that_is_not_n8ns_delivers_nothing_and_fails_nothing(
    step: Claim, vendors: Vendors, parameters: Json, code: str
) -> None:
    # The first three counted as delivered; a 404, which n8n gives while it registers a webhook,
    # undid the whole workflow.
    vendors.fault("n8n", "webhook.post", "status", **parameters)
    prepared = notify(step)
    with pytest.raises(Retryable) as caught:
        prepared.run()
    assert caught.value.code == code
    assert wait(prepared, NOTIFY.begin(prepared))["status"] == "success"


def test_an_n8n_workflow_that_throws_runs_once_and_again_only_by_hand(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(n8n__outcome="throws")
    prepared = notify(step)
    with pytest.raises(Permanent, match="Error in workflow") as caught:
        prepared.run()
    assert (caught.value.code, vendors.count("notifications")) == ("n8n_failed", 1)
    (refused,) = prepared.intents
    vendors.change(n8n__outcome="success")
    again = prepared.retried()
    NOTIFY.begin(again)
    assert vendors.count("notifications") == 2
    assert [each.key for each in again.intents] != [refused.key, refused.key]


def test_an_error_while_the_outcome_is_asked_for_fails_nothing(
    step: Claim, vendors: Vendors
) -> None:
    prepared = notify(step)
    reference = NOTIFY.begin(prepared)
    vendors.fault("n8n", "executions.get", "status", status=500)
    with pytest.raises(Retryable) as caught:
        prepared.run(reference)
    assert caught.value.code == "platform_error"
    assert wait(prepared, reference)["status"] == "success"


def test_another_500_than_that_of_a_failed_workflow_is_sent_again(
    step: Claim, vendors: Vendors
) -> None:
    # A proxy, or an n8n that has no database.
    body = '{"message": "no database connection"}'
    vendors.fault("n8n", "webhook.post", "status", status=500, html=body)
    prepared = notify(step)
    with pytest.raises(Retryable, match="no database connection"):
        prepared.run()
    NOTIFY.begin(prepared)
    assert vendors.count("notifications") == 1


def test_an_error_of_n8n_itself_is_sent_again_under_the_same_id(
    step: Claim, vendors: Vendors
) -> None:
    vendors.fault("n8n", "webhook.post", "status", status=500)
    prepared = notify(step)
    with pytest.raises(Retryable, match="problem executing"):
        prepared.run()
    NOTIFY.begin(prepared)
    assert vendors.count("notifications") == 1
    assert len({each.key for each in prepared.intents}) == 1


def test_an_event_whose_answer_is_huge_is_delivered(step: Claim, vendors: Vendors) -> None:
    vendors.change(n8n__answer_bytes=9_000_000.0)
    prepared = replace(notify(step), seconds=30.0)
    reference = NOTIFY.begin(prepared)
    deliver(reference, {"reference": reference, "status": "success"})
    assert prepared.run(reference)["status"] == "success"
    assert (vendors.count("notifications"), vendors.count("notifications_repeated")) == (1, 0)


def test_a_notification_sent_again_runs_once(step: Claim, vendors: Vendors) -> None:
    vendors.fault("n8n", "webhook.post", "lost_reply")
    prepared = notify(step)
    with pytest.raises(Exception, match="no complete answer"):
        prepared.run()
    NOTIFY.begin(prepared)
    assert (vendors.count("notifications"), vendors.count("notifications_repeated")) == (1, 1)


def test_a_notification_cannot_be_undone(step: Claim) -> None:
    assert notify(step).action.compensate is None
