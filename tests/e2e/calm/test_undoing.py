"""Campaigns that fail or are cancelled: everything is undone, in order, once."""

from pathlib import Path

from tests.e2e.campaign import REFUSED_BRIEF, Campaign, Customer
from tests.e2e.stack import Json, Stack

UNDOING = ("kicking_rules", "removals", "refunds", "cancellations", "files_deleted")


def test_a_notification_failing_for_good_undoes_everything_in_reverse_order(
    stack: Stack, customer: Customer
) -> None:
    stack.change(replicate__hold=True)
    campaign = customer.start(2)
    campaign.until("both predictions", lambda s: _waiting(s) == 2)
    stack.change(replicate__hold=False, n8n__outcome="error")
    workflow = campaign.ended("compensated")
    assert (workflow["cause"], workflow["error"]["code"]) == ("failed", "n8n_failed")
    assert _order(campaign) == ["kicking_rules", "removals", "refunds", "files_deleted"]
    counts = campaign.counts()
    assert [counts[name] for name in UNDOING] == [1, 1, 1, 0, counts["files"]]
    assert counts["files"] == 4
    assert (counts["captures"], counts["notifications"]) == (1, 1)
    steps = {step["key"]: step for step in workflow["steps"]}
    assert steps["authorize~undo"]["output"]["result"] == "superseded"
    for key in ("swap[0].render", "swap[1].render"):
        link = steps[key]["output"]["picture"]["url"]
        assert stack.get(link).status_code in (404, 410)
    _nothing_of_ours_is_left(stack, campaign, pictures=2)


def test_a_photograph_without_a_face_fails_for_good_and_releases_the_payment(
    stack: Stack, customer: Customer
) -> None:
    campaign = customer.start(targets=[*customer.photographs(1), customer.faceless])
    workflow = campaign.ended("compensated")
    step = next(each for each in workflow["steps"] if each["key"] == "swap[1].render")
    assert (step["status"], step["error"]["code"]) == ("failed", "prediction_failed")
    assert "face" in step["error"]["message"]
    assert workflow["error"]["step"] == "swap[1].render"
    assert "StepRetryScheduled" not in campaign.kinds("swap[1].render")
    _released_without_capture(campaign)
    counts = campaign.counts()
    assert counts["files_deleted"] == counts["files"] == 4
    _nothing_of_ours_is_left(stack, campaign)


def test_a_refused_brief_fails_for_good_and_releases_the_payment(
    stack: Stack, customer: Customer
) -> None:
    campaign = customer.start(1, brief=REFUSED_BRIEF)
    workflow = campaign.ended("compensated")
    steps = {step["key"]: step for step in workflow["steps"]}
    assert steps["moderate"]["error"]["code"] == "brief_refused"
    assert campaign.kinds("moderate") == ["StepFailed"]
    _released_without_capture(campaign)
    assert campaign.counts()["predictions"] == 0


def test_a_declined_card_fails_the_campaign_before_anything_is_made(
    stack: Stack, customer: Customer
) -> None:
    campaign = customer.start(1, payment_method="pm_card_chargeDeclined")
    campaign.until("the end", lambda steps: campaign.detail()["status"] in _STOPPED)
    steps = campaign.steps()
    assert (steps["authorize"]["status"], steps["authorize"]["error"]["code"]) == (
        "failed",
        "card_declined",
    )
    counts = campaign.counts()
    undesired = ("authorizations", "captures", "predictions", "deployments", "notifications")
    assert [counts[name] for name in undesired] == [0] * len(undesired)


_STOPPED = ("failed", "compensated")


def test_a_cancel_stops_running_predictions_and_releases_the_payment(
    stack: Stack, customer: Customer
) -> None:
    stack.change(replicate__hold=True)
    campaign = customer.start(3)
    campaign.until("three predictions", lambda steps: _waiting(steps) == 3)
    assert campaign.cancel() == 202
    workflow = campaign.ended("compensated")
    assert workflow["cause"] == "cancelled"
    counts = campaign.counts()
    assert (counts["predictions"], counts["predictions_canceled"]) == (3, 3)
    assert counts["files_deleted"] == counts["files"] == 6
    _released_without_capture(campaign)


def test_a_finished_workflow_cannot_be_cancelled(stack: Stack, customer: Customer) -> None:
    campaign = customer.start(1)
    campaign.ended("succeeded")
    before = campaign.counts()
    assert campaign.cancel() == 409
    assert campaign.detail()["status"] == "succeeded"
    assert campaign.counts() == before


def _waiting(steps: Json) -> int:
    return sum(step["status"] == "waiting" for step in steps.values())


def _order(campaign: Campaign) -> list[str]:
    """The undoing effects as they stand in the books, repetitions in a row told once."""
    told: list[str] = []
    for entry in campaign.effects():
        if entry["effect"] in UNDOING and told[-1:] != [entry["effect"]]:
            told.append(entry["effect"])
    return told


def _released_without_capture(campaign: Campaign) -> None:
    counts = campaign.counts()
    payment = ("authorizations", "cancellations", "captures", "refunds")
    assert [counts[name] for name in payment] == [1, 1, 0, 0], campaign.dump()
    published = ("deployments", "kicking_rules", "notifications")
    assert [counts[name] for name in published] == [0, 0, 0]


def _nothing_of_ours_is_left(stack: Stack, campaign: Campaign, pictures: int | None = None) -> None:
    made = stack.rows(
        "SELECT id, storage_key, erased_at FROM artifacts WHERE workflow_id = %s", campaign.id
    )
    assert pictures in (None, len(made))
    folder = Path(stack.profile.environment()["STORAGE_DIR"])
    assert folder.is_dir()
    for artifact in made:
        assert artifact["erased_at"] is not None
        kept = [path for path in folder.rglob("*") if artifact["storage_key"] in str(path)]
        assert not kept
        assert stack.api("GET", f"/v1/artifacts/{artifact['id']}").status_code in (404, 410)
