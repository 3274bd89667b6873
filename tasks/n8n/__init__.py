"""n8n: workflows of the customer's own, told of what happened."""

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
