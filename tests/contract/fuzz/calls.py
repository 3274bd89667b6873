"""Each call that a platform's client makes, and what its result must look like."""

from tasks.agora.client import api as agora
from tasks.http import client as http_client
from tasks.n8n.client import api as n8n
from tasks.openai import embedding
from tasks.openai.audio import calls as hearing
from tasks.openai.audio import speeches
from tasks.openai.client import api as openai
from tasks.openai.files import calls as files
from tasks.openai.images import calls as images
from tasks.openai.responses import calls as responses
from tasks.replicate.client import api as replicate
from tasks.vercel.client import api as vercel
from tests.contract.fuzz.asked import (
    LONG_AGO,
    YEAR,
    Asked,
    Client,
    Made,
    all_sound,
    count,
    flag,
    having,
    key,
    maybe,
    nothing,
    text,
)
from tests.contract.fuzz.selling import FAMILIES as SELLING
from tests.contract.fuzz.stripe import FAMILIES as MAKING
from tests.contract.replicate.cases import DEPLOYMENT, HELLO
from tests.contract.vercel.cases import SITE
from tests.sandbox.openai.media import wav

STRIPE = (*MAKING, *SELLING)
_MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
_RESPONSE = {
    "model": "gpt-4.1-mini",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "u"}]}],
    "max_output_tokens": 100,
    "background": False,
}
_response = having(
    id=text, status=text, is_running=flag, model=text, tier=maybe(text), input_tokens=count,
    text=lambda said: isinstance(said, str), refusal=maybe(text), reason=maybe(text),
    output_tokens=count, cached_tokens=count, cache_write_tokens=count, reasoning_tokens=count,
    metadata=lambda marks: all(map(text, marks)), error=maybe(having(code=text, message=text)),
)  # fmt: skip
_DRAWN: Made = {"model": "gpt-image-2", "prompt": "x", "n": 1, "size": "64x64", "quality": "low",
                "background": "auto", "output_format": "jpeg"}  # fmt: skip
_drawn = having(
    pictures=all_sound(lambda data: isinstance(data, bytes) and data != b""),
    size=maybe(text), quality=maybe(text),
    tokens=maybe(having(input_text=count, input_image=count, output_text=count,
                        output_image=count)),
)  # fmt: skip
_SOUND = {"model": "whisper-1", "seconds": 2.0, "response_format": "verbose_json",
          "timestamp_granularities": ["segment", "word"]}  # fmt: skip
_ENGLISH = {"model": "whisper-1", "seconds": 2.0, "response_format": "verbose_json"}


def _time(seconds: object) -> bool:
    return isinstance(seconds, float) and 0 <= seconds <= 1e7


_said = having(
    text=lambda said: isinstance(said, str), languages=all_sound(text), seconds=maybe(_time),
    segments=all_sound(having(start=_time, end=_time, speaker=maybe(text))),
    words=all_sound(having(start=_time, end=_time)),
    used=maybe(lambda used: all(each >= 0 for each in used.values())),
)  # fmt: skip
_SPOKEN = {"model": "gpt-4o-mini-tts", "input": "Nine", "voice": "alloy",
           "response_format": "mp3", "stream_format": "sse"}  # fmt: skip
_PLAIN = _SPOKEN | {"model": "tts-1", "stream_format": "audio"}
_spoken = having(
    sound=lambda data: isinstance(data, bytes) and data != b"",
    used=maybe(having(input_tokens=count, audio_output_tokens=count)),
)
_file = having(id=text, bytes=count, purpose=text, filename=text, created_at=count,
               expires_at=maybe(count))  # fmt: skip
_TEXTS = {"model": "text-embedding-3-small", "input": ["a"], "encoding_format": "base64"}
OPENAI = Client(
    "openai",
    "OPENAI_BASE_URL",
    (
        Asked("moderations.create", lambda made: openai().moderate("omni-moderation-latest", "x"),
              having(flagged=flag, categories=all_sound(text), model=text)),
        Asked("chat.completions.create",
              lambda made: openai().complete("gpt-6-luna", _MESSAGES, 100, key(), tier="default"),
              having(text=lambda said: isinstance(said, str), refusal=maybe(text), model=text,
                  input_tokens=count, cached_tokens=count, cache_write_tokens=count,
                  output_tokens=count, tier=maybe(text)),
              is_repeatable=False),
        Asked("embeddings.create", lambda made: embedding.create(_TEXTS, key()),
              having(vectors=all_sound(text), model=text, tokens=count),
              is_repeatable=False),
        Asked("images.generate", lambda made: images.create(_DRAWN, [], None, key()), _drawn,
              is_repeatable=False),
        Asked("audio.transcriptions.create",
              lambda made: hearing.transcribe(_SOUND, wav(2.0), key()), _said,
              is_repeatable=False),
        Asked("audio.translations.create",
              lambda made: hearing.translate(_ENGLISH, wav(2.0), key()), _said,
              is_repeatable=False),
        Asked("audio.speech.create", lambda made: speeches.speak(_SPOKEN, key()), _spoken,
              is_repeatable=False),
        Asked("audio.speech.create of an older model",
              lambda made: speeches.speak(_PLAIN, key()), _spoken,
              is_repeatable=False),
        Asked("files.create",
              lambda made: files.create({"purpose": "user_data"}, "a.txt", b"x", key()), _file,
              is_repeatable=False),
        Asked("files.list", lambda made: list(files.listed("user_data", LONG_AGO)),
              all_sound(_file)),
        Asked("files.retrieve", lambda made: files.retrieve(made["files.create"]["id"]),
              maybe(_file)),
        Asked("files.delete", lambda made: files.delete(made["files.create"]["id"]), text),
        Asked("responses.create", lambda made: responses.create(_RESPONSE, key()), _response,
              is_repeatable=False),
        Asked("responses.retrieve",
              lambda made: responses.retrieve(made["responses.create"]["id"]), _response),
        Asked("responses.delete", lambda made: responses.delete(made["responses.create"]["id"]),
              flag),
        Asked("probe", lambda made: openai().probe(), nothing),
    ),
)  # fmt: skip
_prediction = having(id=text, status=text)
_release = having(model=text, version=text, hardware=text, number=count, min_instances=count,
                  max_instances=count)  # fmt: skip
REPLICATE = Client(
    "replicate",
    "REPLICATE_BASE_URL",
    (
        Asked("files.create",
              lambda made: replicate().upload(b"x", "a.png", "image/png", {"a": "b"}),
              having(id=text, url=text)),
        Asked("files.list", lambda made: replicate().files_with({"a": "b"}, LONG_AGO),
              all_sound(having(id=text, url=text))),
        Asked("predictions.create", lambda made: replicate().create_prediction(HELLO), _prediction,
              is_repeatable=False),
        Asked("predictions.get",
              lambda made: replicate().prediction(made["predictions.create"]["id"]),
              having(id=text, status=text, is_running=flag,
                  predict_seconds=maybe(lambda seconds: 0 <= seconds < 1e7))),
        Asked("predictions.list", lambda made: list(replicate().predictions(
                  LONG_AGO, LONG_AGO + YEAR)),
              all_sound(_prediction)),
        Asked("predictions.cancel",
              lambda made: replicate().cancel_prediction(made["predictions.create"]["id"]), flag),
        Asked("files.delete",
              lambda made: replicate().delete_file(made["files.create"]["id"]), flag),
        Asked("account.get", lambda made: replicate().account(), text),
        Asked("deployments.create", lambda made: replicate().create_deployment(DEPLOYMENT),
              _release, is_repeatable=False),
        Asked("deployments.get", lambda made: replicate().deployment(DEPLOYMENT["full_name"]),
              _release),
        Asked("deployments.update", lambda made: replicate().update_deployment(DEPLOYMENT),
              _release, is_repeatable=False),
        Asked("deployments.delete", lambda made: replicate().delete_deployment("acme/none"), flag),
        Asked("trainings.list", lambda made: list(replicate().trainings(
                  LONG_AGO, LONG_AGO + YEAR, lambda _: True)),
              all_sound(_prediction)),
        Asked("trainings.cancel", lambda made: replicate().cancel_training("none"), flag),
        Asked("probe", lambda made: replicate().probe(), nothing),
    ),
)  # fmt: skip
_deployment = having(id=text, url=maybe(text), status=text, error=maybe(text))
VERCEL = Client(
    "vercel",
    "VERCEL_BASE_URL",
    (
        Asked("files.upload", lambda made: vercel().upload(b"x"), nothing),
        Asked("deployments.create",
              lambda made: vercel().create_deployment(SITE | {"meta": {"reference": "r"}}),
              _deployment, is_repeatable=False),
        Asked("deployments.get",
              lambda made: vercel().deployment(made["deployments.create"]["id"]), _deployment),
        Asked("deployments.list", lambda made: list(vercel().deployments_with("r", LONG_AGO)),
              all_sound(_deployment)),
        Asked("deployments.delete",
              lambda made: vercel().delete_deployment(made["deployments.create"]["id"]), flag),
        Asked("probe", lambda made: vercel().probe(), nothing),
    ),
)  # fmt: skip
AGORA = Client(
    "agora",
    "AGORA_BASE_URL",
    (
        Asked("kicking_rules.create", lambda made: agora().close("channel", 10), maybe(count),
              says_no=("platform_refused",)),
        Asked("kicking_rules.list", lambda made: agora().is_closed("channel", 1.0), flag,
              says_no=("platform_refused",)),
        Asked("probe", lambda made: agora().probe(), nothing, says_no=("platform_refused",)),
    ),
)  # fmt: skip
N8N = Client(
    "n8n",
    "N8N_BASE_URL",
    (
        Asked("webhooks.trigger",
              lambda made: n8n().trigger("playalter", {"event": "e", "reference": "r"}, "msg-1"),
              having(execution=maybe(text))),
        Asked("executions.get", lambda made: n8n().execution_status("1"), maybe(text)),
        Asked("probe", lambda made: n8n().probe(), nothing),
    ),
)  # fmt: skip


def http_calls(url: str) -> Client:
    """The calls of `http.request` to an address."""
    asked = {"url": f"{url}/jobs", "method": "POST", "json": {"a": 1}, "effect": "person",
             "secrets": {"Authorization": "jobs"}}  # fmt: skip
    read = {"url": f"{url}/jobs", "method": "GET", "secrets": {"Authorization": "jobs"}}
    sound = having(status=count, headers=lambda headers: isinstance(headers, dict))
    return Client(
        "http",
        "",
        (
            Asked(
                "POST", lambda made: http_client.change(asked, key()), sound, is_repeatable=False
            ),
            Asked("GET", lambda made: http_client.read(read), sound),
        ),
    )


CLIENTS = (*STRIPE, OPENAI, REPLICATE, VERCEL, AGORA, N8N)
