"""The examples of the guide are taken as they stand, on the command line too."""

import json
from functools import partial

from chains import definitions
from chains.catalogue import versions
from tests import forked
from tests.integration.driving import drive
from tests.unit.documents import CHECKOUT, blocks
from tests.web.incoming.conftest import Sender

JSON = {"Content-Type": "application/json"}
GUIDE = CHECKOUT / "ops" / "guide" / "events-in.md"


def test_the_examples_of_the_guide_work_on_the_command_line(sender: Sender) -> None:
    for body in definitions.ALL:
        versions.register(body)
    variables = {"PLAYALTER_URL": sender.url, "PLAYALTER_API_KEY": sender.caller.key}
    playalter = partial(forked.playalter, **variables)
    trigger, *sources, _ = blocks(GUIDE, "json")
    made = playalter("triggers", "create", "-", given=trigger)
    assert made.stdout == "paid-orders: order.* starts noop_chain\n", made.stderr
    made = playalter("event-sources", "create", "-", given=sources[0])
    assert made.stdout.split()[::2] == ["url:", "secret:"], made.stderr
    for source in sources[1:]:
        assert sender.ask("POST", "/v1/event-sources", data=source, headers=JSON).status_code == 201
    (shell,) = blocks(GUIDE, "sh")
    event = shell.partition("-d '")[2].partition("'")[0]
    sent = playalter("events-in", "send", "-", given=f"[{event}, {event}, {{}}]").stdout
    assert [line.split()[0] for line in sent.splitlines()] == ["accepted", "duplicate", "refused"]
    row = playalter("events-in", "list", "--outcome", "started").stdout
    assert row.endswith("order.paid  shop  paid-orders: started\n")
    listed = playalter("triggers", "list").stdout.splitlines()
    assert listed == ["paid-orders  order.*  -> noop_chain  1 matched, 1 started"]
    assert playalter("triggers", "delete", "paid-orders").stdout == "paid-orders: deleted\n"


def test_the_workflow_of_the_guide_waits_for_its_payment(sender: Sender) -> None:
    versions.register(json.loads(blocks(GUIDE, "json")[-1]), activates=True)
    sender.send(id="p-1", data={"order": 8})
    body = {"type": "ship_when_paid", "input": {"order": 7}}
    headers = {"Idempotency-Key": "one"}
    started = sender.ask("POST", "/v1/workflows", json=body, headers=headers).json()
    drive()
    variables = {"PLAYALTER_URL": sender.url, "PLAYALTER_API_KEY": sender.caller.key}
    (line,) = forked.playalter("waits", **variables).stdout.splitlines()
    words = "ship_when_paid  step payment  order.paid  with event.data.order == input.order  until"
    assert line.startswith(f"{started['id']}  {words} ")
    sent = sender.send(id="p-2", data={"order": 7})
    drive()
    path = f"/v1/workflows/{started['id']}"
    steps = {each["key"]: each for each in sender.ask("GET", path).json()["steps"]}
    assert steps["ship"]["input"] == {"order": 7, "paid_with": "p-2"}
    shown = sender.shown(sent)
    (wake,) = shown["wakes"]
    assert (shown["woken"], wake["workflow_id"], wake["step"]) == (1, started["id"], "payment")
    assert forked.playalter("waits", **variables).stdout == ""
    assert "woke 1" in forked.playalter("events-in", "list", **variables).stdout


def test_a_step_shows_the_event_for_which_it_waits_and_strangers_see_no_wait(
    sender: Sender, other: Sender
) -> None:
    node = {"wait": "w", "event": {"type": "order.*"}, "timeout": "1d"}
    versions.register({"name": "waits", "do": node}, activates=True)
    body = {"type": "waits", "input": {}}
    headers = {"Idempotency-Key": "one"}
    started = sender.ask("POST", "/v1/workflows", json=body, headers=headers).json()
    drive()
    (step,) = sender.ask("GET", f"/v1/workflows/{started['id']}").json()["steps"]
    waits_for = step["waits_for"]
    assert (waits_for["kind"], waits_for["event_type"]) == ("event", "order.*")
    assert waits_for["until"] is not None
    page = sender.ask("GET", "/v1/event-waits?event_type=order.*&limit=1").json()
    assert [each["workflow_id"] for each in page["items"]] == [started["id"]]
    assert page["next_cursor"] is None
    assert sender.ask("GET", "/v1/event-waits?event_type=x").json()["items"] == []
    assert other.ask("GET", "/v1/event-waits").json()["items"] == []
    assert sender.ask("GET", "/v1/event-waits?cursor=x").status_code == 422
