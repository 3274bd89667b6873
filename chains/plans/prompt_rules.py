"""The prompts that a definition names, and whether its steps use them as they must be used. Pure.

A step names a prompt by a fixed name and a fixed label or version, so that it can be checked before
the definition is stored, and so that whoever starts a workflow chooses no prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.platform import Action, Json
from app.prompts import REFERENCE, prompt_fields
from chains.language.definition import Definition, OtherAction, Step
from chains.language.expressions import MARK
from chains.language.faults import Fault, near, pointer
from chains.language.fitting import is_reference, misfits
from chains.language.tree import nodes
from chains.prompts.body import schema_of

MOST_NAMED = 100
"""The most prompts that a definition names, counted by name and label or version."""

YOURS = "your project"

Which = str | int
"""A version of a prompt, by a label or by its number."""


@dataclass(frozen=True)
class KnownPrompt:
    """A prompt that exists: the versions to which its labels point, and the bodies of versions."""

    labels: Mapping[str, int]
    bodies: Mapping[int, Json]

    def body(self, which: Which) -> Json | None:
        """The body of a version; None if there is none."""
        version = self.labels.get(which) if isinstance(which, str) else which
        return None if version is None else self.bodies.get(version)


KnownPrompts = Mapping[str, KnownPrompt]
"""The prompts of the definition's author, by name: those that the definition names."""


@dataclass(frozen=True)
class Use:
    """A place in a definition where a step, or its compensation, uses a prompt.

    `given` is the template of the whole input.
    """

    pointer: str
    action: Action
    prompt: str
    which: Which
    variables: Mapping[str, Any]
    given: Mapping[str, Any]

    @property
    def reference(self) -> Json:
        """The prompt as a definition's row lists it: {name, label} or {name, version}."""
        by = "label" if isinstance(self.which, str) else "version"
        return {"name": self.prompt, by: self.which}


def prompts_used(definition: Definition, actions: Mapping[str, Action]) -> list[Use]:
    """Every use of a prompt that is named as it must be, in reading order."""
    places = _places(definition, actions)
    return [use for place in places if not [*_shape_faults(place)] and (use := _use(place))]


def references(uses: Sequence[Use]) -> list[Json]:
    """The prompts that these uses name, each once."""
    found = {(use.prompt, use.which): use.reference for use in uses}
    return [*found.values()]


def prompt_faults(
    definition: Definition, actions: Mapping[str, Action], prompts: KnownPrompts | None
) -> Iterator[Fault]:
    """The faults of the prompts of a definition.

    If `prompts` is None, only the form is checked: it is not known which prompts there are.
    """
    count = len(references(prompts_used(definition, actions)))
    if count > MOST_NAMED:
        yield "/do", f"names {count} prompts, and {MOST_NAMED} are allowed"
        return
    for place in _places(definition, actions):
        faults = [*_shape_faults(place)]
        yield from faults
        use = None if faults else _use(place)
        if use is not None and prompts is not None:
            yield from use_faults(use, prompts)


def use_faults(use: Use, prompts: KnownPrompts, whose: str = YOURS) -> Iterator[Fault]:
    """The faults of one use: there is no such version, or what the step gives does not fit it.

    `whose` is the project that the prompts belong to, in words for the one who asks.
    """
    known, at = prompts.get(use.prompt), use.pointer
    if known is None:
        yield f"{at}/name", f"there is no prompt {use.prompt!r} in {whose}; create it first"
        return
    body = known.body(use.which)
    if body is not None:
        yield from fit_faults(use, body)
    elif isinstance(use.which, str):
        there = ", ".join(sorted(known.labels)) or "none"
        words = f"prompt {use.prompt!r} has no label {use.which!r}{near(use.which, known.labels)}"
        yield f"{at}/label", f"{words}; its labels: {there}"
    else:
        yield f"{at}/version", f"prompt {use.prompt!r} has no version {use.which}"


def fit_faults(use: Use, body: Json) -> Iterator[Fault]:
    """The faults of one use if the prompt's version has this body."""
    given = {name: each for name, each in use.variables.items() if each is not None}
    yield from misfits(given, schema_of(body["variables"]), f"{use.pointer}/variables")
    schema = use.action.input.model_json_schema(by_alias=True)
    settings, known = body["settings"], schema["properties"]
    for name in settings.keys() - known.keys():
        words = f"the prompt has the setting {name!r}, which {use.action.name} does not take"
        yield use.pointer, words
    taken = {name: value for name, value in settings.items() if name in known}
    # What is wrong without the settings is a fault of the step itself.
    before = {*misfits(use.given, schema, "")} if taken else set()
    for place, words in misfits({**taken, **use.given}, schema, "") if taken else ():
        if (place, words) not in before:
            where = f" at {place}" if place else ""
            yield use.pointer, f"with the settings of the prompt, the input{where}: {words}"


@dataclass(frozen=True)
class _Place:
    """A field for a prompt in the input of a step, and what stands there."""

    pointer: str
    action: Action
    value: Any
    given: Mapping[str, Any]


def _places(definition: Definition, actions: Mapping[str, Action]) -> Iterator[_Place]:
    for found in nodes(definition):
        if not isinstance(found.node, Step):
            continue
        yield from _places_of(found.node, found.pointer, actions)
        if isinstance(found.node.compensation, OtherAction):
            at = f"{found.pointer}/compensation"
            yield from _places_of(found.node.compensation, at, actions)


def _places_of(
    node: Step | OtherAction, at: str, actions: Mapping[str, Action]
) -> Iterator[_Place]:
    action = actions.get(node.action)
    for field in () if action is None else prompt_fields(action.input):
        value = node.with_.get(field)
        if action is not None and value is not None:
            yield _Place(f"{at}/with{pointer([field])}", action, value, node.with_)


def _shape_faults(place: _Place) -> Iterator[Fault]:
    """Faults beside those of the JSON Schema of the action's input."""
    value, at = place.value, place.pointer
    if not isinstance(value, dict):
        return
    if MARK in value:
        yield at, "a prompt is named in the definition itself, not by a reference"
        return
    for name in ("name", "label", "version"):
        if is_reference(value.get(name)):
            yield f"{at}/{name}", "must be fixed, so that it can be checked; only values may vary"
    if is_reference(value.get("variables")):
        words = "must name each variable; only their values may be references"
        yield f"{at}/variables", words
    if ("label" in value) == ("version" in value):
        yield at, "needs either a `label`, such as production, or a `version`"


def _use(place: _Place) -> Use | None:
    """The use that stands at a place; None if the JSON Schema refuses what stands there."""
    value = place.value
    if [*misfits(value, REFERENCE, "")]:
        return None
    which = value.get("label", value.get("version"))
    variables = value.get("variables", {})
    return Use(place.pointer, place.action, value["name"], which, variables, place.given)
