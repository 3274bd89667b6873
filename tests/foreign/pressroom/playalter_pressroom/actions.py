"""Print posters, and take a print run back.

Invariant: an order carries its step's reference and generation, so that one whose answer was lost
is found.
"""

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.platform import (
    ActionInput,
    ActionOutput,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
    action,
)

from .client import api
from .settings import PressroomSettings

_MICRO_USD_A_COPY = 150_000


class PrintInput(ActionInput):
    """What stands on the posters, and how many there are."""

    text: str = Field(min_length=1, max_length=500)
    copies: int = Field(default=1, ge=1, le=1000)


@action("pressroom.print", input=PrintInput, effect=Effect.LOOKUP)
def print_posters(call: Call, given: PrintInput) -> Json:
    """{order, proof} once they are printed; Permanent when the press gives up."""
    pressroom = api()
    request = {
        "reference": call.reference,
        "generation": call.generation,
        "text": given.text,
        "copies": given.copies,
        "webhook": call.hook_url,
    }
    made = call.once("orders.create", request, lambda r, _key: pressroom.create_order(r))
    order, pause = made["id"], PressroomSettings.current().poll_seconds
    seen = call.state_of(order, lambda: pressroom.order(order), pause)
    if seen["state"] == "printing":
        raise Suspend(order, poll_seconds=pause)
    if seen["state"] != "printed":
        raise Permanent(f"the order is {seen['state']}", code="not_printed")
    call.spend(given.copies * _MICRO_USD_A_COPY)
    return {"order": order, "proof": seen["proof"]}


class Printed(ActionOutput):
    """The id of the order, and the address of its proof."""

    order: str
    proof: str


print_posters.describe(output=Printed, example={"text": "Tonight at nine", "copies": 2})


@print_posters.costs_at_most
def most_micro_usd(given: PrintInput) -> int:
    """The price of all copies."""
    return given.copies * _MICRO_USD_A_COPY


@print_posters.looked_up
def find_order(call: Call, intent: Intent) -> LookupAnswer:
    """By the reference in the list of orders, and by the generation: a retried step has several."""
    known = api().orders_of(intent.request["reference"])
    found = [each for each in known if each["generation"] == intent.request["generation"]]
    return Found({"id": found[0]["id"], "state": found[0]["state"]}) if found else Never()


@print_posters.compensation
def cancel(call: Call, undo: Undo) -> Json:
    """Cancel the order, whatever became of it, and whether or not its answer arrived."""
    if not undo.intents:
        return {"result": "nothing"}
    pressroom = api()
    known = pressroom.orders_of(call.reference)
    open_orders = [each["id"] for each in known if each["state"] != "cancelled"]
    for order in open_orders:
        pressroom.cancel_order(order)
    result = "cancelled" if open_orders else "already" if known else "nothing"
    return {"result": result, "orders": [each["id"] for each in known]}
