"""Whatever can be known to be wrong with a definition is refused, with its place and what to do."""

import time
from collections.abc import Callable
from typing import Any

import pytest

import tasks
from chains import definitions
from chains.catalogue.differences import difference
from chains.language.definition import Definition
from chains.language.faults import MAX_FAULTS, DefinitionRefused
from chains.language.fitting import misfits
from chains.language.patterns.time_limits import TAKES_TOO_LONG
from chains.plans.validation import Types, definition_of, examine
from tests.unit.definitions import noop
from tests.unit.kinds import EVERY_KIND

NOOP = "control.noop"
TYPES: Types = {
    "noop_chain": {1: {"type": "object"}},
    "strict": {2: {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}},
}
AUTHORIZE = {"customer_email": "a@b", "payment_method": "pm", "amount": 5, "currency": "eur"}


def faults(body: Any, types: Types | None = TYPES) -> dict[str, str]:
    """What is wrong with a body, by its pointer."""
    try:
        examine(definition_of(body), tasks.actions(), types)
    except DefinitionRefused as refusal:
        return dict(refusal.errors)
    return {}


def one(do: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"name": "sample", "do": do, **rest}


def step(action: str = NOOP, given: dict[Any, Any] | None = None, /, **rest: Any) -> dict[str, Any]:
    return {"step": "a", "action": action, **rest, **({} if given is None else {"with": given})}


def awaits(type: str, **rest: Any) -> dict[str, Any]:
    return {"wait": "w", "event": {"type": type, **rest}}


def after_noop(node: dict[str, Any]) -> dict[str, Any]:
    return {"sequence": [noop("z"), node]}


@pytest.mark.parametrize("body", [EVERY_KIND, *definitions.ALL], ids=lambda body: body["name"])
def test_a_right_definition_is_accepted_and_comes_back_as_it_was_stored(
    body: dict[str, Any],
) -> None:
    assert faults(body) == {}
    definition = definition_of(body)
    assert Definition.from_body(definition.body()) == definition


CASES: list[tuple[Any, str, str]] = [
    # The shape.
    ([], "", "a JSON object"),
    ({"name": "sample"}, "/do", "is required"),
    ({"name": "Änne", "do": noop("a")}, "/name", "lower-case letters"),
    (one({"foo": 1}), "/do", "a node is one of"),
    (one(noop("a"), tiemout="1h"), "/tiemout", "did you mean 'timeout'"),
    (one(step(), timeout="soon"), "/timeout", 'such as "10m" (at most a year) or a reference'),
    (one(step(), timeout={"$": "input.["}), "/timeout", "input.["),
    (one(step(), timeout={"$": "now"}), "/timeout", "'now'"),
    (one(step(attempt_timeout="x")), "/do/attempt_timeout", 'such as "10m" (at most a year)'),
    (one({"sequence": []}), "/do/sequence", "needs 1 item at least"),
    (one({"sequence": [step(retry={"tries": 0})]}), "/do/sequence/0/retry/tries", "greater than"),
    (one(step(on_failure="retry")), "/do/on_failure", '"fail", "skip" or {"default"'),
    (one(step(compensation="other")), "/do/compensation", '"own", "none" or {"action"'),
    (one({"map": "m", "over": [1], "do": noop("a")}), "/do/over", "put a fixed list into"),
    (one({"loop": "l", "until": "input.x", "do": noop("a")}), "/do/max", "is required"),
    (
        one({"loop": "l", "until": "input.x", "max": True, "do": noop("a")}),
        "/do/max",
        "valid integer",
    ),
    (one(noop("a"), budget_usd="-1"), "/budget_usd", "such as"),
    (one(noop("a"), budget_usd=1.5), "/budget_usd", "as a text"),
    (one(step(pivot="yes")), "/do/pivot", "valid boolean"),
    (one({"wait": "w"}), "/do", "one of `for`, `until` and `event`"),
    (one({"choice": "c", "cases": [{"when": "", "do": noop("a")}]}), "/do/cases/0/when", "empty"),
    # Actions and what they are given.
    (one(step("stripe.authorise")), "/do/action", "did you mean 'stripe.authorize'"),
    (one(step("no.such")), "/do/action", "there are: agora.open_channel"),
    (one(step("control.join")), "/do/action", "belongs to the engine"),
    (
        one(step("stripe.authorize", AUTHORIZE | {"curency": 1})),
        "/do/with/curency",
        "did you mean 'currency'",
    ),
    (one(step("stripe.authorize", {})), "/do/with/amount", "required"),
    (
        one(step("stripe.authorize", AUTHORIZE | {"amount": "5"})),
        "/do/with/amount",
        "of type integer",
    ),
    (one(step("stripe.authorize", AUTHORIZE | {"amount": 0})), "/do/with/amount", "at least 1"),
    (
        one(step("stripe.authorize", AUTHORIZE | {"currency": "euro"})),
        "/do/with/currency",
        "does not match",
    ),
    (one(step("control.fail", {"kind": "often"})), "/do/with/kind", "must be one of"),
    (
        one(step("vercel.deploy", {"title": "t", "pictures": [3]})),
        "/do/with/pictures/0",
        "of type object",
    ),
    (
        one(step(compensation={"action": "control.fail", "with": {"x": 1}})),
        "/do/compensation/with/x",
        "not known",
    ),
    (one(step(attempt_timeout="9h")), "/do/attempt_timeout", "give 60 s at most"),
    (one(step(timeout="soon")), "/do/timeout", 'such as "10m" (at most a year) or a reference'),
    (one(step(timeout={"$": "input.["})), "/do/timeout", "input.["),
    (one(step(timeout={"$": "steps.z.output"})), "/do/timeout", "'z' does not exist"),
    (one({"approval": "w", "timeout": {"$": "itme"}}), "/do/timeout", "no name 'itme'"),
    (one(step(attempt_timeout={"$": "input.["})), "/do/attempt_timeout", "input.["),
    (one(step(attempt_timeout={"$": "steps.z.output"})), "/do/attempt_timeout", "does not exist"),
    (one(step(attempt_timeout="9s", timeout="5s")), "/do/timeout", "shorter than attempt_timeout"),
    (one(step(retry={"on": ["rate limited"]})), "/do/retry/on/0", "not an error code"),
    (one(step(retry={"backoff": "9s", "cap": "5s"})), "/do/retry/cap", "shorter than backoff"),
    # Expressions.
    (one(step(when="input.[")), "/do/when", "input.["),
    (one(step(when="!input.x")), "/do/when", "write !(a.b)"),
    (one(step(when="lenght(input.x)")), "/do/when", "did you mean 'length'"),
    (one(step(when="length(input.x, `1`)")), "/do/when", "takes 1 arguments, not 2"),
    (one(step(when="(" * 1500 + "a" + ")" * 1500)), "/do/when", "nested too deeply"),
    (one(step(when="a" + "|b" * 100)), "/do/when", "nested deeper than 50"),
    (one(after_noop(step(when="steps.z.ouput"))), "/do/sequence/1/when", "did you mean 'output'"),
    (
        one(after_noop(step(when="length(steps) > `1`"))),
        "/do/sequence/1/when",
        "not name a step",
    ),
    (one(step(when="@.input.x")), "/do/when", "begin with input"),
    (one(step(NOOP, {"x": {"$": "keys(@)"}})), "/do/with/x", "begin with input"),
    (one(step(NOOP, {"x": {"$": "*.x"}})), "/do/with/x", "begin with input"),
    (one(step(NOOP, {"x": {"$": "`NaN`"}})), "/do/with/x", "NaN and Infinity"),
    (one(step(NOOP, {"x": {"$": '`{"\\u0000": 1}`'}})), "/do/with/x", "NUL"),
    (one(step(NOOP, {"x": {"$": f"`{2**63}`"}})), "/do/with/x", "too large"),
    (one(step(NOOP, {"x": {"$": f"`{'[' * 90}{']' * 90}`"}})), "/do/with/x", "deeper than 50"),
    (one(step(NOOP, {"a/b": {"$": 5}})), "/do/with/a~1b", 'a reference is {"$"'),
    (one(step(NOOP, {"x": {"$": "input", "y": 1}})), "/do/with/x", "stands alone"),
    (one(step(when="steps.b.output")), "/do/when", "does not exist"),
    (one({"map": "m", "over": {"$": "`5`"}, "do": noop("a")}), "/do/over", "never a list"),
    (
        one(
            step(when="input.mial"),
            input_schema={"additionalProperties": False, "properties": {"mail": {}}},
        ),
        "/do/when",
        "did you mean 'mail'",
    ),
    # What nodes mean to each other.
    (one({"sequence": [noop("a"), noop("a")]}), "/do/sequence/0", "two nodes have the key"),
    (
        one(
            {
                "choice": "c",
                "cases": [
                    {"when": "`true`", "do": noop("a")},
                    {"when": "input.x", "do": noop("b")},
                ],
            }
        ),
        "/do/cases/1",
        "never reached",
    ),
    (
        one(
            {"choice": "c", "cases": [{"when": "`true`", "do": noop("a")}], "otherwise": noop("b")}
        ),
        "/do/otherwise",
        "never reached",
    ),
    (
        one(
            {
                "sequence": [
                    step(pivot=True),
                    {
                        "step": "b",
                        "action": "control.noop",
                        "compensation": {"action": "control.noop"},
                    },
                ]
            }
        ),
        "/do/sequence/1/compensation",
        "nothing is undone after",
    ),
    (one({"wait": "w", "until": "2027-01-01T09:00:00"}), "/do/until", "with its offset"),
    (one({"wait": "w", "for": "1s", "timeout": "1d"}), "/do", "only a wait for an `event`"),
    (one(awaits("*", within_last="now")), "/do/event/within_last", "a duration looks like 90s"),
    (one(awaits("order..*x y")), "/do/event/type", "a prefix such as invoice.*"),
    (one(awaits("*", filter="input.n > `1`")), "/do/event/filter", "reads nothing of the event"),
    (one(awaits("*", filter="event.payload.n")), "/do/event/filter", "not 'payload'"),
    (one(awaits("*", filter="event.data.n ==")), "/do/event/filter", "Incomplete expression"),
    (one(awaits("*", filter="event.id == steps.b")), "/do/event/filter", "done before"),
    (one(step(when="event.data.n")), "/do/when", "only the `filter` of a wait for an event"),
    (one({"approval": "w", "by": ["group:A"]}), "/do/by/0", "nor a group as group:finance"),
    (one({"approval": "w", "needed": 2}), "/do/needed", "only the owner"),
    (one({"approval": "w", "needed": 2, "by": ["a@b.c"]}), "/do/needed", "more than the people"),
    (one({"approval": "w", "by": ["ada"]}), "/do/by/0", "not an e-mail address"),
    (one({"workflow": "w", "type": "nop_chain"}), "/do/type", "did you mean 'noop_chain'"),
    (one({"workflow": "w", "type": "noop_chain", "version": 7}), "/do/version", "has: 1"),
    (one({"workflow": "w", "type": "strict", "with": {"n": "x"}}), "/do/with/n", "of type integer"),
    (one({"workflow": "w", "type": "sample"}), "/do/type", "without end"),
    # Schemas.
    (one(step(), input_schema={"type": "objekt"}), "/input_schema/type", "is not a JSON Schema"),
    (one(step(), input_schema={"type": "array"}), "/input_schema/type", "must be object"),
    (
        one(step(), input_schema={"requird": ["a"]}),
        "/input_schema/requird",
        "did you mean 'required'",
    ),
    (
        one(step(), input_schema={"$ref": "https://example.com/x"}),
        "/input_schema/$ref",
        "nothing outside this schema is read",
    ),
    (
        one(step(), output_schema={"properties": {"a": {"$ref": "#/$defs/b"}}}),
        "/output_schema/properties/a/$ref",
        "within this one",
    ),
    (one(step(), input_schema={"allOf": [{"$ref": "#"}]}), "/input_schema/allOf/0", "without end"),
    (
        one(step(), input_schema={"properties": {"a": {"pattern": "("}}}),
        "/input_schema/properties/a/pattern",
        "not a regular expression",
    ),
    (
        one(step(), input_schema={"properties": {"a": {"pattern": "^(?!x)"}}}),
        "/input_schema/properties/a/pattern",
        "look-around",
    ),
    (
        one(step(), input_schema={"properties": {"a": {"pattern": r"\pL{400}"}}}),
        "/input_schema/properties/a/pattern",
        "too large",
    ),
    (
        one(step(), input_schema={"patternProperties": {"(?x)a #)\n": {}}}),
        "/input_schema/pattern",
        "verbose mode",
    ),
    (
        one(
            step(),
            input_schema={"properties": {f"{n}": {"pattern": rf"\w{{90}}{n}"} for n in range(6)}},
        ),
        "/input_schema",
        "too large together",
    ),
    (
        one(step(), input_schema={"patternProperties": {"a": {}}, "unevaluatedProperties": False}),
        "/input_schema/unevaluatedProperties",
        "use additionalProperties",
    ),
    (
        one(step(), output={"n": "x"}, output_schema={"properties": {"n": {"type": "integer"}}}),
        "/output/n",
        "of type integer",
    ),
    # What is too much, or no JSON.
    (one(step(NOOP, {"n": float("nan")})), "/do/with/n", "NaN"),
    (one(step(NOOP, {"n": 2**63})), "/do/with/n", "too large"),
    (one(step(NOOP, {"n": 1e300})), "/do/with/n", "too large"),
    (one(step(NOOP, {"s": "\x00"})), "/do/with/s", "NUL"),
    (one(step(NOOP, {"\ud800": 1})), "/do/with", "surrogate"),
    (one(step(NOOP, {"s": {1, 2}})), "/do/with/s", "a set is not JSON"),
    (one(step(NOOP, {"s": "x" * 1_000_001})), "", "1000000 bytes"),
    (one({"sequence": [{"sequence": [{"step": 1}] * 500}] * 5}), "/do", "2000 nodes"),
]


@pytest.mark.parametrize(("body", "place", "said"), CASES, ids=lambda value: str(value)[:60])
def test_what_can_be_known_to_be_wrong_is_refused_where_it_stands(
    body: Any, place: str, said: str
) -> None:
    found = faults(body)
    assert said in found.get(place, ""), found


@pytest.mark.parametrize(
    "node",
    [
        step("stripe.authorize", {name: {"$": "input.x"} for name in AUTHORIZE}),
        step("stripe.authorize", {"$": "input"}),
        step("stripe.authorize", AUTHORIZE | {"amount": 5.0}),
        step("vercel.deploy", {"title": "t", "pictures": {"$": "input.pictures"}}),
        step("control.fail", {"kind": {"$": "input.kind"}}),
        step(when="`false`"),
        step(NOOP, {"sizes": {"$": "map(&size, input.photos)"}}),
        {"workflow": "w", "type": "sample", "when": "input.depth < `3`"},
        {"choice": "c", "cases": [{"when": "input.x", "do": {"workflow": "w", "type": "sample"}}]},
        {"workflow": "w", "type": "strict", "with": {"n": {"$": "input.n"}}},
        {"loop": "l", "until": "`false`", "max": 3, "on_exhausted": "go_on", "do": noop("a")},
        {"choice": "c", "cases": [{"when": "ceil(to_number('1e999'))", "do": noop("a")}]},
        step(NOOP, {"x": {"$": "input.list[?@ > `2`] | [0]"}}),
        step(NOOP, {"x": {"$": "input.photos[*].{all: @, size: size}"}}),
    ],
)
def test_what_may_turn_out_right_is_not_refused(node: dict[str, Any]) -> None:
    assert faults(one(node)) == {}


def test_all_faults_are_told_at_once_but_twenty_at_most() -> None:
    wrong = [{"step": f"s{n}", "action": "no.such", "retry": {"on": ["a b"]}} for n in range(30)]
    assert len(faults(one({"sequence": wrong}))) == MAX_FAULTS
    assert len(faults(one({"sequence": wrong[:3]}))) == 6
    assert len(faults({"name": "sample", **{f"k{n}": 1 for n in range(30)}})) == MAX_FAULTS


def test_a_check_that_a_value_could_draw_out_for_ever_is_given_up() -> None:
    forking = {"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}
    assert faults(one(step(), input_schema=forking)) == {}, "nothing is wrong with it by itself"
    value: dict[str, Any] = {}
    for _ in range(40):
        value = {"a": value}
    began = time.process_time()
    assert [*misfits(value, forking, "/input", seconds=0.2)] == [("/input", TAKES_TOO_LONG)]
    assert time.process_time() - began < 2.0


def test_the_types_of_children_are_not_judged_where_they_are_not_known() -> None:
    assert faults(one({"workflow": "w", "type": "who_knows"}), types=None) == {}


def deep() -> Any:
    body: Any = {}
    for _ in range(100_000):
        body = {"do": body}
    return body


def circle() -> Any:
    body: Any = {"name": "sample"}
    body["do"] = {"sequence": [body]}
    return body


def bomb() -> Any:
    parts = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    return one(step(), input_schema={"$ref": "#/$defs/a0", "$defs": parts | {"a40": {}}})


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (deep, 0.2),
        (circle, 0.2),
        (lambda: one({"sequence": [{"sequence": [{}] * 500}] * 500}), 3.0),
        (lambda: {f"k{n}": n for n in range(60_000)}, 3.0),
        (lambda: one(step(), input_schema={"properties": {f"p{n}": {} for n in range(9000)}}), 3.0),
        (bomb, 6.0),
    ],
    ids=["deep", "circle", "wide", "fields", "schemas", "references"],
)
def test_the_worst_is_refused_in_bounded_time(make: Callable[[], Any], seconds: float) -> None:
    body = make()
    began = time.process_time()
    assert faults(body)
    assert time.process_time() - began < seconds


def test_names_that_are_long_and_alike_are_not_compared_for_ever() -> None:
    letters = [chr(0x4E00 + number) for number in range(1300)]
    names = ["".join([*letters[turn:], *reversed(letters[:turn])]) for turn in range(0, 1300, 10)]
    schema = {"properties": {name: {} for name in names}, "additionalProperties": False}
    wrong = one(step(NOOP, {"x": {"$": f'input."{"".join(reversed(letters))}"'}}))
    began = time.process_time()
    assert "the input has no field" in faults(wrong | {"input_schema": schema})["/do/with/x"]
    assert time.process_time() - began < 2.0


def test_two_long_versions_are_compared_in_bounded_time() -> None:
    numbers = list(range(30_000))
    old = definition_of(one(step(NOOP, {"list": numbers})))
    every_second = [number if number % 2 else -number for number in numbers]
    new = definition_of(one(step(NOOP, {"list": [*every_second, 1]})))
    began = time.process_time()
    found = difference(old, new, ("old", "new"))
    assert time.process_time() - began < 4.0
    assert [each.fields for each in found.changed] == [["with"]]
    lines = found.text.splitlines()
    taken = [line[1:] for line in lines if line.startswith("-")][1:]
    put_in = [line[1:] for line in lines if line.startswith("+")][1:]
    assert len(put_in) == len(taken) + 1
    assert lines[:2] == ["--- old", "+++ new"]
