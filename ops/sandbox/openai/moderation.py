"""The moderations of the imitated OpenAI: a list of words decides what is flagged.

In a picture these are the words in its file (`images/words.py`).
https://platform.openai.com/docs/api-reference/moderations
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.images.words import words_in
from ops.sandbox.openai.models.catalogue import named_model
from ops.sandbox.openai.prompts import plain
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply

Commit = Callable[[], Response]
# A category is flagged if the text contains one of its words.
CATEGORIES: dict[str, str] = {
    "harassment": r"worthless scum|pathetic loser",
    "harassment/threatening": r"i will hurt you|i will find you",
    "hate": r"racial slur|hate speech|inferior race",
    "hate/threatening": r"exterminate them all",
    "illicit": r"cocaine|counterfeit money|stolen passports?",
    "illicit/violent": r"build a bomb|pipe bomb",
    "self-harm": r"suicid\w+|self-harm",
    "self-harm/intent": r"i want to die",
    "self-harm/instructions": r"how to end my life",
    "sexual": r"porn\w*|sex scene|explicit nud\w+",
    "sexual/minors": r"(nude|naked) (minors?|child(ren)?|teens?)",
    "violence": r"kill(s|ed|ing)?|murder(s|ed|ing)?|massacre\w*|behead\w*",
    "violence/graphic": r"dismember\w*|blood-soaked corpses?",
}
_TESTS = {name: re.compile(rf"\b({words})\b", re.IGNORECASE) for name, words in CATEGORIES.items()}
_SEEN = (
    "self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "violence",
    "violence/graphic",
)  # fmt: skip
"""The categories that pictures can have."""
_DEFAULT = "omni-moderation-latest"


class Moderations:
    """The endpoint for moderations, which are free of charge."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoint."""
        return [("POST", "/v1/moderations", "moderations.create", lambda c: self.prepare(c)())]

    def prepare(self, call: Call) -> Commit:
        """Judge what a call has, and return what records and answers it.

        A picture may have to be fetched, which belongs outside of a transaction.
        """
        body = self._desk.given(call)
        given, model = body["input"], named_model(self._desk.box, body, _DEFAULT)
        if "moderation" not in model:
            words = f"Invalid value for 'model' = {model}. Please use a moderation model."
            raise wire.error(400, words, "model")
        if given == []:
            wire.empty_list("input")
        self._desk.admit(call, model, is_billed=False)
        results = _results(given, can_see=model.startswith("omni-"))
        moderation_id = f"modr-{token62(24).lower()}"
        flagged = any(result["flagged"] for result in results)
        details = {"flagged": flagged, "prompt": json.dumps(given)[:2000]}
        answer = reply({"id": moderation_id, "model": model, "results": results})

        def commit() -> Response:
            self._desk.note(call, "moderations", moderation_id, details)
            return answer

        return commit


def _results(given: Any, *, can_see: bool) -> list[Json]:
    """Return a result for each text, or one for all parts that belong together."""
    if isinstance(given, str):
        return [judged(given)]
    if not isinstance(given[0], dict):
        return [judged(each) for each in given]
    addresses = [
        (f"input[{index}].image_url.url", each["image_url"]["url"])
        for index, each in enumerate(given)
        if each["type"] == "image_url"
    ]
    if addresses and not can_see:
        raise wire.error(400, "This model does not support image inputs.", "input")
    seen = [words_in(address, param) for param, address in addresses]
    texts = [each for each in given if each["type"] == "text"]
    return [judged(plain(given) if texts else None, " ".join(seen) if seen else None)]


def judged(text: str | None, seen: str | None = None) -> Json:
    """Return the result of a moderation of a text and of the words in a picture, as OpenAI answers
    it; None if there is no text or no picture."""
    hits, types = {}, {}
    for name, test in _TESTS.items():
        read = {"text": text, "image": seen if name in _SEEN else None}
        types[name] = [kind for kind, words in read.items() if words is not None]
        hits[name] = any(words is not None and bool(test.search(words)) for words in read.values())
    hits["sexual"] |= hits["sexual/minors"]
    noise = hashlib.sha256(f"{text}{seen or ''}".encode()).digest()
    scores = {
        name: 0.0 if not types[name] else (0.9 + noise[i] / 2560) if hit else noise[i] / 2.56e6
        for i, (name, hit) in enumerate(hits.items())
    }
    return {
        "flagged": any(hits.values()),
        "categories": hits,
        "category_scores": scores,
        "category_applied_input_types": types,
    }
