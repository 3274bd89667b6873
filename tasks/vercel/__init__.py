"""Vercel: publishes the gallery."""

from app.platform import Platform
from tasks.vercel import actions, client, webhook
from tasks.vercel.settings import VercelSettings

PLATFORM = Platform(
    name="vercel",
    actions=(actions.deploy,),
    verify=webhook.verify,
    probe=client.probe,
    settings=VercelSettings,
)
