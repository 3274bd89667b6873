"""The effects that the suite counts: how each is made, counted by the sandbox, and undone."""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from app.errors import Suspend
from app.files import artifacts
from app.platform import Json
from tests.contract.stage import Step
from tests.contract.vendors import Vendors

PHOTOS = Path(__file__).parents[2] / "ops" / "sandbox" / "photos"
Claim = Callable[[str, Json], Step]

AUTHORIZE: Json = {
    "customer_email": "ada@example.com",
    "payment_method": "pm_card_visa",
    "amount": 4900,
    "currency": "EUR",
    "description": "Campaign",
}


def upload(step: Step, data: bytes) -> str:
    """Store a photograph for the step's user, and return its id."""
    return str(artifacts.upload(step.claim.user_id, data)["id"])


def small(name: str) -> bytes:
    """One of the photographs, half as large."""
    made = io.BytesIO()
    with Image.open(PHOTOS / name) as image:
        image.convert("RGB").resize((image.width // 2, image.height // 2)).save(made, "PNG")
    return made.getvalue()


def authorize(claim: Claim) -> Step:
    """A claimed step that authorizes a payment."""
    return claim("stripe.authorize", AUTHORIZE)


def capture(claim: Claim) -> Step:
    """A claimed step that captures a payment which is authorized already."""
    held = authorize(claim).run()
    return claim("stripe.capture", {"payment_intent": held["payment_intent"]})


def caption(claim: Claim) -> Step:
    """A claimed step that writes a caption."""
    return claim("openai.caption", {"brief": "Heroes of space on stage"})


def predict(claim: Claim) -> Step:
    """A claimed step that swaps a face."""
    step = claim("replicate.predict", {})
    photos = {role: upload(step, small("astronaut.png")) for role in ("source", "target")}
    return replace(step, given=photos)


def deploy(claim: Claim) -> Step:
    """A claimed step that publishes a page."""
    step = claim("vercel.deploy", {})
    picture = {"id": upload(step, small("astronaut.png")), "url": "http://unused"}
    given = {"title": "A <gallery>", "caption": "Look & see", "pictures": [picture]}
    return replace(step, given=given)


def open_channel(claim: Claim) -> Step:
    """A claimed step that opens a channel."""
    return claim("agora.open_channel", {"title": "Premiere"})


def notify(claim: Claim) -> Step:
    """A claimed step that sends a notification."""
    return claim("n8n.notify", {"event": "campaign.published", "data": {"to": "ada@example.com"}})


@dataclass(frozen=True)
class Effect:
    """The effect of an action.

    `effect` and `undone` are the names under which the sandbox counts the effect and its undoing.
    `results` are the results of the first and of the second compensation.
    """

    prepare: Callable[[Claim], Step]
    operation: str
    effect: str
    suspends: bool = False
    undone: str | None = None
    results: tuple[str, str] = ("", "")

    def plan(self, vendors: Vendors, kind: str) -> None:
        """Plan a fault of the kind for the next call that makes the effect."""
        platform, _, operation = self.operation.partition("/")
        vendors.fault(platform, operation, kind)

    def begin(self, step: Step) -> str:
        """Run the step to its end or its first wait, and return the output or the external id."""
        if not self.suspends:
            return json.dumps(step.run(), sort_keys=True)
        with pytest.raises(Suspend) as caught:
            step.run()
        return caught.value.external_id


EFFECTS = {
    "stripe.authorize": Effect(
        authorize,
        "stripe/payment_intents.create",
        "authorizations",
        undone="cancellations",
        results=("canceled", "already"),
    ),
    "stripe.capture": Effect(
        capture,
        "stripe/payment_intents.capture",
        "captures",
        undone="refunds",
        results=("refunded", "already"),
    ),
    "openai.caption": Effect(caption, "openai/chat.completions.create", "captions"),
    "replicate.predict": Effect(
        predict,
        "replicate/predictions.create",
        "predictions",
        suspends=True,
        undone="predictions_canceled",
        results=("canceled", "already"),
    ),
    "vercel.deploy": Effect(
        deploy,
        "vercel/deployments.create",
        "deployments",
        suspends=True,
        undone="removals",
        results=("removed", "already"),
    ),
    "agora.open_channel": Effect(
        open_channel,
        "agora/kicking_rules.create",
        "joins",
        undone="kicking_rules",
        results=("closed", "already"),
    ),
    "n8n.notify": Effect(notify, "n8n/webhook.post", "notifications", suspends=True),
}
LOOKED_UP = ["stripe.authorize", "stripe.capture", "replicate.predict", "vercel.deploy"]
UNDONE = [name for name, effect in EFFECTS.items() if effect.undone]


def wait(step: Step, external_id: str, seconds: float = 20.0) -> Json:
    """Poll like the engine until the step ends."""
    until = time.monotonic() + seconds
    while True:
        try:
            return step.run(external_id)
        except Suspend:
            assert time.monotonic() < until, "the platform does not come to an end"
            time.sleep(0.1)
