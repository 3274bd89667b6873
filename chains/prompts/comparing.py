"""A version of a prompt as lines of text, in which two versions are compared."""

import json
from typing import Any

from app.platform import Json


def lines_of(body: Json) -> list[str]:
    """The lines of a stored body: its messages under their roles, then its other fields as JSON."""
    lines: list[str] = []
    if "description" in body:
        lines += ["[description]", *body["description"].split("\n"), ""]
    for message in body["messages"]:
        lines += [f"[{message['role']}]", *message["content"].split("\n"), ""]
    for name in ("variables", "settings", "tests"):
        if body[name]:
            lines += [f"[{name}]", *_json(body[name]), ""]
    return lines[:-1]


def _json(value: Any) -> list[str]:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
