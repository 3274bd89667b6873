"""What a version of a prompt may hold, and the checks that it passes before it is stored.

The stored form has `messages` and all `variables`, also if the author wrote a `text`, or left the
variables to be found. Its canonical JSON gives the checksum.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.errors import InvalidInput
from app.payload import whole_numbers
from app.platform import Json
from app.prompts import VARIABLE, Role
from chains.language.bounds import scalar_fault
from chains.language.faults import MAX_FAULTS, Fault, near, pointer
from chains.language.fitting import misfits
from chains.language.schema_rules import schema_faults_of
from chains.prompts.template import Template, parse

MOST_BYTES = 100_000
"""Of the messages of a version together, in UTF-8."""
MOST_MESSAGES = 50
MOST_VARIABLES = 100
MOST_TESTS = 50
SCALARS = ("string", "integer", "number", "boolean")
INFERRED: Json = {"type": ["string", "number"]}
"""The schema of a variable that is not declared."""

_LIMITS = ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf")
_SIZES = ("maxLength", "minLength", "pattern")
_NOTES = ("default", "description", "examples", "title")
_KEYWORDS = frozenset({"type", "const", "enum", *_LIMITS, *_SIZES, *_NOTES})
_SETTING = r"^[a-z][a-z0-9_]{0,62}$"

Variable = Annotated[str, Field(pattern=VARIABLE)]
Text = Annotated[str, Field(min_length=1, max_length=MOST_BYTES)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Message(_Part):
    """One message of a prompt; its content is a template."""

    role: Role
    content: Text


class Case(_Part):
    """A test of a prompt: with these variables, its text is as the other fields say.

    The text is that of all messages, one after the other with a blank line between, or that of the
    message of this number, from 0. Each `contains` is in it, no `lacks` is, it `equals` a text, it
    `matches` a regular expression, and it has at most so many characters or tokens. Tokens are
    estimated: one for each four bytes of UTF-8.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    variables: dict[str, Any] = Field(default_factory=dict, max_length=MOST_VARIABLES)
    message: int | None = Field(default=None, ge=0, lt=MOST_MESSAGES)
    contains: list[Text] = Field(default_factory=list, max_length=20)
    lacks: list[Text] = Field(default_factory=list, max_length=20)
    equals: str | None = Field(default=None, max_length=MOST_BYTES)
    matches: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    most_characters: int | None = Field(default=None, ge=0)
    most_tokens: int | None = Field(default=None, ge=0)


class PromptBody(_Part):
    """A version of a prompt: a `text`, which is one message of the user, or `messages`.

    `variables` declares each variable of its templates with a JSON Schema of a text, a number or a
    boolean; one with a `default` may be left out. Without `variables`, each that the templates name
    is a text or a number. `settings` are defaults for other fields of the input of the step that
    uses the prompt, such as `model`. The `tests` run when the version is made; one that fails
    refuses it.
    """

    description: str | None = Field(default=None, max_length=4000)
    text: Text | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)] | None = None
    variables: dict[Variable, dict[str, Any]] | None = Field(
        default=None,
        max_length=MOST_VARIABLES,
        examples=[{"brief": {"type": "string", "maxLength": 8000}}],
    )
    settings: dict[Annotated[str, Field(pattern=_SETTING)], Any] = Field(
        default_factory=dict, max_length=50
    )
    tests: list[Case] = Field(default_factory=list, max_length=MOST_TESTS)


def stored_form(given: PromptBody) -> Json:
    """The body as it is stored; raise InvalidInput, with the faults, if it is wrong.

    Its tests are not run here.
    """
    if (given.text is None) == (given.messages is None):
        words = "a prompt has either a `text` or `messages`"
        raise InvalidInput(words, field="/messages", code="prompt_invalid")
    messages = given.messages or [Message(role="user", content=given.text or "")]
    places = [f"/messages/{n}/content" for n in range(len(messages))]
    if given.messages is None:
        places = ["/text"]
    templates = {at: parse(message.content) for at, message in zip(places, messages, strict=True)}
    declared = given.variables
    body: Json = {
        "messages": [message.model_dump() for message in messages],
        "variables": _inferred(templates) if declared is None else declared,
        "tests": [case.model_dump(exclude_unset=True, exclude_none=True) for case in given.tests],
        "settings": given.settings,
    }
    if given.description is not None:
        body["description"] = given.description
    body = whole_numbers(body)
    faults = [*islice(_faults(body, templates), MAX_FAULTS)]
    if faults:
        raise InvalidInput(
            f"{faults[0][0]}: {faults[0][1]}",
            field=faults[0][0],
            code="prompt_invalid",
            errors=tuple(faults),
        )
    return body


def checksum(body: Json) -> str:
    """The SHA-256, in hexadecimal, of a stored body as JSON with sorted names."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def schema_of(variables: Mapping[str, Json]) -> Json:
    """The JSON Schema of the values of these variables: those without a default are required."""
    return {
        "type": "object",
        "properties": dict(variables),
        "required": [name for name, each in variables.items() if "default" not in each],
        "additionalProperties": False,
    }


def _inferred(templates: Mapping[str, Template]) -> Json:
    names = {place.name: None for each in templates.values() for place in each.places}
    return dict.fromkeys(names, INFERRED)


def _faults(body: Json, templates: Mapping[str, Template]) -> Iterator[Fault]:
    size = sum(len(m["content"].encode("utf-8", "surrogatepass")) for m in body["messages"])
    if size > MOST_BYTES:
        yield "/messages", f"have {size} bytes together, and {MOST_BYTES} are allowed"
        return
    for at, template in templates.items():
        yield from ((at, words) for words in template.faults)
    variables = body["variables"]
    if len(variables) > MOST_VARIABLES:
        yield "/variables", f"are {len(variables)}, and {MOST_VARIABLES} are allowed"
        return
    yield from _variable_faults(variables)
    yield from _use_faults(variables, templates)
    for name, value in body["settings"].items():
        yield from _setting_faults(value, "/settings" + pointer([name]))


def _variable_faults(variables: Mapping[str, Json]) -> Iterator[Fault]:
    wrong = False
    for name, schema in variables.items():
        for place, words in _kind_faults(schema):
            wrong = True
            yield f"/variables/{name}{place}", words
    if wrong:
        return
    inside = "/variables/properties"
    for place, words in schema_faults_of(schema_of(variables), "/variables"):
        wrong = True
        at = "/variables" + place.removeprefix(inside) if place.startswith(inside) else place
        yield at, words
    for name, schema in variables.items():
        if "default" in schema and not wrong:
            yield from misfits(schema["default"], schema, f"/variables/{name}/default")


def _kind_faults(schema: Json) -> Iterator[Fault]:
    """The faults of the schema of one variable that any JSON Schema may have, but not this one."""
    listed = ", ".join(SCALARS)
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not kinds or any(kind not in SCALARS for kind in kinds):
        yield "/type", f"must be {listed}, or several of them; join lists in the definition"
    for keyword in schema:
        if keyword not in _KEYWORDS:
            words = f"is not a keyword of a variable{near(keyword, _KEYWORDS)}"
            yield pointer([keyword]), words
    if isinstance(schema.get("default"), dict | list) or schema.get("default", "") is None:
        yield "/default", f"must be of type {listed}"


def _use_faults(
    variables: Mapping[str, Json], templates: Mapping[str, Template]
) -> Iterator[Fault]:
    used: set[str] = set()
    for at, template in templates.items():
        for place in template.places:
            used.add(place.name)
            if place.name not in variables:
                hint = near(place.name, variables)
                yield at, f"{place.words}: {place.name!r} is not in `variables`{hint}"
    for name in variables:
        if name not in used:
            yield f"/variables/{name}", "is declared, but no message has a place for it"


def _setting_faults(value: Any, at: str) -> Iterator[Fault]:
    """A setting is any JSON that can be stored, without references: it is put in as it stands."""
    waiting = [(at, value)]
    while waiting:
        place, each = waiting.pop()
        if isinstance(each, dict):
            if "$" in each:
                yield place, "is a reference, which a definition can have, but no prompt"
            waiting += [(place + pointer([name]), inner) for name, inner in each.items()]
        elif isinstance(each, list):
            waiting += [(f"{place}/{number}", inner) for number, inner in enumerate(each)]
        else:
            words = scalar_fault(each)
            if words is not None:
                yield place, words
