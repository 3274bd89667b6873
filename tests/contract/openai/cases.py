"""The cases of OpenAI."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app import db
from app.platform import Json
from chains.batches.carrying import carry
from chains.commands.accept_delivery import accept_delivery
from tasks.openai import webhook
from tasks.openai.client import api
from tasks.openai.files import calls as files
from tests.contract.cases import Call, Cases, Claim, Effect, Hook, sign_standard
from tests.contract.openai.batching import later, passed, sent
from tests.contract.openai.sounds import sound
from tests.contract.pictures import small, upload
from tests.contract.stage import Step
from tests.contract.vendors import Vendors

SECRET = "whsec_b3BlbmFpIHdlYmhvb2tzIHNlY3JldA=="
"""That of the settings of these tests (conftest.py)."""
ASKED: Json = {"input": "Heroes of space on stage", "max_output_tokens": 500}
DRAWN: Json = {"prompt": "Heroes of space on stage", "size": "256x256"}
SPOKEN: Json = {"text": "The fair opens at nine. Bring a friend.", "voice": "coral"}
UPLOADED: Json = {"text": "The fair opens at nine.", "purpose": "user_data"}
BAR: Json = {"min_words": 2, "banned_words": ["cheap"], "moderation": True}
_DEAR = {"input": "\U0001f3aa" * 64_000, "instructions": "\U0001f3ad" * 1_000}


def caption(claim: Claim) -> Step:
    """A claimed step that writes a caption."""
    return claim("openai.caption", {"brief": "Heroes of space on stage"})


def dearest_caption(claim: Claim) -> Step:
    """A claimed step with the longest brief and style, of letters that have four bytes each."""
    return claim("openai.caption", {"brief": "\U0001f3aa" * 8000, "style": "\U0001f3ad" * 200})


def moderate(claim: Claim) -> Step:
    """A claimed step that checks a brief."""
    return claim("openai.moderate", {"brief": "Heroes of space on stage"})


def respond(claim: Claim) -> Step:
    """A claimed step that a model answers at once."""
    return claim("openai.respond", ASKED)


def respond_later(claim: Claim) -> Step:
    """A claimed step that a model answers in the background."""
    return claim("openai.respond", ASKED | {"background": True})


def respond_gated(claim: Claim) -> Step:
    """A claimed step whose answer must pass a bar."""
    return claim("openai.respond", ASKED | {"route": {"models": ["gpt-6-luna"]}, "quality": BAR})


def dearest_response(claim: Claim) -> Step:
    """A claimed step with a long input, whose images OpenAI fetches."""
    images = [{"url": f"http://127.0.0.1:1/{number}.png"} for number in range(10)]
    return claim("openai.respond", ASKED | _DEAR | {"images": images})


def line(claim: Claim) -> Step:
    """A claimed step that is a line of a batch."""
    return claim("openai.batch", ASKED)


def dearest_line(claim: Claim) -> Step:
    """A claimed step with a long input, whose images OpenAI fetches."""
    images = [{"url": f"http://127.0.0.1:1/{number}.png"} for number in range(10)]
    return claim("openai.batch", ASKED | _DEAR | {"images": images})


def dropped() -> int:
    """How many steps have dropped lines that were not sent."""
    counted = (
        "SELECT count(DISTINCT workflow_id) AS number FROM batch_lines WHERE state = 'dropped'"
    )
    (row,) = db.rows(counted, ())
    return int(row["number"])


def answered(vendors: Vendors) -> None:
    """Let the batch of what waits be gathered, sent and answered."""
    sent()
    later(vendors, 3 * 3600)
    passed("3 hours")
    carry(30)


def tell(vendors: Vendors) -> None:
    """Let the events about all responses arrive that were asked for; they may run still."""
    for each in vendors.ids("captions"):
        told("response.completed", each)


def told(kind: str, response: str, message: str = "") -> bool:
    """Let an event about a response arrive. Whether it is new."""
    event = {"id": "evt_1", "object": "event", "type": kind, "data": {"id": response}}
    body = json.dumps(event).encode()
    now = datetime.now(UTC)
    headers = sign_standard(body, now, SECRET)
    delivery = webhook.verify(headers, body, now)
    return accept_delivery("openai", replace(delivery, delivery_id=message or f"msg_{response}"))


def embed(claim: Claim) -> Step:
    """A claimed step that makes vectors of two texts."""
    return claim("openai.embed", {"texts": ["Heroes of space", "Rain"]})


def dearest_embedding(claim: Claim) -> Step:
    """A claimed step with the most texts, of letters that have four bytes each."""
    return claim("openai.embed", {"texts": ["\U0001f3aa" * 4_000] * 64})


def image(claim: Claim) -> Step:
    """A claimed step that draws a small picture."""
    return claim("openai.image", DRAWN)


def dearest_image(claim: Claim) -> Step:
    """A claimed step that edits pictures with a long prompt, at the quality that takes the most
    tokens."""
    step = claim("openai.image", DRAWN | {"quality": "max", "size": "1024x1024"})
    photo = upload(step, small("astronaut.png"))
    step.given |= {"prompt": "\U0001f3aa" * 8_000, "images": [photo] * 2}
    step.seconds = 20.0
    return step


def transcribe(claim: Claim) -> Step:
    """A claimed step that writes down what is said in a sound."""
    return hearing(claim, "openai.transcribe")


def translate(claim: Claim) -> Step:
    """A claimed step that writes it down in English."""
    return hearing(claim, "openai.translate")


def dearest_transcript(claim: Claim) -> Step:
    """A claimed step whose sound is as long as it may be, for a model that is paid by tokens."""
    return hearing(claim, "openai.transcribe", 59.9, model="gpt-4o-transcribe")


def dearest_translation(claim: Claim) -> Step:
    """A claimed step whose sound is as long as it may be."""
    return hearing(claim, "openai.translate", 59.9)


def hearing(claim: Claim, action: str, seconds: float = 2.0, **more: str) -> Step:
    """A claimed step that hears a sound."""
    step = claim(action, {})
    step.given = {"audio": sound(step, seconds=seconds), "max_minutes": 1, **more}
    return step


def speak(claim: Claim) -> Step:
    """A claimed step that reads a text aloud."""
    return claim("openai.speak", SPOKEN)


def dearest_speech(claim: Claim) -> Step:
    """A claimed step that slowly reads a text of short words."""
    return claim("openai.speak", SPOKEN | {"text": "a 1 " * 250, "speed": 0.25})


def upload_file(claim: Claim) -> Step:
    """A claimed step that uploads a file."""
    return claim("openai.upload_file", UPLOADED)


def delete_file(claim: Claim) -> Step:
    """A claimed step that deletes a file that somebody has uploaded."""
    step = claim("openai.delete_file", {})
    made = files.create({"purpose": "user_data"}, "a.txt", b"A fair", step.claim.workflow_id.hex)
    step.given = {"file": made["id"]}
    return step


CASES = Cases(
    "openai",
    Call(
        "moderations.create",
        lambda: api().moderate("omni-moderation-latest", "a nice day"),
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        is_repeatable=True,
    ),
    Hook(
        sign_standard,
        lambda at: {"id": "evt_1", "type": "response.completed", "data": {"id": "resp_1"}},
        ("msg_1", "resp_1", "response.completed"),
    ),
    (
        Effect("openai.moderate", moderate, "moderations.create", "", is_repeatable=True),
        Effect(
            "openai.caption",
            caption,
            "chat.completions.create",
            "captions",
            # The model reasons as long as it may, at each of the calls, and writes nothing.
            dear={"openai__reasoning_tokens": 50_000},
            dearest=dearest_caption,
        ),
        Effect(
            "openai.respond",
            respond,
            "responses.create",
            "captions",
            is_written_off=True,
            dear={"openai__reasoning_tokens": 50_000},
            dearest=dearest_response,
            part="gpt-6-luna",
        ),
        Effect(
            "openai.respond",
            respond_gated,
            "responses.create",
            "captions",
            is_written_off=True,
            part="gpt-6-luna",
        ),
        Effect(
            "openai.respond",
            respond_later,
            "responses.create",
            "captions",
            suspends=True,
            is_looked_up=True,
            undone="responses_deleted",
            results=("cancelled", "already"),
            held={"openai__hold": True},
            reads="responses.retrieve",
            told=tell,
            gives_up=timedelta(hours=1, minutes=1),
            part="gpt-6-luna",
        ),
        Effect(
            "openai.batch",
            line,
            "",
            "",
            suspends=True,
            undone=dropped,
            results=("removed", "already"),
            reads="batches.retrieve",
            dear={"openai__reasoning_tokens": 50_000},
            dearest=dearest_line,
            carried=answered,
        ),
        Effect(
            "openai.embed",
            embed,
            "embeddings.create",
            "embeddings",
            dearest=dearest_embedding,
        ),
        Effect(
            "openai.image",
            image,
            "images.generate",
            "images",
            is_written_off=True,
            is_erased=True,
            dearest=dearest_image,
        ),
        Effect(
            "openai.transcribe",
            transcribe,
            "audio.transcriptions.create",
            "transcriptions",
            dear={"openai__transcribed": "fair " * 900},
            dearest=dearest_transcript,
        ),
        Effect(
            "openai.translate",
            translate,
            "audio.translations.create",
            "translations",
            dearest=dearest_translation,
        ),
        Effect(
            "openai.speak",
            speak,
            "audio.speech.create",
            "speech",
            is_written_off=True,
            is_erased=True,
            dearest=dearest_speech,
        ),
        Effect(
            "openai.upload_file",
            upload_file,
            "files.create",
            "files",
            is_looked_up=True,
            undone="files_deleted",
            results=("deleted", "already"),
            lag="openai__files_lag_seconds",
        ),
        Effect(
            "openai.delete_file",
            delete_file,
            "files.delete",
            "files_deleted",
            is_single=True,
            is_repeatable=True,
        ),
    ),
)
