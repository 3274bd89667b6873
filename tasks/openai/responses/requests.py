"""The request that is made of a step's input.

Invariant: the request that is recorded is the body that is sent, but for the route of the step and
for pictures of ours. Pictures stand in it by their ids, and their content is put there when it is
sent.
"""

from collections.abc import Mapping

from app.engine.call import Call
from app.payload import text_of
from app.platform import Json
from app.protocol.intents import idempotency_key
from tasks.openai.pictures import Reader, data_urls, most_tokens
from tasks.openai.responses.inputs import Image, RespondInput, is_background, model_of, tier_of
from tasks.routing import made

_PICTURE = "artifact"
"""The field of a recorded request that has the id of a picture of ours."""
CALL = "call"
"""The mark of a response that says which call has asked for it: its idempotency key."""
SHOWN = "shown"
"""The field of a recorded request for a judgement that names the response whose text is judged, and
says how many bytes the judge reads. It is never sent; what is judged is put in its place."""
_SCHEMA_NAME = "answer"
"""The name under which OpenAI is given the schema of an answer."""


def body_of(given: RespondInput) -> Json:
    """What decides the answer: the body of the request, without its marks."""
    parts: list[Json] = [{"type": "input_text", "text": given.input}]
    parts += [_part(each) for each in given.images]
    body: Json = {
        "model": model_of(given),
        "input": [{"role": "user", "content": parts}],
        "max_output_tokens": given.max_output_tokens,
        "service_tier": tier_of(given),
    }
    if given.instructions is not None:
        body["instructions"] = given.instructions
    if given.reasoning_effort is not None:
        body["reasoning"] = {"effort": given.reasoning_effort}
    text: Json = {} if given.verbosity is None else {"verbosity": given.verbosity}
    if given.answer_schema is not None:
        form = {"name": _SCHEMA_NAME, "schema": given.answer_schema, "strict": True}
        text["format"] = {"type": "json_schema", **form}
    return body | ({"text": text} if text else {})


def request_of(call: Call, given: RespondInput) -> Json:
    """The whole request of the next call, with the marks by which its response is known.

    It is always stored, explicitly: OpenAI otherwise forgets a response in the background after ten
    minutes in some projects. https://developers.openai.com/api/docs/guides/background
    """
    marks = {
        "reference": call.reference,
        "generation": str(call.generation),
        CALL: idempotency_key(call.workflow_id, call.step_key, call.ordinal, call.generation),
    }
    return body_of(given) | {
        "metadata": marks,
        "store": True,
        "background": is_background(given),
    }


def pictures_of(call: Reader, request: Json) -> dict[str, str]:
    """The pictures of ours that a request names, by their ids. Raises Permanent if one cannot be
    sent, and Unavailable if one cannot be read now."""
    parts = [part for each in request["input"] for part in each["content"]]
    return data_urls(call, [part[_PICTURE] for part in parts if _PICTURE in part])


def sent(request: Json, pictures: Mapping[str, str]) -> Json:
    """The request with the content of its pictures, and without our own field about its route."""

    def shown(message: Json) -> Json:
        return {**message, "content": [_sent(part, pictures) for part in message["content"]]}

    body = {name: each for name, each in request.items() if name != made.FIELD}
    return {**body, "input": [shown(each) for each in request["input"]]}


def _sent(part: Json, pictures: Mapping[str, str]) -> Json:
    if _PICTURE not in part:
        return part
    shown = {name: value for name, value in part.items() if name != _PICTURE}
    return shown | {"image_url": pictures[part[_PICTURE]]}


def _part(image: Image) -> Json:
    source: Json = {_PICTURE: image.artifact} if image.artifact else {"image_url": image.url}
    detail = "high" if image.detail == "auto" else image.detail
    return {"type": "input_image", **source, "detail": detail}


def most_read(body: Json) -> int:
    """More than the tokens that a model reads for a request: a token of text has at least one byte,
    and the model adds a few to each message."""
    texts = "".join(texts_of(body)).encode("utf-8", "surrogatepass")
    return len(texts) + image_tokens(body) + 200


def bytes_shown(request: Json) -> int:
    """How many bytes of what is judged a recorded request has beside its own texts."""
    return int(request.get(SHOWN, {}).get("bytes", 0))


def texts_of(body: Json) -> list[str]:
    """All that a model reads of a request, without its pictures."""
    form = body.get("text", {}).get("format", {}).get("schema")
    said = [part.get("text", "") for each in body["input"] for part in each["content"]]
    return [body.get("instructions", ""), "" if form is None else text_of(form), *said]


def image_tokens(body: Json) -> int:
    """At least the tokens that a model reads for the pictures of a request."""
    parts = [part for each in body["input"] for part in each["content"]]
    details = [part.get("detail", "auto") for part in parts if part["type"] == "input_image"]
    return sum(most_tokens(body["model"], each) for each in details)
