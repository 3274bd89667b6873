"""The `flow` of a definition: what is refused with its reason, and the terms made from an input."""

from typing import Any
from uuid import UUID

import pytest

import tasks
from app.errors import InvalidInput
from chains.catalogue.differences import difference
from chains.flow.keys import MOST_KEY_BYTES, terms_of
from chains.flow.terms import Limit, Terms, Throttle
from chains.language.definition import Definition
from chains.language.faults import DefinitionRefused
from chains.language.flow import Flow
from chains.plans.flow_rules import item_schema
from chains.plans.validation import definition_of, examine
from tests.unit.definitions import noop

BY_USER = {"limit": 2, "key": "input.user"}
SECOND = {"limit": 1, "period": "1s"}
BATCH = {"size": 10, "timeout": "1m"}


def faults(flow: dict[str, Any], **rest: Any) -> dict[str, str]:
    body = {"name": "sample", "do": noop("a"), "flow": flow, **rest}
    try:
        examine(definition_of(body), tasks.actions(), {})
    except DefinitionRefused as refusal:
        return dict(refusal.errors)
    return {}


@pytest.mark.parametrize(
    "flow",
    [
        {"concurrency": [BY_USER, {"limit": 5}, {"limit": 9, "scope": "account", "name": "all"}]},
        {"concurrency": [{"limit": 3, "scope": "platform", "name": "stripe", "key": "input.a"}]},
        {
            "throttle": {"limit": 10, "period": "1m", "burst": 3, "key": "input.user"},
            "share": {"key": "input.user", "weights": {"gold": 3}, "cost": "input.n"},
            "priority": "input.p",
            "depth": 5,
        },
        {"rate_limit": {"limit": 10, "period": "24h", "key": "input.user"}, "throttle": SECOND},
        {"debounce": {"period": "5s", "timeout": "1m", "keep": "all", "key": "input.cart"}},
        {"debounce": {"period": "5s"}, "singleton": {"mode": "queue"}},
        {"batch": {"size": 2, "bytes": 9, "timeout": "7d"}, "concurrency": [{"limit": 1}]},
        {"singleton": {"mode": "skip", "key": "input.user"}, "concurrency": [{"limit": 9}]},
    ],
    ids=lambda flow: "+".join(flow),
)
def test_flow_that_can_be_obeyed_is_accepted_and_comes_back_as_it_was_stored(
    flow: dict[str, Any],
) -> None:
    assert faults(flow) == {}
    definition = definition_of({"name": "s", "do": noop("a"), "flow": flow})
    assert Definition.from_body(definition.body()) == definition
    assert definition.body()["flow"].keys() == flow.keys()


@pytest.mark.parametrize(
    ("flow", "place", "words"),
    [
        # The shape.
        ({"concurrency": []}, "/flow/concurrency", "1 item at least"),
        ({"concurrency": [BY_USER] * 5}, "/flow/concurrency", "4 items at most"),
        ({"depth": 20_001, "throttle": SECOND}, "/flow/depth", "20000"),
        ({"concurrency": [{"limit": 0}]}, "/flow/concurrency/0/limit", "greater"),
        ({"throttle": {"limit": 1, "period": "8d"}}, "/flow/throttle/period", "from 1s to 7d"),
        ({"throttle": {"limit": 1, "period": "9ms"}}, "/flow/throttle/period", "from 1s to 7d"),
        ({"rate_limit": {"limit": 1, "period": "25h"}}, "/flow/rate_limit/period", "1s to 24h"),
        ({"batch": {"size": 1, "timeout": "1m"}}, "/flow/batch/size", "greater"),
        ({"batch": {"size": 2}}, "/flow/batch/timeout", "required"),
        ({"singleton": {"mode": "skipp"}}, "/flow/singleton/mode", "'skip'"),
        ({"debounse": {}}, "/flow/debounse", "did you mean 'debounce'"),
        # Names and numbers.
        (
            {"concurrency": [{"limit": 1, "scope": "platform", "name": "strype"}]},
            "/flow/concurrency/0/name",
            "did you mean 'stripe'",
        ),
        ({"concurrency": [{"limit": 1, "scope": "account"}]}, "/flow/concurrency/0/name", "name"),
        ({"concurrency": [BY_USER, BY_USER]}, "/flow/concurrency/1", "the same limit"),
        ({"debounce": {"period": "9s", "timeout": "8s"}}, "/flow/debounce/timeout", "shorter"),
        (
            {"throttle": {"limit": 1, "period": "1s", "burst": 2}},
            "/flow/throttle/burst",
            "more than limit",
        ),
        # What does not go together.
        ({"batch": BATCH, "rate_limit": SECOND}, "/flow/rate_limit", "go with `batch`"),
        ({"batch": BATCH, "debounce": {"period": "1s"}}, "/flow/debounce", "go with `batch`"),
        ({"batch": BATCH, "singleton": {"mode": "queue"}}, "/flow/singleton", "go with `batch`"),
        (
            {"batch": BATCH, "throttle": SECOND, "priority": "input.p"},
            "/flow/priority",
            "go with `batch`",
        ),
        (
            {"singleton": {"mode": "queue", "key": "input.user"}, "concurrency": [BY_USER]},
            "/flow/concurrency/0/limit",
            "singleton",
        ),
        (
            {"singleton": {"mode": "skip"}, "debounce": {"period": "1s"}},
            "/flow/singleton/mode",
            "use queue",
        ),
        ({"share": {"key": "input.user"}}, "/flow/share", "nothing waits"),
        (
            {"share": {"key": "input.of"}, "concurrency": [{"limit": 9}, BY_USER]},
            "/flow/concurrency/1/key",
            "use one key",
        ),
        (
            {"share": {"key": "input.of"}, "throttle": {**SECOND, "key": "input.user"}},
            "/flow/throttle/key",
            "use one key",
        ),
        (
            {"share": {"key": "input.of"}, "singleton": {"mode": "queue", "key": "input.user"}},
            "/flow/singleton/key",
            "use one key",
        ),
        ({"depth": 5, "singleton": {"mode": "skip"}}, "/flow/depth", "nothing waits"),
        # Expressions.
        ({"concurrency": [{"limit": 1, "key": "input.a ["}]}, "/flow/concurrency/0/key", "input.a"),
        ({"singleton": {"mode": "skip", "key": "steps.a.output"}}, "/flow/singleton/key", "steps"),
        ({"throttle": {**SECOND, "key": "len(input)"}}, "/flow/throttle/key", "no function"),
    ],
)
def test_flow_that_cannot_be_obeyed_is_refused(
    flow: dict[str, Any], place: str, words: str
) -> None:
    found = faults(flow)
    assert list(found) == [place]
    assert words in found[place]


CLOSED = {"type": "object", "additionalProperties": False, "properties": {"user": {}}}
OF_ITEMS = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": CLOSED, "maxItems": 3}},
}


def test_keys_are_checked_against_the_schema_of_what_they_read() -> None:
    limited = {"concurrency": [{"limit": 1, "key": "input.usr"}]}
    assert "did you mean 'user'" in faults(limited, input_schema=CLOSED)["/flow/concurrency/0/key"]
    found = faults({"batch": {**BATCH, "key": "input.usr"}}, input_schema=OF_ITEMS)
    assert "did you mean 'user'" in found["/flow/batch/key"]
    assert list(found) == ["/input_schema/properties/items/maxItems", "/flow/batch/key"]
    assert item_schema(OF_ITEMS) == CLOSED


def test_collected_starts_need_a_schema_that_takes_items_and_a_fixed_time_out() -> None:
    found = faults({"batch": BATCH}, input_schema={**CLOSED, "required": ["user"]})
    assert list(found) == ["/input_schema"]
    found = faults({"batch": BATCH}, timeout={"$": "input.wait"})
    assert list(found) == ["/timeout"]


def test_changed_flow_is_another_version_and_shown_as_a_difference() -> None:
    old, new = (
        Definition.from_body({"name": "s", "do": noop("a"), "flow": {"throttle": throttle}})
        for throttle in (SECOND, {**SECOND, "limit": 2})
    )
    assert old.checksum() != new.checksum()
    assert difference(old, new, ("1", "2")).others == ["flow"]


FLOW = Flow.model_validate(
    {
        "concurrency": [
            BY_USER,
            {"limit": 5},
            {"limit": 9, "scope": "account", "name": "paid", "key": "input.user"},
            {"limit": 4, "key": "input.user", "name": "second"},
        ],
        "throttle": {"limit": 10, "period": "1m", "key": "input.n"},
        "share": {"key": "input.tier", "weights": {"gold": 3}, "cost": "input.n"},
        "priority": "input.p",
        "singleton": {"mode": "replace", "key": "input.is_new"},
    }
)
ADA = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
GIVEN = {"user": "ada", "n": 7, "tier": "gold", "p": 9.0, "is_new": True}


def test_terms_have_every_limit_with_the_value_of_its_key() -> None:
    assert terms_of(FLOW, "sample", GIVEN, ADA) == Terms(
        limits=(
            Limit("definition", "sample", "input.user=ada", 2),
            Limit("definition", "sample", "", 5),
            Limit("account", "paid", "ada", 9),
            Limit("definition", "sample", "second=ada", 4),
            Limit("definition", "sample", f"singleton:{ADA}:true", 1),
        ),
        throttles=(Throttle("sample", "10/60s=7", 10, 60.0, 1),),
        share_key="gold",
        weight=3.0,
        cost=7.0,
        priority=9,
        user=str(ADA),
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"user": None}, "null"),
        ({"user": ["ada"]}, "no text"),
        ({"n": 0}, "above 0"),
        ({"n": "7"}, "above 0"),
        ({"p": 10}, "from 1 to 9"),
        ({"p": True}, "from 1 to 9"),
    ],
)
def test_key_that_cannot_be_used_refuses_the_start_with_the_reason(
    changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        terms_of(FLOW, "sample", {**GIVEN, **changed})
    assert (caught.value.code, caught.value.field) == ("flow_key_invalid", "/input")


def limited_by(key: str) -> Flow:
    return Flow.model_validate({"concurrency": [{"limit": 1, "key": key, "name": "k"}]})


def test_key_that_raises_or_takes_too_much_work_refuses_the_start() -> None:
    with pytest.raises(InvalidInput, match="abs"):
        terms_of(limited_by("abs(input.user)"), "sample", GIVEN)
    doubled = limited_by(" | ".join(["[@, @]"] * 20).replace("[@, @]", "[input, input]", 1))
    with pytest.raises(InvalidInput, match="concurrency/0/key"):
        terms_of(doubled, "sample", GIVEN)


def test_long_key_is_replaced_by_its_hash() -> None:
    longest, longer = "é" * (MOST_KEY_BYTES // 2), "é" * (MOST_KEY_BYTES // 2) + "e"
    (kept,) = terms_of(limited_by("input.user"), "sample", {"user": longest}).limits
    (hashed,) = terms_of(limited_by("input.user"), "sample", {"user": longer}).limits
    assert kept.key == f"k={longest}"
    assert hashed.key.startswith("k=sha256:")
    assert len(hashed.key) < 80


def test_schedule_replaces_single_fields_of_the_flow() -> None:
    own = Flow.model_validate({"throttle": SECOND})
    together = FLOW.with_(own)
    assert together.throttle == own.throttle
    assert together.concurrency == FLOW.concurrency
    assert FLOW.with_(None) is FLOW
