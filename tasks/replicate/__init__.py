"""Replicate: face swaps and any other model."""

from app.platform import Platform
from tasks.replicate import actions, client, webhook
from tasks.replicate.settings import ReplicateSettings

PLATFORM = Platform(
    name="replicate",
    actions=(actions.predict,),
    verify=webhook.verify,
    probe=client.probe,
    settings=ReplicateSettings,
    warm=client.warm,
)
