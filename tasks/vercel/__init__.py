"""Vercel: the published gallery."""

from app.platform import Platform
from tasks.vercel import actions, client, webhook

PLATFORM = Platform(
    name="vercel",
    actions=(actions.deploy,),
    verify=webhook.verify,
    probe=client.probe,
)
