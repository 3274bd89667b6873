"""The moderations of the imitated OpenAI: a list of words decides what is flagged."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.prompts import plain
from ops.sandbox.wire import Call, Route, reply

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


class Moderations:
    """The endpoint for moderations, which are free of charge."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoint."""
        return [("POST", "/v1/moderations", "moderations.create", self._create)]

    def _create(self, call: Call) -> Response:
        body = self._desk.given(call)
        given = body.get("input")
        if given is None or given == []:
            raise wire.missing("input")
        model = body.get("model", "omni-moderation-latest")
        self._desk.admit(call, model, is_billed=False)
        inputs = [given] if isinstance(given, str) or _is_parts(given) else given
        results = [judged(plain([each] if isinstance(each, dict) else each)) for each in inputs]
        moderation_id = f"modr-{token62(24).lower()}"
        flagged = any(result["flagged"] for result in results)
        details = {"flagged": flagged, "prompt": json.dumps(given)[:2000]}
        self._desk.note(call, "moderations", moderation_id, details)
        return reply({"id": moderation_id, "model": model, "results": results})


def _is_parts(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and isinstance(given[0], dict)


def judged(text: str) -> dict[str, Any]:
    """The result of a moderation of a text, as OpenAI answers it."""
    hits = {name: bool(test.search(text)) for name, test in _TESTS.items()}
    hits["sexual"] |= hits["sexual/minors"]
    noise = hashlib.sha256(text.encode()).digest()
    scores = {
        name: (0.9 + noise[i] / 2560) if hit else noise[i] / 2.56e6
        for i, (name, hit) in enumerate(hits.items())
    }
    return {
        "flagged": any(hits.values()),
        "categories": hits,
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] for name in hits},
    }
