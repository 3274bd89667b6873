"""`stripe trigger EVENT` of Stripe's own CLI, for all its events, against the sandbox."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import stripe

from tests.sandbox.running import Sandbox
from tests.sandbox.stripe.cli.installed import stripe_cli
from tests.sandbox.stripe.cli.not_passed import NOT_PASSED

SECONDS = 60.0
# The CLI's name of an event, where it is not that of the event that Stripe sends.
SENT_AS = {
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
}


def trigger(cli: Path, home: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HOME": str(home), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
    return subprocess.run(
        [str(cli), "trigger", *argv], env=env, capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip


def known_events(cli: Path, home: Path) -> list[str]:
    """Return the events that the CLI can trigger, as its help lists them."""
    help_ = trigger(cli, home, "--help").stdout
    listed = help_.partition("Supported events:")[2].partition("Usage:")[0]
    return listed.split()


def fault(
    sandbox: Sandbox, client: stripe.StripeClient, cli: Path, home: Path, event: str
) -> str | None:
    """Trigger an event; return what is wrong, or None if it has come."""
    earlier = client.v1.events.list({"limit": 1}).data
    base, key = sandbox.env("STRIPE_BASE_URL"), sandbox.env("STRIPE_API_KEY")
    done = trigger(cli, home, event, "--api-base", base, "--api-key", key)
    if done.returncode != 0:
        return f"{event}: {(done.stdout + done.stderr).strip()[-300:]}"
    told = []
    for each in client.v1.events.list({"limit": 100}).data:
        if earlier and each.id == earlier[0].id:
            break
        told.append(each.type)
    return None if SENT_AS.get(event, event) in told else f"{event}: not among {told}"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_events_of_stripes_cli_come(
    sandbox: Sandbox, stripe_client: stripe.StripeClient, tmp_path: Path
) -> None:
    """Those of `NOT_PASSED` do not come, or the list there would be wrong."""
    cli = stripe_cli()
    events = known_events(cli, tmp_path)
    assert len(events) >= 123
    stripe_client.v1.topups.create({"amount": 1_000_000, "currency": "usd"})
    faults = {each: fault(sandbox, stripe_client, cli, tmp_path, each) for each in events}
    wrong = {event: why for event, why in faults.items() if why and event not in NOT_PASSED}
    assert wrong == {}
    assert {event for event, why in faults.items() if why} == set(NOT_PASSED)
