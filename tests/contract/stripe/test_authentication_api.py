"""The owner of a workflow reads what the customer needs, and nothing stores it."""

import importlib.metadata
import subprocess
import sys
from uuid import UUID

import pytest
import requests
import stripe

from app import db
from app.identity import keys
from app.platform import Json
from tasks.stripe.client import api
from tasks.stripe.events.versions import VERSION
from tests import forked
from tests.contract.stripe.test_authentication import BACK, ON_SESSION, paying, payment_of, until
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, statuses
from tests.unit.definitions import noop

NOTHING: Json = {"client_secret": None, "redirect_url": None}


def asked(front: str, key: str, workflow: UUID, step: str = "hold") -> requests.Response:
    """The API's answer to a user of this key."""
    address = f"{front}/v1/workflows/{workflow}/steps/{step}/authentication"
    return requests.get(address, headers={"Authorization": f"Bearer {key}"}, timeout=20)


def new_key(of: str = "ada@example.com") -> str:
    """A key of a user."""
    return keys.create_key(of)[1]


def test_the_owner_is_told_where_the_customer_authenticates_the_payment(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    workflow, key = paying(kernel), new_key()
    answer = asked(front, key, workflow)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    told = answer.json()
    payment = payment_of(kernel, workflow)
    seen = api().retrieve_payment_intent(payment)
    assert told == {
        "status": "requires_action",
        "client_secret": seen["client_secret"],
        "redirect_url": seen["next_action"]["redirect_to_url"]["url"],
    }
    # The customer opens the page, completes it, and is sent back.
    page = requests.post(
        told["redirect_url"], data={"outcome": "complete"}, allow_redirects=False, timeout=20
    )
    assert page.headers["location"].startswith(BACK)
    assert asked(front, key, workflow).json() == {"status": "requires_capture", **NOTHING}
    until(lambda: kernel.workflow(workflow)["status"] == "succeeded")
    ended = asked(front, key, workflow)
    assert (ended.status_code, ended.json()["code"]) == (404, "nothing_to_authenticate")


def test_without_a_way_back_the_browser_uses_the_script_of_stripe(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    alone = {name: value for name, value in ON_SESSION.items() if name != "return_url"}
    node = {"step": "hold", "action": "stripe.authorize", "with": alone}
    workflow = kernel.start(kernel.register({"sequence": [node]}))
    drive()
    told = asked(front, new_key(), workflow).json()
    assert told["client_secret"].startswith(payment_of(kernel, workflow))
    assert told["redirect_url"] is None


def test_only_the_owner_is_told_and_only_of_a_step_that_waits(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    workflow, key = paying(kernel), new_key()
    stranger = asked(front, new_key("bob@example.com"), workflow)
    assert (stranger.status_code, stranger.json()["code"]) == (404, "not_found")
    assert asked(front, key, workflow, "take").status_code == 404
    assert asked(front, key, workflow, "no_step").status_code == 404
    other = kernel.start(kernel.register(noop("hold")))
    drive()
    assert asked(front, key, other).json()["code"] == "nothing_to_authenticate"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "status", "status": 500}, 503, "platform_unavailable"),
        ({"kind": "reset_before"}, 503, "platform_unavailable"),
        ({"kind": "status", "status": 401}, 503, "platform_unavailable"),
        ({"kind": "status", "status": 400}, 502, "platform_refused"),
    ],
)
def test_a_platform_without_an_answer_is_an_error_of_its_own(
    kernel: Kernel, vendors: Vendors, front: str, fault: Json, status: int, code: str
) -> None:
    workflow, key = paying(kernel), new_key()
    vendors.fault("stripe", "payment_intents.retrieve", times=2, **fault)
    answer = asked(front, key, workflow)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert statuses(workflow)["hold"] in ("waiting", "pending")


def test_the_secret_of_a_payment_is_in_no_row_and_in_no_log(
    kernel: Kernel,
    vendors: Vendors,
    front: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    workflow = paying(kernel)
    told = asked(front, new_key(), workflow).json()
    secret, page = told["client_secret"], told["redirect_url"].rsplit("/", 1)[-1]
    vendors.authenticate(payment_of(kernel, workflow))
    until(lambda: kernel.workflow(workflow)["status"] == "succeeded")
    assert _holding(payment_of_ended(kernel, workflow)) >= {"intents", "webhook_deliveries"}
    assert _holding(secret) == _holding(page) == set()
    printed = "".join(capfd.readouterr()) + caplog.text
    assert secret not in printed
    assert page not in printed


def payment_of_ended(kernel: Kernel, workflow: UUID) -> str:
    """The PaymentIntent that a workflow has authorized."""
    return str(kernel.step(workflow, "hold")["output"]["payment_intent"])


def _holding(text: str) -> set[str]:
    """The tables of which some row contains a text."""
    tables = db.rows(
        "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'", ()
    )
    sought = "SELECT 1 FROM {} t WHERE strpos(t::text, %s) > 0 LIMIT 1"
    return {row["name"] for row in tables if db.rows(sought.format(row["name"]), (text,))}


def test_the_command_shows_what_the_customer_needs(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    workflow = paying(kernel)
    server = {"PLAYALTER_URL": front, "PLAYALTER_API_KEY": new_key()}
    shown = forked.playalter("authentication", str(workflow), "hold", **server)
    assert shown.returncode == 0
    status, secret, address = shown.stdout.splitlines()
    assert status == "status: requires_action"
    assert secret.startswith(f"client_secret: {payment_of(kernel, workflow)}_secret_")
    assert address.startswith("redirect_url: http")
    refused = forked.playalter("authentication", str(workflow), "take", **server)
    assert (refused.returncode != 0, "does not wait for a customer" in refused.stderr) == (1, 1)


def test_it_is_read_without_the_sdk_and_in_the_version_of_the_sdk() -> None:
    assert stripe.api_version == VERSION, importlib.metadata.version("stripe")
    code = "import sys, tasks.stripe.authentication; print('stripe' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "False"
