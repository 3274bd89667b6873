"""The cases of n8n."""

from tasks.n8n.client import api
from tasks.n8n.settings import N8nSettings
from tests.contract.cases import Call, Cases, Claim, Effect, Hook, sign_standard
from tests.contract.stage import Step


def notify(claim: Claim) -> Step:
    """A claimed step that sends a notification."""
    return claim("n8n.notify", {"event": "campaign.published", "data": {"to": "ada@example.com"}})


NOTIFY = Effect(
    "n8n.notify",
    notify,
    "webhook.post",
    "notifications",
    suspends=True,
    held={"n8n__outcome": "silent"},
    reads="executions.get",
    is_repeatable=True,
)
CASES = Cases(
    "n8n",
    Call(
        "webhook.post",
        lambda: api().trigger(
            N8nSettings.current().webhook_path, {"event": "e", "reference": "r"}, "msg-1"
        ),
        "N8N_BASE_URL",
        "N8N_API_KEY",
        is_repeatable=True,
    ),
    Hook(
        sign_standard,
        lambda at: {"reference": "workflow/step", "status": "success"},
        ("msg_1", "workflow/step", "execution.success"),
    ),
    (NOTIFY,),
    has_limits=False,
)
