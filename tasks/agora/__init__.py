"""Agora: channels for live premieres."""

from app.platform import Platform
from tasks.agora import actions, client, webhook
from tasks.agora.settings import AgoraSettings

PLATFORM = Platform(
    name="agora",
    actions=(actions.open_channel,),
    verify=webhook.verify,
    probe=client.probe,
    settings=AgoraSettings,
)
