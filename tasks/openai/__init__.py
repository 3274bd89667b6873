"""OpenAI: moderation, captions, answers, vectors and pictures."""

from app.platform import Platform
from tasks.openai import actions, client, embedding, webhook
from tasks.openai.images import drawing
from tasks.openai.responses import adopting, responding
from tasks.openai.settings import OpenAISettings

PLATFORM = Platform(
    name="openai",
    actions=(
        actions.moderate,
        actions.caption,
        responding.respond,
        embedding.embed,
        drawing.image,
    ),
    verify=webhook.verify,
    probe=client.probe,
    settings=OpenAISettings,
    warm=client.warm,
    completed=adopting.completed,
)
