"""Replicate: face swaps."""

from app.platform import Platform
from tasks.replicate import actions, client, webhook

PLATFORM = Platform(
    name="replicate",
    actions=(actions.predict,),
    verify=webhook.verify,
    probe=client.probe,
    warm=client.warm,
)
