"""n8n: notifies a workflow that the customer has built there."""

from app.platform import Platform
from tasks.n8n import actions, client, webhook
from tasks.n8n.settings import N8nSettings

PLATFORM = Platform(
    name="n8n",
    actions=(actions.notify,),
    verify=webhook.verify,
    probe=client.probe,
    settings=N8nSettings,
)
