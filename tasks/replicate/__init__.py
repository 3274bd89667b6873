"""Replicate: face swaps and any other model, trainings and deployments."""

from app.platform import Platform
from tasks.replicate import actions, client, deploying, training, webhook
from tasks.replicate.settings import ReplicateSettings

PLATFORM = Platform(
    name="replicate",
    actions=(actions.predict, training.train, deploying.deploy),
    verify=webhook.verify,
    probe=client.probe,
    settings=ReplicateSettings,
    warm=client.warm,
)
