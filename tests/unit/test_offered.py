"""What the list of actions says is true: examples are taken, schemas describe them."""

from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import tasks
from app.declarations import faults
from app.errors import NotConfigured, NotFound
from app.platform import Platform
from chains.actions import actions
from chains.catalogue.offered import offered, offered_action
from chains.incoming.emitting import EMIT
from chains.plans.validation import definition_of, examine
from web.schemas.actions import ActionList

NAMES = [each["name"] for each in offered(actions())]


def test_the_list_has_every_action_that_a_step_may_use_and_no_other() -> None:
    assert sorted({*tasks.actions(), EMIT}) == NAMES
    ActionList.model_validate({"items": offered(actions())}, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_fits_its_schema_and_a_definition(name: str) -> None:
    shown = offered_action(actions(), name)
    for schema in filter(None, (shown["input_schema"], shown["output_schema"])):
        Draft202012Validator.check_schema(schema)
    Draft202012Validator(shown["input_schema"]).validate(shown["example"])
    step = {"step": "a", "action": name, "with": shown["example"]}
    examine(definition_of({"name": "sample", "do": step}), actions())


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_described(name: str) -> None:
    shown = offered_action(actions(), name)
    assert shown["description"]
    assert (shown["output_schema"] is None) == (name == "control.fail")
    action = actions()[name]
    effect = "chosen" if name == "http.request" else action.effect.value
    assert (shown["effect"], shown["queue"]) == (effect, action.platform)
    assert (shown["compensation"] is None) == (action.compensate is None)


def test_an_unknown_action_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(NotFound, match=r"did you mean 'stripe\.capture'"):
        offered_action(actions(), "stripe.captur")
    with pytest.raises(NotFound, match=r"there are: agora\.open_channel"):
        offered_action(actions(), "xyzzy")
    with pytest.raises(NotFound, match="there is no action"):
        offered_action(actions(), "control.join")


def test_the_ceiling_is_that_of_the_example() -> None:
    def unset(given: Any) -> int:
        raise NotConfigured(("PRESSROOM_PRICE",))

    slept = actions()["control.sleep"]
    priced = replace(slept, ceiling=lambda given: int(given.seconds * 1000))
    known = {"a": priced, "b": replace(slept, ceiling=unset), "c": replace(slept, ceiling=None)}
    costs = [each["example_cost_ceiling_micro_usd"] for each in offered(known)]
    assert costs == [2500, None, None]


def test_an_example_that_the_action_refuses_is_a_fault_of_its_platform() -> None:
    (capture,) = [each for each in tasks.PLATFORMS[0].actions if each.name == "stripe.capture"]
    wrong = replace(capture, example={"payment_intent": "ch_1"})
    (fault,) = faults(Platform("stripe", (wrong,)))
    assert "has an example that its own input refuses: payment_intent" in fault
