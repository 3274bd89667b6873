"""What only `openai.transcribe` and `openai.translate` do: what is said, and what it costs."""

import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import Permanent, Retryable
from app.platform import Json
from app.settings import Settings
from tasks.openai.audio.inputs import TranscribeInput
from tests.contract.cases import Claim
from tests.contract.openai.sounds import sound
from tests.contract.openai.test_responses import spent
from tests.contract.stage import Step
from tests.contract.vendors import Vendors
from tests.sandbox.openai.media import wav

TEXT = "The fair opens at nine. Bring a friend."
SOUND: Json = {"audio": "a"}


@pytest.fixture
def heard(step: Claim, vendors: Vendors) -> Any:
    """Make a step that hears a sound of two seconds in which the text is said."""
    vendors.change(openai__transcribed=TEXT)

    def heard(action: str = "openai.transcribe", seconds: float = 2.0, **more: Any) -> Step:
        asked = step(action, {})
        asked.given = {"audio": sound(asked, seconds=seconds), "max_minutes": 1, **more}
        return asked

    return heard


def test_a_text_is_written_down_and_paid_by_its_length(heard: Any, vendors: Vendors) -> None:
    asked = heard(seconds=30.0, languages=["en", "de"], keywords=["fair"], prompt="A fair")
    made = asked.run()
    assert (made["text"], made["languages"], made["segments"]) == (TEXT, ["en"], [])
    assert made["model"] == "gpt-transcribe"
    assert asked.cost == spent(asked) == 31 * 75
    assert asked.cost <= asked.ceiling
    assert vendors.count("transcriptions") == 1
    assert asked.run() == made
    assert spent(asked) == asked.cost


def test_times_of_segments_and_words_are_told(heard: Any) -> None:
    segments = heard(want="segments", languages=["en"]).run()
    texts = [each["text"] for each in segments["segments"]]
    assert texts == ["The fair opens at nine.", "Bring a friend."]
    assert (segments["words"], segments["languages"]) == ([], ["english"])
    assert segments["segments"][0]["end"] == segments["segments"][1]["start"]
    asked = heard(want="words")
    words = asked.run()
    assert [each["word"] for each in words["words"]] == TEXT.split()
    assert (words["model"], words["seconds"]) == ("whisper-1", 2.0)
    assert asked.cost == 200


def test_speakers_are_told_apart(heard: Any) -> None:
    asked = heard(want="speakers", seconds=40.0)
    made = asked.run()
    assert [each["speaker"] for each in made["segments"]] == ["A", "B"]
    assert made["model"] == "gpt-4o-transcribe-diarize"
    assert 0 < asked.cost == spent(asked) <= asked.ceiling


def test_tokens_of_sound_and_of_text_have_prices_of_their_own(heard: Any) -> None:
    asked = heard(model="gpt-4o-transcribe", prompt="A" * 400)
    asked.run()
    # 20 tokens of sound, 100 of the prompt and a quarter of the letters of the text.
    assert asked.cost == round(20 * 6 + 100 * 2.5 + len(TEXT) // 4 * 10)


def test_a_translation_is_in_english_and_paid_by_its_length(heard: Any, vendors: Vendors) -> None:
    asked = heard("openai.translate", prompt="A fair")
    made = asked.run()
    assert (made["text"], made["languages"]) == (TEXT, ["english"])
    assert len(made["segments"]) == 2
    assert (asked.cost, made["seconds"]) == (200, 2.0)
    assert vendors.count("translations") == 1


def test_what_may_last_longer_is_not_sent(heard: Any, vendors: Vendors) -> None:
    with pytest.raises(Permanent, match=r"may last 1\.2 minutes") as caught:
        heard(seconds=70.0).run()
    assert caught.value.code == "audio_too_long"
    assert heard(seconds=70.0, max_minutes=2).run()["text"] == TEXT
    assert vendors.count("transcriptions") == 1


class _Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/gone.wav": 404, "/busy.wav": 503}.get(self.path, 200))
        self.end_headers()
        self.wfile.write(wav(2.0))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(configure: Callable[..., Settings], step: Claim) -> Iterator[str]:
    """The address of a server with a sound, which may be asked although it is not public."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        place = f"127.0.0.1:{server.server_port}"
        configure(OUTBOUND_ALLOWED=place, DATABASE_URL=os.environ["DATABASE_URL"])
        try:
            yield f"http://{place}"
        finally:
            server.shutdown()
            thread.join()


def test_a_sound_of_the_web_is_fetched_and_heard(heard: Any, web: str, vendors: Vendors) -> None:
    asked = heard()
    asked.given = {"url": f"{web}/fair.wav"}
    made = asked.run()
    assert made["text"] == TEXT
    asked.given = {"url": f"{web}/gone.wav"}
    assert asked.run() == made
    for name, outcome in (("gone", Permanent), ("busy", Retryable)):
        failed = heard()
        failed.given = {"url": f"{web}/{name}.wav"}
        with pytest.raises(outcome, match="the host of the `url` answered") as caught:
            failed.run()
        assert caught.value.code == "audio_not_served"
    assert vendors.count("transcriptions") == 1


def test_an_address_that_is_not_public_is_not_asked(heard: Any) -> None:
    asked = heard()
    asked.given = {"url": "http://127.0.0.1:1/a.wav"}
    with pytest.raises(Permanent) as caught:
        asked.run()
    assert caught.value.code == "destination_refused"


def test_what_is_no_sound_is_not_sent(heard: Any, vendors: Vendors) -> None:
    for data in (b"%PDF-1.7", b"RIFF1234WAVE" + bytes(26 * 2**20)):
        asked = heard()
        asked.given = {"audio": sound(asked, data)}
        with pytest.raises(Permanent, match="FLAC") as caught:
            asked.run()
        assert caught.value.code == "no_audio"
    assert vendors.count("transcriptions") == 0


def test_what_a_model_cannot_do_is_refused_with_its_words(heard: Any, vendors: Vendors) -> None:
    with pytest.raises(Permanent, match="not compatible with model"):
        heard(want="segments", model="gpt-transcribe").run()
    assert vendors.count("transcriptions") == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"want": "speakers", "prompt": "a"}, "takes no `prompt`"),
        ({"want": "words", "keywords": ["a"]}, "`keywords` belong"),
        ({"want": "segments", "languages": ["en", "de"]}, "one language at most"),
        ({"languages": ["English"]}, "languages"),
        ({"url": "https://a.example/b.mp3"}, "either an artifact"),
        ({"max_minutes": 0}, "greater than or equal to 1"),
    ],
)
def test_an_input_that_cannot_be_sent_is_refused(wrong: Json, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TranscribeInput(**SOUND | wrong)
