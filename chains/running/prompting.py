"""Puts the messages of prompts into the input of a step, where its definition names a prompt.

Which version a workflow uses was decided when it started (see prompt_of_workflow_v1), so every
attempt of the step, and every fork, renders the same one. An action whose input has no field for a
prompt costs nothing here.
"""

from collections.abc import Mapping
from typing import Any

import tasks
from app.errors import InvalidInput, Permanent
from app.platform import Json
from app.prompts import prompt_fields
from app.protocol.claims import Claim
from chains.prompts.rendering import render
from chains.running.reading import records


def with_prompts(claim: Claim, action: str, template: Any, given: Any) -> Any:
    """The rendered input of an action, with messages where `template` names a prompt.

    Raise Permanent if the prompt, or the version that the workflow uses, was deleted, or if a value
    of a variable is wrong.
    """
    known = tasks.actions().get(action)
    fields = () if known is None else prompt_fields(known.input)
    if not fields or not isinstance(given, dict):
        return given
    assert known is not None
    settings: Json = {}
    for field in fields:
        if given.get(field) is not None:
            body, prompt = _prompt(claim, _written(template, field), given[field])
            given = given | {field: prompt}
            settings |= body["settings"]
    defaults = {name: value for name, value in settings.items() if given.get(name) is None}
    return given | defaults


def _written(template: Any, field: str) -> Mapping[str, Any]:
    """What the definition itself says about the prompt: its name, and its label or version.

    An input that comes from elsewhere names no prompt: it could be one of another project.
    """
    written = template.get(field) if isinstance(template, Mapping) else None
    if isinstance(written, Mapping) and isinstance(written.get("name"), str):
        return written
    raise Permanent(
        f"the input names a prompt in {field!r}, and only the definition itself can name one",
        code="prompt_not_named",
    )


def _prompt(claim: Claim, written: Mapping[str, Any], rendered: Json) -> tuple[Json, Json]:
    """The body of the version, and the prompt as the action takes it (see app/prompts.py)."""
    name, label = written["name"], written.get("label")
    found = records().prompt(claim.workflow_id, name, label, written.get("version"))
    if not found["is_known"]:
        raise Permanent(f"the prompt {name!r} was deleted", code="prompt_missing")
    version, body = found["version"], found["body"]
    if version is None:
        words = f"the label {label!r} of the prompt {name!r} pointed to no version"
        raise Permanent(f"{words} when the workflow started", code="prompt_missing")
    if body is None:
        words = f"version {version} of the prompt {name!r}, which this workflow uses, was deleted"
        raise Permanent(words, code="prompt_missing")
    try:
        messages = render(body, rendered.get("variables") or {})
    except InvalidInput as err:
        raise Permanent(f"prompt {name!r} version {version}: {err.message}", code=err.code) from err
    made = {"name": name, "version": version, "hash": found["checksum"], "messages": messages}
    return body, made if label is None else made | {"label": label}
