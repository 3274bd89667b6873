"""Pressroom: posters on paper."""

from app.platform import Platform

from . import actions, client, webhook
from .settings import PressroomSettings

PLATFORM = Platform(
    name="pressroom",
    actions=(actions.print_posters,),
    verify=webhook.verify,
    probe=client.probe,
    settings=PressroomSettings,
)
