"""Effects made beside a workflow's own, and what becomes of them."""

import requests

from tests.e2e.campaign import Campaign
from tests.e2e.stack import Json, Stack, until

ADDRESSES = {
    "predictions.create": ("REPLICATE_BASE_URL", "/v1/predictions", "REPLICATE_API_TOKEN"),
    "deployments.create": ("VERCEL_BASE_URL", "/v13/deployments", "VERCEL_TOKEN"),
}

OWN = ("cancel_after", "is_marked", "is_text")
"""What a recorded request has for our client alone: it is no field of the vendor's body."""


def doubled(stack: Stack, workflow: str, operation: str) -> str:
    """Make a recorded call of a workflow once more, as a fault of the network would; its id."""
    (row,) = stack.rows(
        "SELECT request FROM intents WHERE workflow_id = %s AND operation = %s", workflow, operation
    )
    base, path, token = ADDRESSES[operation]
    vendors = stack.profile.vendors()
    headers = {"Authorization": f"Bearer {vendors[token]}"}
    body = {name: value for name, value in row["request"].items() if name not in OWN}
    made = requests.post(vendors[base] + path, json=body, headers=headers, timeout=8)
    assert made.ok, made.text
    return str(made.json()["id"])


def taken_back(campaign: Campaign, effect: str, object_id: str) -> None:
    """Wait until the vendor's books say so."""

    def look() -> bool:
        return any(
            (entry["effect"], entry["object_id"]) == (effect, object_id)
            for entry in campaign.stack.journal()
        )

    until(f"{effect} of {object_id}", look, 30.0, campaign.dump)


def orphans(campaign: Campaign) -> list[tuple[str, str]]:
    """(step, external id) of what was found."""
    return [
        (event["step"], event["data"]["external_id"])
        for event in campaign.events()
        if event["type"] == "OrphanFound"
    ]


def is_compensated(orphan: str, steps: Json) -> bool:
    return orphan in steps and bool(steps[orphan]["status"] == "compensated")
