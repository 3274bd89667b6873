"""The calls about responses.

https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import Callable

from app.errors import Permanent
from app.platform import Json
from tasks.openai import limits
from tasks.openai.client import api
from tasks.openai.responses import answers
from tasks.openai.responses.requests import image_tokens, texts_of

CREATE = "responses.create"


def create(request: Json, key: str) -> Json:
    """Let a model answer: a whole response, or {id, status} of one in the background.

    Raises Unknown if the answer is lost.
    """
    read = answers.begun if request["background"] else answers.response
    return api().perform(
        CREATE,
        lambda sdk: sdk.responses.with_raw_response.create(
            **request, extra_headers={"Idempotency-Key": key}
        ),
        read,
        limits.demand(request["model"], "".join(texts_of(request)), _most_tokens(request)),
        is_billed=True,
        part=request["model"],
    )


def _most_tokens(request: Json) -> int:
    written: int = request["max_output_tokens"]
    return written + image_tokens(request)


def retrieve(response: str) -> Json:
    """A response as it is now. Raises Permanent `not_found` if there is none."""
    return api().perform(
        "responses.retrieve",
        lambda sdk: sdk.responses.with_raw_response.retrieve(response),
        answers.response,
    )


def cancel(response: str) -> bool:
    """Stop a response in the background; False if there is none. A second time changes nothing."""

    def perform() -> None:
        api().perform(
            "responses.cancel",
            lambda sdk: sdk.responses.with_raw_response.cancel(response),
            answers.begun,
        )

    return _unless_missing(perform)


def delete(response: str) -> bool:
    """Delete a stored response; False if there is none."""

    def perform() -> None:
        api().perform(
            "responses.delete",
            lambda sdk: sdk.responses.with_raw_response.delete(response),
            lambda _: None,
        )

    return _unless_missing(perform)


def _unless_missing(perform: Callable[[], None]) -> bool:
    try:
        perform()
    except Permanent as err:
        if err.code == "not_found":
            return False
        raise
    return True
