"""Speech, transcription and translation through openai.OpenAI."""

from __future__ import annotations

import base64
import io
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from openai.types.audio import TranscriptionDiarized, TranscriptionVerbose

from tests.sandbox.openai.media import wav
from tests.sandbox.running import Sandbox

TEXT = "Step right up! The fair opens at nine. Bring a friend."
SPEECH, NEWEST, PLAIN = "gpt-4o-mini-tts", "gpt-transcribe", "gpt-4o-mini-transcribe"
WHISPER, DIARIZE = "whisper-1", "gpt-4o-transcribe-diarize"


@pytest.fixture(autouse=True)
def today(sandbox: Sandbox) -> None:
    """All models of speech end on 2027-01-06."""
    sandbox.settings(openai__models_on="2026-12-01")


def speak(client: openai.OpenAI, kind: Any = "wav", **more: Any) -> bytes:
    asked: Any = {"model": SPEECH, "voice": "alloy", "input": TEXT, "response_format": kind}
    return client.audio.speech.create(**asked | more).read()


def hear(client: openai.OpenAI, data: bytes, model: str = WHISPER, **more: Any) -> Any:
    asked: Any = {"model": model, "file": ("a.wav", data)} | more
    return client.audio.transcriptions.create(**asked)


@pytest.mark.parametrize(
    ("kind", "content_type", "begin"),
    [
        ("mp3", "audio/mpeg", b"\xff\xf3"),
        ("opus", "audio/opus", b"OggS"),
        ("aac", "audio/aac", b"\xff\xf1"),
        ("flac", "audio/flac", b"fLaC"),
        ("wav", "audio/wav", b"RIFF"),
        ("pcm", "audio/pcm", b""),
    ],
)
def test_speech_has_the_format_that_was_asked_for(
    openai_client: openai.OpenAI, kind: str, content_type: str, begin: bytes
) -> None:
    asked: Any = {"model": SPEECH, "voice": "marin", "input": TEXT, "response_format": kind}
    answer = openai_client.audio.speech.with_raw_response.create(**asked)
    assert answer.headers["content-type"] == content_type
    assert answer.content.startswith(begin)


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "wav"])
def test_what_was_spoken_is_heard_again_and_is_as_long(
    sandbox: Sandbox, openai_client: openai.OpenAI, kind: str
) -> None:
    data = speak(openai_client, kind)
    found = hear(openai_client, data, response_format="verbose_json")
    assert isinstance(found, TranscriptionVerbose)
    assert found.text == TEXT
    assert found.duration == pytest.approx((len(TEXT) + 1) / 15, abs=0.06)
    counts = sandbox.books()
    assert (counts["speech"], counts["transcriptions"]) == (1, 1)


def test_wav_is_played_faster_and_pcm_is_its_samples(openai_client: openai.OpenAI) -> None:
    data, fast = speak(openai_client), speak(openai_client, speed=2.0)
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        samples = file.readframes(file.getnframes())
    assert speak(openai_client, "pcm") == samples
    assert len(fast) == pytest.approx(len(data) / 2, rel=0.01)
    assert np.abs(np.frombuffer(samples, "<i2")).max() > 4000
    assert speak(openai_client, voice="onyx") != data


def test_flac_has_the_samples_of_the_wav(openai_client: openai.OpenAI) -> None:
    data, samples = speak(openai_client, "flac"), speak(openai_client, "pcm")
    found, at = bytearray(), 42
    while at < len(data):
        count = int.from_bytes(data[at + 5 : at + 7]) + 1
        start = at + 9
        found += np.frombuffer(data[start : start + 2 * count], ">i2").astype("<i2").tobytes()
        at = start + 2 * count + 2
    assert bytes(found) == samples


def test_speech_is_streamed_as_events(openai_client: openai.OpenAI) -> None:
    asked: Any = {
        "model": SPEECH, "voice": "sage", "input": "Hello", "response_format": "wav",
        "stream_format": "sse",
    }  # fmt: skip
    with openai_client.audio.speech.with_streaming_response.create(**asked) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert '"speech.audio.done"' in lines[-1]
    assert '"usage"' in lines[-1]
    parts = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    data = b"".join(base64.b64decode(each["audio"]) for each in parts)
    assert data == speak(openai_client, voice="sage", input="Hello")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"input": "x" * 4097}, "maximum length 4096"),
        ({"input": " "}, "empty string"),
        ({"voice": "bass"}, "Supported values are: 'alloy'"),
        ({"model": "tts-1", "voice": "marin"}, "Invalid value: 'marin'"),
        ({"model": "tts-1", "instructions": "Slowly"}, "'instructions' is not supported"),
        ({"model": "tts-1", "stream_format": "sse"}, "does not support 'sse'"),
        ({"speed": 5.0}, "Expected a value <= 4"),
        ({"model": "gpt-6-luna"}, "does not support speech"),
        ({"response_format": "ogg"}, "Supported values are: 'mp3'"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    openai_client: openai.OpenAI, more: dict[str, Any], words: str
) -> None:
    asked: Any = {"model": SPEECH, "voice": "alloy", "input": TEXT} | more
    with pytest.raises(openai.BadRequestError, match=words):
        openai_client.audio.speech.create(**asked)


def test_sound_of_others_has_a_text_of_its_own(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    one, again, other = (hear(openai_client, wav(each)).text for each in (1, 1, 2))
    assert one == again != other
    sandbox.settings(openai__transcribed="Ladies and gentlemen")
    assert hear(openai_client, wav(1)).text == "Ladies and gentlemen"


def test_whisper_writes_subtitles_and_times(openai_client: openai.OpenAI) -> None:
    data = speak(openai_client)
    assert hear(openai_client, data, response_format="text") == f"{TEXT}\n"
    srt = hear(openai_client, data, response_format="srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:01,0")
    assert "\n3\n" in srt
    assert hear(openai_client, data, response_format="vtt").startswith("WEBVTT\n\n00:00:00.000 -->")
    found = hear(
        openai_client, data, response_format="verbose_json", language="de",
        timestamp_granularities=["word", "segment"],
    )  # fmt: skip
    assert found.language == "german"
    assert [each.text.strip() for each in found.segments] == [
        "Step right up!", "The fair opens at nine.", "Bring a friend.",
    ]  # fmt: skip
    assert [each.word for each in found.words] == TEXT.split()
    assert found.words[-1].end == pytest.approx(found.duration, abs=0.02)
    words_only = hear(
        openai_client, data, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert words_only.segments is None


def test_whisper_is_paid_by_seconds_and_the_others_by_tokens(openai_client: openai.OpenAI) -> None:
    data = wav(2.4)
    paid = hear(openai_client, data).usage
    assert (paid.type, paid.seconds) == ("duration", 3)
    tokens = hear(openai_client, data, PLAIN, prompt="A fair").usage
    assert tokens.type == "tokens"
    assert tokens.input_token_details.audio_tokens == 24
    assert tokens.total_tokens == tokens.input_tokens + tokens.output_tokens


def test_newest_model_tells_languages_and_takes_keywords(openai_client: openai.OpenAI) -> None:
    found = hear(openai_client, wav(1), NEWEST, languages=["fr", "de"], keywords=["Playalter"])
    assert [each.code for each in found.languages] == ["fr"]
    assert hear(openai_client, wav(1), PLAIN).languages is None


def test_diarized_sound_has_speakers(openai_client: openai.OpenAI) -> None:
    data = speak(openai_client)
    found = hear(openai_client, data, DIARIZE, response_format="diarized_json")
    assert isinstance(found, TranscriptionDiarized)
    assert [each.speaker for each in found.segments] == ["A", "B", "A"]
    sample = f"data:audio/wav;base64,{base64.b64encode(wav(3)).decode()}"
    named = hear(
        openai_client, data, DIARIZE, response_format="diarized_json", chunking_strategy="auto",
        known_speaker_names=["Ann", "Bob"], known_speaker_references=[sample, sample],
    )  # fmt: skip
    assert [each.speaker for each in named.segments] == ["Ann", "Bob", "Ann"]
    strategy = {"type": "server_vad", "threshold": 0.4}
    assert hear(openai_client, wav(31), DIARIZE, chunking_strategy=strategy).text


@pytest.mark.parametrize("model", [NEWEST, PLAIN])
def test_streamed_transcription_comes_word_by_word(
    openai_client: openai.OpenAI, model: str
) -> None:
    events = list(hear(openai_client, speak(openai_client), model, stream=True))
    assert "".join(each.delta for each in events[:-1]) == TEXT
    assert (events[-1].type, events[-1].text) == ("transcript.text.done", TEXT)
    assert events[-1].usage.output_tokens > 0


def test_streamed_diarized_transcription_has_segments(openai_client: openai.OpenAI) -> None:
    events = list(
        hear(openai_client, speak(openai_client), DIARIZE, stream=True,
             response_format="diarized_json")
    )  # fmt: skip
    kinds = [each.type for each in events]
    assert kinds.count("transcript.text.segment") == 3
    assert kinds[-1] == "transcript.text.done"


def test_logprobs_are_given_where_they_are_known(openai_client: openai.OpenAI) -> None:
    found = hear(openai_client, wav(1), PLAIN, include=["logprobs"])
    assert [each.token for each in found.logprobs] == found.text.split()


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        (PLAIN, {"response_format": "srt"}, "Use 'json' or 'text' instead"),
        (DIARIZE, {"response_format": "vtt"}, "Use 'json', 'text' or 'diarized_json' instead"),
        (WHISPER, {"response_format": "diarized_json"}, "not compatible with model 'whisper-1'"),
        (DIARIZE, {"file": ("a.wav", wav(31))}, "chunking_strategy is required"),
        (DIARIZE, {"prompt": "x"}, "'prompt' is not supported"),
        (DIARIZE, {"known_speaker_names": ["Ann"]}, "must have the same length"),
        (WHISPER, {"keywords": ["x"]}, "'keywords' is not supported"),
        (WHISPER, {"include": ["logprobs"]}, "'include' is not supported"),
        (WHISPER, {"timestamp_granularities": ["word"]}, "only supported with response_format"),
        (WHISPER, {"language": "english"}, "ISO-639-1"),
        (WHISPER, {"temperature": 2.0}, "Expected a value <= 1"),
        (WHISPER, {"file": ("a.txt", b"hello")}, "Invalid file format. Supported formats"),
        (WHISPER, {"file": ("a.mp3", b"hello")}, "might be corrupted or unsupported"),
        (WHISPER, {"file": ("a.wav", wav(0.05))}, "Audio file is too short"),
        ("gpt-6-luna", {}, "does not support transcription"),
    ],
)
def test_what_cannot_be_heard_is_refused_in_openais_words(
    openai_client: openai.OpenAI, model: str, more: dict[str, Any], words: str
) -> None:
    asked: Any = {"model": model, "file": ("a.wav", wav(1))} | more
    with pytest.raises(openai.BadRequestError, match=words):
        openai_client.audio.transcriptions.create(**asked)


def test_too_large_a_file_is_refused_with_413(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="Maximum content size limit") as refused:
        hear(openai_client, wav(1) + bytes(26_214_400))
    assert refused.value.status_code == 413


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # The SDK's own, of the call.
def test_translation_is_english(openai_client: openai.OpenAI, tmp_path: Path) -> None:
    data = speak(openai_client)
    place = tmp_path / "talk.wav"
    place.write_bytes(data)
    with place.open("rb") as file:
        assert openai_client.audio.translations.create(model=WHISPER, file=file).text == TEXT
    given: Any = {"model": WHISPER, "file": ("a.wav", data)}
    verbose: Any = openai_client.audio.translations.create(**given, response_format="verbose_json")
    assert (verbose.language, len(verbose.segments)) == ("english", 3)
    assert "-->" in str(openai_client.audio.translations.create(**given, response_format="srt"))
    with pytest.raises(openai.BadRequestError, match="Supported values are: 'whisper-1'"):
        openai_client.audio.translations.create(**given | {"model": PLAIN})
