"""A worker without a platform's setting: the step waits, says what to set, and goes on with it."""

import time
from dataclasses import replace
from uuid import UUID

import pytest

from app.engine.attempt import execute
from app.engine.call import Call
from app.engine.moves import Moves
from app.engine.outcome_writer import record
from app.errors import NotConfigured, Unknown
from app.platform import Action, ActionInput, Effect, Intent, Json, LookupAnswer
from app.protocol import claims, intents
from app.protocol.claims import Claim
from app.settings import needed
from chains.actions import actions
from chains.running.prepare import prepare
from tests.integration.broker.test_releases import shown
from tests.integration.conftest import Kernel
from tests.integration.driving import pass_time, run
from tests.unit.definitions import noop

pytestmark = pytest.mark.usefixtures("agreeing")

NOOP = "control.noop"


def _perform(request: Json, key: str) -> Json:
    return {"key": needed("", "PRESS_API_KEY")}


def _print(call: Call, given: ActionInput) -> Json:
    return call.once("pages.print", {"page": 1}, _perform)


def _lose_the_reply(call: Call, given: ActionInput) -> Json:
    raise Unknown("no complete answer")


def _look_up(call: Call, intent: Intent) -> LookupAnswer:
    raise NotConfigured(("PRESS_API_KEY",))


PRINT = replace(actions()[NOOP], run=_print, effect=Effect.LOOKUP, lookup=_look_up, quick=False)


def tried(workflow: UUID, action: Action) -> tuple[Moves, str]:
    claimed = claims.claim_step(workflow, "a", 60.0)
    assert isinstance(claimed, Claim)
    result = execute(claimed, action, prepare, time.monotonic())
    return result.move, record(claimed, result, fraction=0.0).verdict


def test_a_step_waits_for_a_worker_that_has_the_setting(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register(noop("a")))
    for _ in range(3):
        assert tried(workflow, PRINT) == (Moves.LEAVE, "recorded")
        pass_time("1 minute")
    step = shown(kernel, workflow, "a")
    assert (step["status"], step["attempts"]) == ("pending", 0)
    assert step["error"]["code"] == "setting_missing"
    assert "PRESS_API_KEY is not set" in step["error"]["message"]
    assert run(workflow, "a", NOOP)
    assert kernel.workflow(workflow)["status"] == "succeeded"


def test_an_effect_that_lacked_the_setting_is_known_not_to_have_happened(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register(noop("a")))
    tried(workflow, PRINT)
    (intent,) = intents.intents(workflow, "a")
    assert intent.resolution == "refused"


def test_a_lookup_that_lacks_the_setting_leaves_the_step_unknown(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register(noop("a")))

    def print_and_lose(call: Call, given: ActionInput) -> Json:
        return call.once("pages.print", {"page": 1}, lambda r, key: _lose_the_reply(call, given))

    assert tried(workflow, replace(PRINT, run=print_and_lose))[0] is Moves.DOUBT
    pass_time("1 minute")
    assert tried(workflow, PRINT) == (Moves.LEAVE, "recorded")
    step = shown(kernel, workflow, "a")
    assert (step["status"], step["error"]["code"]) == ("unknown", "setting_missing")
    (intent,) = intents.intents(workflow, "a")
    assert intent.resolution is None
