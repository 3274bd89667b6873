"""What an approval shows to the people whom it asks. They see nothing else of the workflow."""

import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, ValidationError

from app.errors import Permanent
from app.platform import ActionInput, Json

_ADDRESS = re.compile(r"https?://[^\s\x00-\x1f]{1,2000}")


class Amount(ActionInput):
    """An amount of money: an integer of minor units with its currency, such as 1900 and eur."""

    amount: Annotated[int, Field(ge=0)]
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")]


class Shown(ActionInput):
    """The message, the amount and the pictures that an approval may show."""

    message: Annotated[str, Field(max_length=4000)] | None = None
    amount: Amount | None = None
    pictures: Annotated[list[Any], Field(max_length=100)] | None = None


def shown(rendered: Any) -> Json:
    """The checked values of `show`; each picture is the id of an artifact, or an https address.

    A picture may be given as an artifact's id, as an output that contains this id, or as an
    address. Raise Permanent if a value is wrong.
    """
    try:
        found = Shown.model_validate(rendered or {})
        pictures = [_picture(each) for each in found.pictures or ()]
    except ValidationError as err:
        fault = err.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, ("show", *fault["loc"])))
        raise Permanent(f"`{place}`: {fault['msg']}", code="invalid_show") from err
    return found.model_dump(exclude={"pictures"}) | {"pictures": pictures}


def _picture(given: Any) -> str:
    text = given.get("id") if isinstance(given, dict) else given
    if isinstance(text, str) and _ADDRESS.fullmatch(text):
        return text
    try:
        return str(UUID(text))
    except (TypeError, ValueError, AttributeError) as err:
        raise Permanent(
            "`show.pictures` has an item that is no artifact's id, no output with such an `id`,"
            " and no http address",
            code="invalid_show",
        ) from err
