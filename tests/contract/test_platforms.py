"""Each platform that ships runs every part of the suite that its actions need."""

import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

import tasks
from tests.contract.cases import Cases
from tests.contract.suite import (
    calls,
    ceilings,
    effectless,
    effects,
    erasing,
    failures,
    hooks,
    lags,
    lookups,
    losses,
    rotation,
    undoing,
    waits,
)
from tests.contract.suite.parameters import chosen

NAMES = [*(platform.name for platform in tasks.PLATFORMS), "control"]
WITHOUT_SETTINGS = {
    "test_a_wrong_credential_is_no_failure_of_the_step_and_names_its_setting",
    "test_without_a_credential_nothing_is_sent_and_its_setting_is_named",
    "test_a_platform_never_reached_is_retryable",
    "test_an_action_whose_call_never_arrives_is_tried_again",
}
"""What cannot be asked of a platform whose calls have address and credential from their input."""
WITHOUT_COMPENSATION = {"test_an_effect_whose_reply_was_lost_is_undone"}
WHERE_THERE_ARE = {
    "effect": effects,
    "effectless": effectless,
    "called": failures,
    "priced": ceilings,
    "waiting": waits,
    "looked_up": lookups,
    "written_off": losses,
    "lagging": lags,
    "undoable": undoing,
    "erased": erasing,
}


def checks_of(module: ModuleType) -> set[str]:
    return {name for name in vars(module) if name.startswith("test_")}


@pytest.mark.parametrize("name", NAMES)
def test_each_platform_is_held_to_the_suite(name: str) -> None:
    cases: Cases = import_module(f"tests.contract.{name}.cases").CASES
    assert cases.platform == name
    parts = [part for kind, part in WHERE_THERE_ARE.items() if chosen(kind, cases)]
    parts += [calls] if cases.called is not None else []
    parts += [hooks, rotation] if cases.webhook is not None else []
    expected = set().union(*map(checks_of, parts))
    has_settings = cases.called is None or cases.called.credential
    expected -= set() if has_settings else WITHOUT_SETTINGS
    expected -= set() if chosen("undoable", cases) else WITHOUT_COMPENSATION
    assert checks_of(import_module(f"tests.contract.{name}.test_suite")) == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_cases_cover_every_action_with_all_that_it_has(name: str) -> None:
    cases: Cases = import_module(f"tests.contract.{name}.cases").CASES
    actions = [each for each in tasks.actions().values() if each.platform == name]
    covered = {
        "looked_up": {each.name for each in actions if each.lookup is not None},
        "undoable": {each.name for each in actions if each.compensate is not None},
        "priced": {each.name for each in actions if each.ceiling is not None},
    }
    assert {each.action for each in cases.effects} == {each.name for each in actions}
    found = {kind: {each.action for each in chosen(kind, cases)} for kind in covered}
    # A lookup that cannot ask the vendor finds what is kept here, and gives up the rest.
    found["looked_up"] |= {each.action for each in chosen("written_off", cases)}
    found["undoable"] |= {each.action for each in chosen("erased", cases)}
    assert found == covered


def test_no_action_of_a_platform_is_left_out() -> None:
    assert {each.platform for each in tasks.actions().values()} == set(NAMES)


def test_actions_import_no_sdk() -> None:
    code = (
        "import sys, tasks; tasks.actions();"
        "print([n for n in ('stripe', 'openai', 'replicate', 'requests') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_action_is_of_its_platform_and_named_once() -> None:
    actions = tasks.actions()
    assert len(actions) == sum(len(p.actions) for p in tasks.PLATFORMS) + 3
    assert {each.platform for each in actions.values()} == {
        *(platform.name for platform in tasks.PLATFORMS),
        "control",
    }
