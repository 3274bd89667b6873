"""Steps with effects at a vendor, outcomes that speak of others, and what is found of them."""

from typing import Any
from uuid import UUID

from app.platform import Delivery, Json, Made, Trace
from app.protocol import intents, outcomes
from app.protocol.claims import Claim
from app.protocol.outcomes import Finish
from chains.actions import actions
from chains.commands.accept_delivery import accept_delivery
from tests.integration.conftest import NOTHING, Kernel
from tests.unit.definitions import noop

RENDER: dict[str, Any] = {
    "step": "render", "action": "replicate.predict", "with": {"source": "a", "target": "b"}
}  # fmt: skip
OUTPUT = {"prediction": "own"}
LOST = {"code": "unknown_outcome", "message": "the reply was lost"}


def begun(kernel: Kernel, **changes: Any) -> tuple[UUID, Claim]:
    """A workflow whose step `render` has uploaded its file and is about to create a prediction."""
    workflow = kernel.start(kernel.register({"sequence": [{**RENDER, **changes}, noop("after")]}))
    claim = kernel.claim(workflow, "render")
    upload(claim)
    assert intents.record_intent(claim, 1, "predictions.create", {}, "k2") is not None
    return workflow, claim


def upload(claim: Claim) -> None:
    assert intents.record_intent(claim, 0, "files.create#target", {}, "k1") is not None
    made = {"id": "file", "url": address(claim.workflow_id, claim.generation)}
    assert intents.resolve_intent(
        claim, 0, "accepted", made, made=named("files.create#target", made)
    )


def named(operation: str, reply: Json) -> Made:
    """What the action reads in a reply, as a worker records it."""
    return actions()["replicate.predict"].made(operation, reply)


def address(workflow: UUID, generation: int = 0) -> str:
    return f"https://vendor.example/v1/files/{workflow}/{generation}"


def accepted(claim: Claim, effect: str = "own") -> None:
    reply = {"id": effect, "status": "starting"}
    made = named("predictions.create", reply)
    assert intents.resolve_intent(claim, 1, "accepted", reply, made=made)


def waits(claim: Claim, effect: str = "own") -> None:
    """The reply is there, and the step waits for what it names."""
    accepted(claim, effect)
    assert outcomes.suspend_step(claim, NOTHING, effect, 600.0, 3600.0) == "recorded"


def tell(workflow: UUID, effect: str, status: str = "succeeded", generation: int = 0) -> bool:
    """A webhook of a prediction from the step's file."""
    wakes = None if status == "processing" else effect
    given = Trace(effect, addresses=("https://elsewhere.example", address(workflow, generation)))
    delivery = Delivery(f"{effect}-{status}", wakes, f"prediction.{status}", {"id": effect}, given)
    return accept_delivery("replicate", delivery)


def found(kernel: Kernel, workflow: UUID) -> list[str]:
    """The external ids of the orphans found, in order."""
    return [
        event["data"]["external_id"]
        for event in kernel.events(workflow)
        if event["type"] == "OrphanFound"
    ]


def take_back(kernel: Kernel, workflow: UUID, effect: str, step: str = "render") -> None:
    """What a worker records once the vendor has cancelled it."""
    claim = kernel.claim(workflow, f"{step}~orphan[{effect}]~undo")
    assert claim.undo
    advance = outcomes.finish_step(claim, NOTHING, Finish({"result": "canceled"}))
    assert advance.verdict == "recorded"
