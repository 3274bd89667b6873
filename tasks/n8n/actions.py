"""Send an event to an n8n workflow and wait for its signed answer.

Invariant: a call that is repeated has the same `webhook-id`. The action cannot be undone, so it
should be the last step of a definition.
"""

from typing import Any

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.platform import ActionInput, ActionOutput, Effect, Json, action
from tasks.n8n.client import api
from tasks.n8n.settings import N8nSettings

_ENVELOPE = ("event", "reference", "executionId", "status")
_ENDED_BADLY = ("error", "crashed", "canceled")


class NotifyInput(ActionInput):
    """The name of the event, and the data that the n8n workflow receives with it."""

    event: str = Field(min_length=1, max_length=100)
    data: dict[str, Any] = Field(default_factory=dict)


@action("n8n.notify", input=NotifyInput, effect=Effect.REPEATABLE)
def notify(call: Call, given: NotifyInput) -> Json:
    """Notify the n8n workflow, and return its answer: {status, execution, answer}.

    Raises Permanent if the n8n workflow fails.
    """
    n8n, settings = api(), N8nSettings.current()
    reference = _reference(call)
    request: Json = {
        "path": settings.webhook_path,
        "body": {
            "event": given.event,
            "reference": reference,
            "callback_url": call.hook_url,
            "data": given.data,
        },
    }
    # An earlier attempt may have reached n8n although its reply was lost. If n8n has answered that
    # attempt by webhook, nothing is sent again.
    early = call.deliveries(reference) if call.external_id is None and call.tries else []
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
    raise Suspend(reference, poll_seconds=settings.poll_seconds)


class Notified(ActionOutput):
    """The id of n8n's execution, if it is known, and the fields that the n8n workflow answered."""

    status: str
    execution: str | None
    answer: dict[str, Any] | None


notify.describe(
    output=Notified, example={"event": "order.paid", "data": {"order": "A-17", "total": "19.90"}}
)


def _reference(call: Call) -> str:
    """The reference that n8n returns with its answer. Each generation of a step has its own.

    A step that is retried by hand sends its event once more. The answer to the earlier event,
    which may also come late, is not the answer to this one.
    """
    return f"{call.reference}#{call.generation}" if call.generation else call.reference


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
