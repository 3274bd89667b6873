"""Receives webhooks: verifies the signature over the raw body, and commits the delivery before it
responds 200."""

from dataclasses import replace
from typing import Any

from flask import request
from flask_openapi.blueprint import APIBlueprint

from app import clock
from app.errors import NotFound, SignatureInvalid
from app.keys import HOOK_STEP, workflow_of
from app.payload import clean
from app.platform import Delivery, Verify
from app.telemetry import HOOKS, bind_log
from chains.commands.accept_delivery import accept_delivery
from tasks import platforms
from web.api import problems
from web.bodies import MAX_JSON_BYTES, StrictRequest
from web.schemas.hooks import PlatformPath, Received

hooks = APIBlueprint("hooks", __name__, abp_tags=[{"name": "Webhooks"}])


def _verify_of(platform: str) -> Verify | None:
    return next((each.verify for each in platforms() if each.name == platform), None)


def _of_step(delivery: Delivery, reference: str) -> Delivery:
    """A webhook about an effect, sent to an address that names the step which has asked for it.

    Only the platform knows a body with its signature and the address. If the webhook itself names
    the step, that counts.
    """
    trace = delivery.trace
    if trace is None or trace.reference is not None or workflow_of(reference) is None:
        return delivery
    return replace(delivery, trace=replace(trace, reference=reference))


@hooks.post(
    "/hooks/<platform>",
    summary="Receive a webhook from a platform",
    operation_id="receive_webhook",
    responses={200: Received, **problems(400, 404, 413)},
)
def receive_webhook(path: PlatformPath) -> dict[str, Any]:
    """Responds 200 after the delivery is recorded, also for a duplicate."""
    verify = _verify_of(path.platform)
    if verify is None:
        raise NotFound("no platform of this name sends webhooks here")
    bind_log(platform=path.platform)
    assert isinstance(request, StrictRequest)
    body = request.get_raw(MAX_JSON_BYTES)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        delivery = verify(headers, body, clock.now())
    except SignatureInvalid:
        HOOKS.labels(path.platform, "refused").inc()
        raise
    for name in (delivery.delivery_id, delivery.kind, delivery.external_id or ""):
        if clean(name) != name:
            HOOKS.labels(path.platform, "refused").inc()
            raise SignatureInvalid("an id of the event contains characters that no id may contain")
    is_new = accept_delivery(path.platform, _of_step(delivery, request.args.get(HOOK_STEP, "")))
    HOOKS.labels(path.platform, "accepted" if is_new else "duplicate").inc()
    return {"received": True}
