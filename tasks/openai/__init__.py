"""OpenAI: moderation, captions, answers and vectors."""

from app.platform import Platform
from tasks.openai import actions, client, embedding, webhook
from tasks.openai.batches import asking
from tasks.openai.batches.carrying import BATCHES
from tasks.openai.responses import adopting, responding
from tasks.openai.settings import OpenAISettings

PLATFORM = Platform(
    name="openai",
    actions=(
        actions.moderate,
        actions.caption,
        responding.respond,
        asking.batch,
        embedding.embed,
    ),
    verify=webhook.verify,
    probe=client.probe,
    settings=OpenAISettings,
    warm=client.warm,
    completed=adopting.completed,
    batches=BATCHES,
)
