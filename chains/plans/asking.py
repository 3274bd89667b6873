"""Whom an approval asks, and what it shows to them. They see nothing else of the workflow."""

import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, ValidationError

from app.errors import Permanent
from app.platform import ActionInput, Json
from chains.language.expressions import ExpressionInvalid, render
from chains.plans.plan import Plan

EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
GROUP = re.compile(r"group:[a-z][a-z0-9_-]{0,62}")
"""How an approval names a group of approvers."""
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


def addresses(by: Any) -> list[str] | None:
    """The checked and trimmed addresses and groups of a rendered `by`; None if only the owner may
    decide.

    Raise Permanent if it is no list of texts.
    """
    if isinstance(by, str):
        by = [by]
    if by is not None and not (isinstance(by, list | tuple) and all(map(_is_text, by)) and by):
        raise Permanent(
            "`by` is not a list of e-mail addresses and groups", code="invalid_approvers"
        )
    return None if by is None else [address.strip().lower() for address in by]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def asked_at_start(plan: Plan, given: Json) -> dict[str, list[str]]:
    """The addresses and groups that the workflow will ask, by the key of the approval, as far as
    they are known when it starts with this input.

    A `by` that cannot be rendered is left out. The approval fails when it is reached.
    """
    found = {}
    for step in plan.asking:
        try:
            asked = addresses(render(step.template["by"], {"input": given}))
        except (ExpressionInvalid, Permanent, ArithmeticError, TypeError, ValueError):
            continue
        if asked:
            found[step.key] = asked
    return found


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
