"""The moderation of the imitated OpenAI: a list of words decides what is flagged."""

from __future__ import annotations

import hashlib
import re
from typing import Any

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
