"""The text of the imitated OpenAI: a caption that is derived from the brief.

Invariant: the same seed and prompt give the same caption; another brief gives another caption.
"""

from __future__ import annotations

import hashlib
import re

_STOP = {
    "a",
    "an",
    "and",
    "are",
    "as",
    "at",
    "be",
    "by",
    "for",
    "from",
    "has",
    "have",
    "in",
    "into",
    "is",
    "it",
    "its",
    "of",
    "on",
    "or",
    "our",
    "that",
    "the",
    "their",
    "this",
    "to",
    "was",
    "we",
    "with",
    "you",
    "your",
    "caption",
    "captions",
    "write",
    "please",
    "one",
    "two",
    "short",
    "sentence",
    "sentences",
    "brief",
    "campaign",
    "words",
    "under",
    "about",
    "line",
    "lines",
    "social",
    "media",
    "post",
    "page",
    "gallery",
}
_OPENERS = (
    "Same faces, new stories: {subject}.",
    "Tonight belongs to {subject}.",
    "Look twice: {subject}, as you have never seen it.",
    "Every picture a small surprise. Welcome to {subject}.",
    "Who would you be for a day? Find out with {subject}.",
    "A familiar smile turns up where nobody expected it: {subject}.",
    "Step into the frame. This is {subject}.",
)
_CLOSERS = (
    "Come for the {word}, stay for the faces.",
    "The {word} is only the beginning.",
    "Pick your favourite and pass it on.",
    "Made with a wink, shown with pride.",
    "See them all before the curtain falls.",
    "One look at the {word} and you will know why.",
)


def caption(seed: int, prompt: str) -> str:
    """Return a caption for the prompt's brief: two sentences and up to three tags."""
    brief = _brief(prompt)
    words = _words(brief)
    draw = hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()
    word = words[draw[2] % len(words)] if words else "moment"
    opener = _OPENERS[draw[0] % len(_OPENERS)].format(subject=_subject(brief))
    closer = _CLOSERS[draw[1] % len(_CLOSERS)].format(word=word.lower())
    tags = " ".join(f"#{each.capitalize()}" for each in dict.fromkeys(words[:3]))
    return f"{opener} {closer} {tags}".strip()


def _brief(prompt: str) -> str:
    """Return the part of the prompt after `brief:` or in quotes, else the whole prompt."""
    marked = re.search(r"\bbrief\b[^:\n]{0,30}:\s*(.+)", prompt, re.IGNORECASE | re.DOTALL)
    quoted = re.search(r"[\"“«](.{8,}?)[\"”»]", prompt, re.DOTALL)
    found = marked.group(1) if marked else quoted.group(1) if quoted else prompt
    return " ".join(found.split())


def _subject(brief: str) -> str:
    first = re.split(r"(?<=[.!?])\s|[;:]\s|\s[-–—]\s", brief.strip())[0].strip(" .!?\"'")
    words = first.split()
    short = " ".join(words[:14])
    if not short:
        return "something worth seeing"
    is_name = short.split()[0].isupper() or short[1:2].isupper()
    return short if is_name else short[0].lower() + short[1:]


def _words(brief: str) -> list[str]:
    found = re.findall(r"[^\W\d_]{4,}", brief)
    return [word for word in dict.fromkeys(found) if word.lower() not in _STOP]
