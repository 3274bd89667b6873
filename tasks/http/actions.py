"""Call an HTTP address. The author of the definition says what a second call would do.

Invariant: the value of a secret is in no input, request or response that is stored. A recorded
request has the secret's name, and the value is read when the request is sent.
"""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import Field

from app.engine.call import Call
from app.platform import (
    ActionOutput,
    CannotTell,
    Contract,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    action,
)
from tasks.http import client
from tasks.http.inputs import RequestInput

REFERENCE = "{playalter.reference}"
"""Stands for a text that names the step, and each retry of it by hand anew."""
_EFFECTS = {
    "read": Effect.NONE,
    "repeatable": Effect.REPEATABLE,
    "idempotent": Effect.IDEMPOTENT,
    "lookup": Effect.LOOKUP,
    "person": Effect.PERSON,
}
_DEEPEST = 100


def _contract(request: Json) -> Contract:
    """What the author has declared, in a step's input or in a recorded request."""
    key = request.get("key")
    return Contract(
        _EFFECTS[request.get("effect") or "read"],
        None if key is None else timedelta(hours=float(key.get("hours", 24.0))),
        bool(request.get("lookup")),
    )


@action("http.request", input=RequestInput, effect=Effect.LOOKUP, contract_of=_contract)
def request(call: Call, given: RequestInput) -> Json:
    """Send the request, and return its answer. The input's `effect` says what a second request
    would do.

    `json` is null if the answer is not JSON, and `text` is null if it is. What the request costs is
    in no budget.
    """
    wanted = given.model_dump(mode="json", by_alias=True, exclude_unset=True)
    wanted = _with_reference({**wanted, "method": given.method}, call)
    if given.is_read:
        return client.read(wanted)
    return call.once("request", wanted, client.change, is_last=True)


class Answer(ActionOutput):
    """The answer: `json` is null if it is not JSON, and `text` is null if it is."""

    status: int
    headers: dict[str, str]
    json_body: Any = Field(alias="json")
    text: str | None


request.describe(
    output=Answer,
    example={"url": "https://api.example.com/orders", "query": {"state": "open"}},
)


@request.looked_up
def find(call: Call, intent: Intent) -> LookupAnswer:
    """Send the lookup request of the step."""
    asked = intent.request["lookup"]
    left = float(asked.get("lag", 0.0)) - call.age_seconds(intent)
    if left > 0:
        return CannotTell(left, "the server may not show a new effect yet")
    answer = client.look(asked)
    if answer["status"] in asked.get("never", (404, 410)):
        return Never()
    if answer["status"] not in asked.get("found", (200,)):
        return CannotTell(client.PAUSE_SECONDS, f"the lookup was answered {answer['status']}")
    if "at" not in asked:
        return Found(answer)
    return _found_at(asked["at"], answer)


def _found_at(path: str, answer: Json) -> LookupAnswer:
    value: Any = answer["json"]
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return CannotTell(client.PAUSE_SECONDS, f"the lookup's answer has no {path}")
        value = value[name]
    if value is None or value == [] or value == {}:
        return Never()
    return Found({**answer, "json": value[0] if isinstance(value, list) else value})


def _with_reference(wanted: Json, call: Call) -> Json:
    reference = f"{call.reference}#{call.generation}" if call.generation else call.reference
    filled: Json = _filled(wanted, reference, 0)
    filled["url"] = wanted["url"].replace(REFERENCE, quote(reference, safe=""))
    if "lookup" in wanted:
        url = wanted["lookup"]["url"].replace(REFERENCE, quote(reference, safe=""))
        filled["lookup"]["url"] = url
    return filled


def _filled(value: Any, reference: str, depth: int) -> Any:
    if isinstance(value, str):
        return value.replace(REFERENCE, reference)
    if depth > _DEEPEST:
        return value
    if isinstance(value, dict):
        return {key: _filled(each, reference, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, reference, depth + 1) for each in value]
    return value
