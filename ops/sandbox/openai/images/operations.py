"""The endpoints for pictures. https://platform.openai.com/docs/api-reference/images"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Sequence

from werkzeug.wrappers import Response

from ops.sandbox import clock
from ops.sandbox.box import token62
from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk, tokens_of
from ops.sandbox.openai.images import drawing
from ops.sandbox.openai.images.asked import Asked, asked_for, blocked, image_model
from ops.sandbox.openai.images.sent import Sent, sent_pictures
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply

_PATCH, _MOST_PATCHES = 32, 1536
Commit = Callable[[], Response]


class Images:
    """The endpoints for pictures."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("POST", "/v1/images/generations", "images.generate", lambda c: self.prepare(c)()),
            ("POST", "/v1/images/edits", "images.edit", self._edit),
            ("POST", "/v1/images/variations", "images.create_variation", self._vary),
        ]

    def prepare(self, call: Call) -> Commit:
        """Draw what a call asks for, and return what records and answers it.

        Drawing takes long, and belongs outside of a transaction.
        """
        given = self._desk.given(call)
        asked = asked_for(self._desk, given)
        return self._answered(call, given, asked, Sent())

    def _edit(self, call: Call) -> Response:
        given = self._desk.form(call)
        sent = sent_pictures(image_model(self._desk, given), given)
        asked = asked_for(self._desk, given, sent.natural)
        return self._answered(call, given, asked, sent)()

    def _vary(self, call: Call) -> Response:
        words = "The image variations endpoint has been retired. Use the image edits endpoint."
        raise wire.error(400, words, None, "endpoint_retired")

    def _answered(self, call: Call, given: Json, asked: Asked, sent: Sent) -> Commit:
        text = tokens_of(asked.prompt)
        seen = sum(_patches(*each.size) for each in sent.pictures)
        self._desk.admit(call, asked.model, text + seen)
        if refused := blocked(call, given):
            raise refused
        pictures = [self._picture(asked, number, sent) for number in range(asked.number)]
        usage: Json = {
            "input_tokens": text + seen,
            "input_tokens_details": {"image_tokens": seen, "text_tokens": text},
            "output_tokens": asked.tokens,
            "total_tokens": text + seen + asked.tokens,
        }
        created = int(clock.now(self._desk.store))
        answer = (
            _streamed(asked, pictures[0], usage, created, sent)
            if asked.is_streamed
            else reply(_answer(asked, pictures, usage, created))
        )
        details = {"model": asked.model, "prompt": asked.prompt[:2000], "n": asked.number}

        def commit() -> Response:
            self._desk.note(call, "images", f"img_{token62(24)}", details)
            return answer

        return commit

    def _picture(self, asked: Asked, number: int, sent: Sent) -> drawing.Picture:
        seed = self._desk.box.seed
        if not sent.pictures:
            return drawing.drawn(seed, asked, number)
        return drawing.edited(seed, asked, number, sent.pictures, sent.mask)


def _answer(asked: Asked, pictures: Sequence[drawing.Picture], usage: Json, created: int) -> Json:
    data = [{"b64_json": _text(drawing.encoded(each, asked))} for each in pictures]
    details = {"image_tokens": asked.tokens, "text_tokens": 0}
    return {
        "created": created,
        "data": data,
        "usage": usage | {"output_tokens_details": details},
    } | asked.shown()


def _streamed(
    asked: Asked, picture: drawing.Picture, usage: Json, created: int, sent: Sent
) -> Response:
    kind = "image_edit" if sent.pictures else "image_generation"
    head = {"created_at": created} | asked.shown()
    identifier = head.pop("safety_identifier", None)

    def events() -> Iterator[str]:
        for index in range(asked.partials):
            part = drawing.partial(picture, asked.partials - index)
            more = {"partial_image_index": index, "b64_json": _text(drawing.encoded(part, asked))}
            yield _event(f"{kind}.partial_image", head | more)
        last = {"b64_json": _text(drawing.encoded(picture, asked)), "usage": usage}
        named = {"safety_identifier": identifier} if identifier else {}
        yield _event(f"{kind}.completed", head | last | named)

    return Response(events(), content_type="text/event-stream; charset=utf-8")


def _event(kind: str, body: Json) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | body)}\n\n"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _patches(width: int, height: int) -> int:
    """Return the tokens of a picture that is looked at."""
    return min(_MOST_PATCHES, math.ceil(width / _PATCH) * math.ceil(height / _PATCH))
