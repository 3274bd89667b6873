"""OpenAI: moderation and captions."""

from app.platform import Platform
from tasks.openai import actions, client, webhook
from tasks.openai.settings import OpenAISettings

PLATFORM = Platform(
    name="openai",
    actions=(actions.moderate, actions.caption),
    verify=webhook.verify,
    probe=client.probe,
    settings=OpenAISettings,
    warm=client.warm,
)
