"""What a model of the imitated OpenAI reads of a request."""

from __future__ import annotations

from typing import Any


def plain(content: Any) -> str:
    """Return the text of a message's content: a text, or the texts of its parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [str(part.get("text", "")) for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if text)


def prompt(messages: list[Any]) -> str:
    """Return the text of the last message of the user, or else of the last message."""
    users = [each for each in messages if isinstance(each, dict) and each.get("role") == "user"]
    if not users:
        return plain(messages[-1].get("content") if isinstance(messages[-1], dict) else "")
    return plain(users[-1].get("content"))
