"""Tell an n8n workflow of an event and wait for its signed answer.

Invariant: every try carries the same `webhook-id`; it cannot be undone, so it comes last.
"""

from typing import Any

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.platform import ActionInput, Effect, Json, action
from tasks.n8n.client import api
from tasks.n8n.settings import N8nSettings

_ENVELOPE = ("event", "reference", "executionId", "status")
_ENDED_BADLY = ("error", "crashed", "canceled")


class NotifyInput(ActionInput):
    """What happened, and the facts that the workflow there is given."""

    event: str = Field(min_length=1, max_length=100)
    data: dict[str, Any] = Field(default_factory=dict)


@action("n8n.notify", input=NotifyInput, effect=Effect.REPEATABLE)
def notify(call: Call, given: NotifyInput) -> Json:
    """{status, execution, answer} once the workflow has answered; Permanent when it failed."""
    n8n, settings = api(), N8nSettings.current()
    request: Json = {
        "path": settings.webhook_path,
        "body": {
            "event": given.event,
            "reference": call.reference,
            "callback_url": call.hook_url,
            "data": given.data,
        },
    }
    # A try whose reply was lost may have been answered: its callback then says all.
    early = call.deliveries(call.reference) if call.external_id is None and call.tries else []
    if early:
        return _answered(early[-1], None)
    sent = call.once(
        "webhooks.trigger", request, lambda r, key: n8n.trigger(r["path"], r["body"], key)
    )
    execution = sent["execution"]
    answers = call.deliveries() if call.external_id else []
    if answers:
        return _answered(answers[-1], execution)
    if call.external_id and execution and settings.api_key.get_secret_value():
        status = n8n.execution_status(execution)
        if status == "success":
            return {"status": status, "execution": execution, "answer": None}
        if status in _ENDED_BADLY:
            raise _failed(f"its execution ended as {status}", execution)
    raise Suspend(call.reference, poll_seconds=settings.poll_seconds)


def _answered(answer: Json, execution: str | None) -> Json:
    execution = answer.get("executionId") or execution
    if answer.get("status") != "success":
        error = answer.get("error") or answer.get("message") or "no reason given"
        said = error.get("message") if isinstance(error, dict) else error
        raise _failed(str(said or "no reason given")[:500], execution)
    said = {name: value for name, value in answer.items() if name not in _ENVELOPE}
    return {"status": "success", "execution": execution, "answer": said}


def _failed(why: str, execution: str | None) -> Permanent:
    return Permanent(
        f"the n8n workflow failed: {why}", code="n8n_failed", detail={"execution": execution}
    )
