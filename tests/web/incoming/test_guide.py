"""The examples of the guide are taken as they stand, on the command line too."""

from functools import partial

from chains import definitions
from chains.catalogue import versions
from tests import forked
from tests.unit.documents import CHECKOUT, blocks
from tests.web.incoming.conftest import Sender

JSON = {"Content-Type": "application/json"}
GUIDE = CHECKOUT / "ops" / "guide" / "events-in.md"


def test_the_examples_of_the_guide_work_on_the_command_line(sender: Sender) -> None:
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
    (shell,) = blocks(GUIDE, "sh")
    event = shell.partition("-d '")[2].partition("'")[0]
    sent = playalter("events-in", "send", "-", given=f"[{event}, {event}, {{}}]").stdout
    assert [line.split()[0] for line in sent.splitlines()] == ["accepted", "duplicate", "refused"]
    row = playalter("events-in", "list", "--outcome", "started").stdout
    assert row.endswith("order.paid  shop  paid-orders: started\n")
    listed = playalter("triggers", "list").stdout.splitlines()
    assert listed == ["paid-orders  order.*  -> noop_chain  1 matched, 1 started"]
    assert playalter("triggers", "delete", "paid-orders").stdout == "paid-orders: deleted\n"
