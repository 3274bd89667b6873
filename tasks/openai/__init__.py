"""OpenAI: moderation, captions, answers, vectors, pictures, transcripts, speech and files."""

from app.platform import Platform
from tasks.openai import actions, client, embedding, webhook
from tasks.openai.audio import hearing, speaking
from tasks.openai.batches import asking
from tasks.openai.batches.carrying import BATCHES
from tasks.openai.files import deleting, uploading
from tasks.openai.images import drawing
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
        drawing.image,
        hearing.transcribe,
        hearing.translate,
        speaking.speak,
        uploading.upload_file,
        deleting.delete_file,
    ),
    verify=webhook.verify,
    probe=client.probe,
    settings=OpenAISettings,
    warm=client.warm,
    completed=adopting.completed,
    batches=BATCHES,
)
