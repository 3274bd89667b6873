"""An outage of a platform: its calls are held back, and the steps wait and go on by themselves."""

import time
from uuid import UUID

import pytest

from app import db, queries, telemetry
from app.outbound import circuits
from app.platform import Json
from app.settings import current
from tests.contract.seam.vendor import eventually
from tests.contract.stripe.steps import AUTHORIZE
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import noop
from web.operations import Gauge

CREATE, LIST = "payment_intents.create", "payment_intents.list"
WORKFLOWS = 12


@pytest.fixture
def holds(kernel: Kernel) -> list[UUID]:
    """Workflows whose first step authorizes a payment. Calls pass circuits."""
    circuits.share(current().redis_url)
    step = {"step": "hold", "action": "stripe.authorize", "with": AUTHORIZE}
    name = kernel.register({"sequence": [step, noop("end")]})
    return [kernel.start(name) for _ in range(WORKFLOWS)]


def shown(kernel: Kernel, workflow: UUID) -> Json:
    """The step as a look at the workflow shows it."""
    detail = queries.workflow_detail(workflow, kernel.user_id)
    return dict(next(step for step in detail["steps"] if step["key"] == "hold"))


def waiting(kernel: Kernel, workflows: list[UUID]) -> list[Json]:
    """The steps that wait because a circuit is open."""
    found = [shown(kernel, each) for each in workflows]
    return [each for each in found if "is not asked for" in str(each["error"])]


def counted(kernel: Kernel, workflows: list[UUID]) -> int:
    """The tries of all steps."""
    return sum(kernel.step(each, "hold")["tries"] for each in workflows)


def calls() -> int:
    """The requests that were sent to Stripe."""
    found = db.row("SELECT count(*) AS n FROM platform_logs WHERE platform = 'stripe'", ())
    assert found is not None
    return int(found["n"])


def let_fail(kernel: Kernel, workflows: list[UUID]) -> None:
    """Run the steps until all of them wait."""

    def all_wait() -> bool:
        drive(WORKFLOWS)
        pass_time("90 seconds")
        return len(waiting(kernel, workflows)) == WORKFLOWS

    eventually(all_wait, seconds=60)


def test_steps_wait_while_a_platform_is_down_and_go_on_by_themselves(
    kernel: Kernel, holds: list[UUID], vendors: Vendors
) -> None:
    # Stripe answers before it has done anything, so that the calls may be sent again.
    vendors.fault("stripe", "payment_intents.*", "status", status=503, count=-1)
    let_fail(kernel, holds)
    tries, made = counted(kernel, holds), calls()
    drive(WORKFLOWS)
    step = shown(kernel, holds[0])
    assert step["status"] in ("pending", "unknown")
    assert step["wake_at"] is not None
    assert "stripe is not asked for payment_intents." in step["error"]["message"]
    # The last call that failed, or the one that tried whether the outage is over.
    assert "it answered 503" in step["error"]["message"]
    # A circuit whose time is over meanwhile lets one call through, which may have taken effect.
    assert counted(kernel, holds) - tries <= calls() - made <= len((CREATE, LIST))
    assert all(kernel.workflow(each)["attention"] is None for each in holds)
    eventually(lambda: queries.open_circuits().get("stripe", 0) > 0, seconds=5)
    (state,) = queries.platform_states()
    assert (state["platform"], state["is_ok"]) == ("stripe", False)
    assert state["circuits"][0]["operation"] in (CREATE, LIST)
    assert "it answered 503" in state["circuits"][0]["reason"]
    gauge = Gauge("open", "Open.", "platform", queries.open_circuits)
    assert b'open{platform="stripe"}' in telemetry.exposition(current(), gauge)

    vendors.reset()
    # What Stripe has not got by now, it will not get any more.
    db.row("UPDATE intents SET first_sent_at = first_sent_at - interval '5 minutes'", ())

    def all_done() -> bool:
        pass_time("2 minutes")
        drive()
        time.sleep(0.2)
        return all(kernel.workflow(each)["status"] == "succeeded" for each in holds)

    eventually(all_done, seconds=60)
    assert vendors.count("authorizations") == WORKFLOWS
    eventually(lambda: set(queries.open_circuits().values()) == {0}, seconds=10)
    (state,) = queries.platform_states()
    assert (state["is_ok"], state["circuits"]) == (True, [])


def test_nothing_is_left_in_doubt_by_a_call_that_was_held_back(
    kernel: Kernel, holds: list[UUID], vendors: Vendors
) -> None:
    guard = circuits._guard()
    assert guard is not None
    for _ in range(10):
        guard.leave(guard.enter(("stripe", CREATE), 4.0), is_served=False, why="it answered 503")
    eventually(lambda: queries.open_circuits() == {"stripe": 1}, seconds=5)
    drive(WORKFLOWS)
    assert {each["status"] for each in waiting(kernel, holds)} == {"pending"}
    rows = db.rows("SELECT DISTINCT resolution FROM intents", ())
    assert rows == [{"resolution": "refused"}]
    assert vendors.total() == 0
