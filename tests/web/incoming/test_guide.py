"""The examples of the guide are taken as they stand, on the command line too."""

import json
from functools import partial
from pathlib import Path

from chains import definitions
from chains.catalogue import versions
from tests import forked
from tests.unit.documents import CHECKOUT, blocks
from tests.web.incoming.conftest import Sender

JSON = {"Content-Type": "application/json"}
GUIDE = CHECKOUT / "ops" / "guide" / "events-in.md"


def test_the_examples_of_the_guide_work_on_the_command_line(sender: Sender, tmp_path: Path) -> None:
    for body in definitions.ALL:
        versions.register(body)
    variables = {"PLAYALTER_URL": sender.url, "PLAYALTER_API_KEY": sender.caller.key}
    playalter = partial(forked.playalter, **variables)
    trigger, *sources = blocks(GUIDE, "json")
    made = playalter("triggers", "create", "-", given=trigger)
    assert made.stdout == "paid-orders: order.* starts noop_chain\n", made.stderr
    made = playalter("event-sources", "create", "-", given=sources[0])
    assert made.stdout.split()[::2] == ["url:", "secret:"], made.stderr
    for source in sources[1:]:
        assert sender.ask("POST", "/v1/event-sources", data=source, headers=JSON).status_code == 201
    listed = playalter("event-sources", "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["github", "slack", "stripe"]
    (shell,) = blocks(GUIDE, "sh")
    event = shell.partition("-d '")[2].partition("'")[0]
    sent = playalter("events-in", "send", "-", given=f"[{event}, {event}, {{}}]").stdout
    assert [line.split()[0] for line in sent.splitlines()] == ["accepted", "duplicate", "refused"]
    row = playalter("events-in", "list", "--outcome", "started").stdout
    assert row.endswith("order.paid  shop  paid-orders: started\n")
    path = tmp_path / "trigger.json"
    path.write_text(json.dumps({"event_type": "*", "definition": "noop_chain", "filter": "!event"}))
    assert playalter("triggers", "replace", "paid-orders", str(path)).returncode == 0
    listed = playalter("triggers", "list").stdout.splitlines()
    assert listed == ["paid-orders  *  -> noop_chain  1 matched, 1 started"]
    assert playalter("triggers", "delete", "paid-orders").stdout == "paid-orders: deleted\n"
    rotated = playalter("event-sources", "rotate", "stripe", "--former-hours", "1").stdout
    assert rotated.splitlines()[1].startswith("secret: ")
