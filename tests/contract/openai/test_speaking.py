"""What only `openai.speak` does: speeches that are kept, and what they cost."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from app import db
from app.errors import Permanent, Unknown
from app.platform import Found, Json
from tasks.openai.audio.lengths import format_of
from tasks.openai.audio.speaking import SpeakInput
from tests.contract.cases import Claim
from tests.contract.openai.cases import SPOKEN, speak
from tests.contract.openai.test_responses import spent
from tests.contract.reuse.asking import ended, reuses
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "wav", "aac", "pcm"])
def test_a_speech_is_kept_in_its_format_and_paid_by_its_tokens(step: Claim, kind: str) -> None:
    asked = step("openai.speak", SPOKEN | {"format": kind, "instructions": "Slowly"})
    made = asked.run()
    data = asked.call().artifacts.read(made["speech"]["id"]).data
    known = {"opus": "ogg", "aac": None, "pcm": None}
    assert format_of(data) == known.get(kind, kind)
    assert (made["speech"]["size"], made["speech"]["width"]) == (len(data), None)
    tokens = made["tokens"]
    assert asked.cost == spent(asked) == -(-(tokens["input"] * 6 + tokens["output"] * 120) // 10)
    assert 0 < asked.cost <= asked.ceiling
    (intent,) = asked.intents
    assert len(json.dumps(intent.response)) < 1_000
    assert asked.run() == made


def test_an_older_model_is_paid_by_the_character(step: Claim) -> None:
    asked = step("openai.speak", SPOKEN | {"model": "tts-1", "speed": 2.0})
    made = asked.run()
    assert made["tokens"] is None
    assert asked.cost == asked.ceiling == len(SPOKEN["text"]) * 15


def test_a_speech_can_be_heard_again(step: Claim, vendors: Vendors) -> None:
    made = step("openai.speak", SPOKEN | {"format": "wav"}).run()
    heard = step("openai.transcribe", {"audio": made["speech"]["id"]}).run()
    assert heard["text"] == SPOKEN["text"]
    assert [vendors.count(each) for each in ("speech", "transcriptions")] == [1, 1]


def test_what_was_kept_before_its_record_was_lost_is_found_and_not_paid_again(
    step: Claim, vendors: Vendors
) -> None:
    asked = speak(step)
    made, paid = asked.run(), spent(asked)
    lose = "UPDATE intents SET resolution = NULL, response = NULL RETURNING 1"
    db.rows(lose, ())
    with pytest.raises(Unknown):
        asked.run()
    answer = asked.look_up()
    assert isinstance(answer, Found)
    asked.adopt(answer)
    assert asked.run()["speech"]["id"] == made["speech"]["id"]
    assert (spent(asked), vendors.count("speech")) == (paid, 1)


def test_what_a_model_cannot_do_is_refused_with_its_words(step: Claim, vendors: Vendors) -> None:
    with pytest.raises(Permanent, match="instructions"):
        step("openai.speak", SPOKEN | {"model": "tts-1", "instructions": "Slowly"}).run()
    with pytest.raises(Permanent, match="voice_1"):
        step("openai.speak", SPOKEN | {"voice": "voice_1"}).run()
    assert vendors.count("speech") == 0


def test_an_equal_speech_is_copied(kernel: Kernel, vendors: Vendors) -> None:
    node: Any = {"step": "say", "action": "openai.speak", "with": {**SPOKEN, "cache": True}}
    first, second = ended(kernel, node), ended(kernel, node)
    assert len(reuses(kernel, second)) == 1
    mine, theirs = (kernel.step(each, "say")["output"]["speech"] for each in (first, second))
    assert mine["id"] != theirs["id"]
    assert mine["sha256"] == theirs["sha256"]
    assert vendors.count("speech") == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"text": " \n"}, "text"),
        ({"text": "a" * 4097}, "at most 4096"),
        ({"voice": "a voice"}, "voice"),
        ({"speed": 5.0}, "less than or equal to 4"),
        ({"format": "ogg"}, "format"),
    ],
)
def test_an_input_that_cannot_be_sent_is_refused(wrong: Json, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SpeakInput(**SPOKEN | wrong)
