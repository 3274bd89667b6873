"""A refused credential, an exhausted account and a limit are no failures of a step."""

import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from app import db, queries
from app.engine.attempt import execute
from app.engine.call import Call
from app.engine.moves import Moves
from app.engine.outcome_writer import record
from app.errors import NotServed, Retryable, Unknown
from app.outbound import http
from app.platform import Action, ActionInput, Effect, Intent, Json, LookupAnswer, Never
from app.protocol import claims
from app.protocol.claims import Claim
from app.queries import human_tasks
from app.queries.refusing import TO_DO, refused_steps, refusing_platforms
from chains.actions import actions
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from chains.repair.reconcile import reconcile
from chains.running.prepare import prepare
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, statuses
from tests.unit.definitions import fail, noop

pytestmark = pytest.mark.usefixtures("agreeing")

NOOP = "control.noop"
OFTEN = 40


class Account:
    """An account at a vendor, which refuses its calls until all is well again."""

    def __init__(self, code: str, after: float | None = None) -> None:
        self.code, self.after = code, after
        self.is_well = False
        self.sent = 0

    def call(self, request: Json, key: str) -> Json:
        """One call of the vendor."""
        self.sent += 1
        if not self.is_well:
            raise NotServed("press did not accept the call", code=self.code, after=self.after)
        return {"page": 1}

    def action(self) -> Action:
        """An action of two tries that makes the call."""

        def run(call: Call, given: ActionInput) -> Json:
            return call.once("pages.print", {"page": 1}, self.call)

        return replace(actions()[NOOP], run=run, effect=Effect.LOOKUP, tries=2, quick=False)


def attempt(workflow: UUID, key: str, action: Action) -> Moves:
    """One attempt of a step that is due."""
    claimed = claims.claim_step(workflow, key, 60.0)
    assert isinstance(claimed, Claim), claimed
    result = execute(claimed, action, prepare, time.monotonic())
    record(claimed, result, fraction=0.5)
    return result.move


def wait(workflow: UUID, key: str) -> float:
    """The seconds until a step is due again."""
    row = db.row(
        "SELECT extract(epoch FROM wake_at - playalter_now()) AS s FROM steps"
        " WHERE workflow_id = %s AND key = %s",
        (workflow, key),
    )
    assert row is not None
    return float(row["s"])


def age(interval: str) -> None:
    """Let the calls be so much older."""
    db.row("UPDATE intents SET first_sent_at = first_sent_at - %s::interval", (interval,))


def test_a_step_whose_time_is_over_waits_for_no_platform(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register({**noop("a"), "timeout": "1h"}))
    account = Account("credential_refused")
    assert attempt(workflow, "a", account.action()) is Moves.RETRY
    pass_time("2 hours")
    assert attempt(workflow, "a", account.action()) is Moves.FAIL
    assert kernel.step(workflow, "a")["error_code"] == "timed_out"


def forward(kernel: Kernel) -> tuple[UUID, str]:
    """A workflow whose first step is due."""
    return kernel.start(kernel.register(noop("a"))), "a"


def undone(kernel: Kernel) -> tuple[UUID, str]:
    """A workflow whose compensation by another action is due."""
    step = {**noop("a"), "compensation": {"action": NOOP}}
    workflow = kernel.start(kernel.register({"sequence": [step, fail("b")]}))
    for _ in range(20):
        if "a~undo" in statuses(workflow):
            break
        drive(1)
    return workflow, "a~undo"


def test_an_unknown_approver_is_told_only_if_there_is_no_other_reason(kernel: Kernel) -> None:
    # Before, the mark went to and fro: each try set the one reason, each look the other.
    node = {"approval": "review", "by": ["nobody@example.com"]}
    name = kernel.register({"parallel": "both", "branches": [node, noop("a")]})
    workflow = kernel.start(name)
    assert kernel.workflow(workflow)["attention"] == "approver_unknown"
    account = Account("page_protected")
    attempt(workflow, "a", account.action())
    db.row("UPDATE steps SET held_since = held_since - interval '61 minutes'", ())
    for _ in range(2):
        pass_time("2 minutes")
        attempt(workflow, "a", account.action())
        db.row("SELECT settle_attention_v1(%s, '{}')", (workflow,))
        assert kernel.workflow(workflow)["attention"] == "platform_refuses"
    told = [each["type"] for each in kernel.events(workflow) if "Attention" in each["type"]]
    assert told == ["AttentionNeeded", "AttentionResolved", "AttentionNeeded"]


@pytest.mark.parametrize("begin", [forward, undone])
@pytest.mark.parametrize("code", [*TO_DO, "page_protected", "rate_limited"])
def test_a_step_waits_without_counting_tries_and_goes_on_by_itself(
    kernel: Kernel, begin: Callable[[Kernel], tuple[UUID, str]], code: str
) -> None:
    workflow, key = begin(kernel)
    account = Account(code)
    for _ in range(OFTEN):
        assert attempt(workflow, key, account.action()) is Moves.RETRY
        pass_time("2 minutes")
    step = kernel.step(workflow, key)
    assert (step["status"], step["tries"], step["error_code"]) == ("pending", 0, code)
    assert account.sent == OFTEN
    account.is_well = True
    assert attempt(workflow, key, account.action()) is Moves.FINISH
    assert kernel.step(workflow, key)["status"] in ("succeeded", "skipped")


@pytest.mark.parametrize("code", TO_DO)
def test_a_refusal_is_told_once_for_all_workflows_until_they_go_on(
    kernel: Kernel, code: str
) -> None:
    workflows = [forward(kernel)[0] for _ in range(3)]
    account = Account(code)
    for workflow in workflows:
        attempt(workflow, "a", account.action())
    for _ in range(2):
        (told,) = refusing_platforms(kernel.user_id)
        assert (told["platform"], told["reason"], told["workflows"]) == ("control", code, 3)
        assert told["errors"] == ["press did not accept the call"]
        assert TO_DO[code] in told["to_do"]
        (state,) = queries.platform_states()
        assert (state["platform"], state["is_ok"]) == ("control", False)
        assert state["error"] == "press did not accept the call"
        # It is told for the platform, however long it lasts.
        assert [kernel.workflow(each)["attention"] for each in workflows] == [None] * 3
        assert human_tasks.attention(kernel.user_id).items == []
        db.row("UPDATE steps SET held_since = held_since - interval '61 minutes'", ())
        pass_time("2 minutes")
        for workflow in workflows:
            attempt(workflow, "a", account.action())
    account.is_well = True
    pass_time("2 minutes")
    for number, workflow in enumerate(workflows, 1):
        attempt(workflow, "a", account.action())
        left = refusing_platforms(kernel.user_id)
        assert [each["workflows"] for each in left] == [3 - number] * (number < 3)
    assert {kernel.workflow(each)["status"] for each in workflows} == {"succeeded"}


def test_a_refusal_is_told_to_its_users_and_to_operators(kernel: Kernel) -> None:
    workflow, key = forward(kernel)
    attempt(workflow, key, Account("account_exhausted").action())
    other = uuid4()
    assert refusing_platforms(other) == []
    assert [each["workflows"] for each in refusing_platforms(other, is_operator=True)] == [1]


def test_a_probe_does_not_end_what_it_cannot_see(kernel: Kernel) -> None:
    workflow, key = forward(kernel)
    account = Account("account_restricted")
    attempt(workflow, key, account.action())
    probed = "SELECT record_probe_v1('control', %s, 5)"
    for error, shown in ((None, "press did not accept the call"), ("away", "away"), (None, "away")):
        db.row(probed, (error,))
        (state,) = queries.platform_states()
        assert (state["is_ok"], state["error"]) == (False, shown)
    account.is_well = True
    pass_time("2 minutes")
    attempt(workflow, key, account.action())
    db.row(probed, (None,))
    (state,) = queries.platform_states()
    assert (state["is_ok"], state["error"]) == (True, None)


def test_a_paused_workflow_keeps_no_refusal_alive(kernel: Kernel, ada: Caller) -> None:
    workflow, key = forward(kernel)
    attempt(workflow, key, Account("account_restricted").action())
    pause(ada, workflow)
    assert refusing_platforms(kernel.user_id) == []
    assert refused_steps() == {"control": 0}
    db.row("SELECT record_probe_v1('control', NULL, 5)", ())
    assert [state["is_ok"] for state in queries.platform_states()] == [True]
    resume(ada, workflow)
    assert refused_steps() == {"control": 1}
    assert [each["workflows"] for each in refusing_platforms(kernel.user_id)] == [1]


def test_a_protected_page_marks_the_workflow_after_an_hour(kernel: Kernel) -> None:
    workflow, key = forward(kernel)
    account = Account("page_protected")
    attempt(workflow, key, account.action())
    assert kernel.workflow(workflow)["attention"] is None
    db.row("UPDATE steps SET held_since = held_since - interval '61 minutes'", ())
    pass_time("2 minutes")
    attempt(workflow, key, account.action())
    assert kernel.workflow(workflow)["attention"] == "platform_refuses"
    (item,) = human_tasks.attention(kernel.user_id).items
    assert [(step["key"], step["reason"]) for step in item["steps"]] == [("a", "platform_refuses")]
    assert refusing_platforms(kernel.user_id) == []
    account.is_well = True
    pass_time("2 minutes")
    attempt(workflow, key, account.action())
    reconcile()
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"]) == ("succeeded", None)


def test_a_limit_marks_neither_the_platform_nor_the_workflow(kernel: Kernel) -> None:
    workflow, key = forward(kernel)
    account = Account("rate_limited", after=300.0)
    attempt(workflow, key, account.action())
    assert 295 < wait(workflow, key) <= 300
    db.row("UPDATE steps SET held_since = held_since - interval '3 hours'", ())
    pass_time("10 minutes")
    attempt(workflow, key, account.action())
    assert kernel.workflow(workflow)["attention"] is None
    assert human_tasks.attention(kernel.user_id).items == []
    assert queries.platform_states() == []


def test_without_a_stated_wait_the_pauses_grow_to_a_minute(kernel: Kernel) -> None:
    workflow, key = forward(kernel)
    account = Account("rate_limited")
    pauses = []
    for minutes in (0, 1, 10):
        db.row(
            "UPDATE steps SET held_since = clock_timestamp() - make_interval(mins => %s)"
            " WHERE held_since IS NOT NULL",
            (minutes,),
        )
        attempt(workflow, key, account.action())
        pauses.append(round(wait(workflow, key)))
        pass_time("2 minutes")
    assert pauses[0] <= 2 < pauses[1] < pauses[2] == 60


def test_a_lookup_that_is_not_served_is_asked_again_and_marks_the_platform(kernel: Kernel) -> None:
    workflow, key = forward(kernel)
    account = Account("credential_refused")

    def lose(request: Json, key: str) -> Json:
        raise Unknown("no complete answer")

    def run(call: Call, given: ActionInput) -> Json:
        return call.once("pages.print", {"page": 1}, lose if not account.is_well else account.call)

    def find(call: Call, intent: Intent) -> LookupAnswer:
        account.call({}, "")
        return Never()

    action = replace(account.action(), run=run, lookup=find, attempt_seconds=0.1)
    assert attempt(workflow, key, action) is Moves.DOUBT
    for _ in range(5):
        pass_time("2 minutes")
        assert attempt(workflow, key, action) is Moves.DOUBT
        assert wait(workflow, key) <= 60
    assert kernel.workflow(workflow)["attention"] is None
    assert [state["is_ok"] for state in queries.platform_states()] == [False]
    age("2 hours")
    pass_time("2 minutes")
    attempt(workflow, key, action)
    assert kernel.workflow(workflow)["attention"] == "lookup_refused"
    account.is_well = True
    age("1 minute")
    pass_time("2 minutes")
    assert attempt(workflow, key, action) is Moves.FINISH


def test_a_poll_that_is_not_answered_counts_as_no_try(kernel: Kernel) -> None:
    workflow, key = forward(kernel)

    def run(call: Call, given: ActionInput) -> Json:
        def read() -> Json:
            raise Retryable("press is away")

        return call.state_of("page_1", read, 30.0)

    for move in (Moves.SUSPEND, Moves.RETRY, Moves.RETRY):
        assert attempt(workflow, key, replace(actions()[NOOP], run=run)) is move
        pass_time("2 minutes")
    db.row("UPDATE steps SET held_since = held_since - interval '3 hours'", ())
    assert attempt(workflow, key, replace(actions()[NOOP], run=run)) is Moves.RETRY
    step = kernel.step(workflow, key)
    assert (step["tries"], step["error_code"]) == (0, "state_not_read")
    assert kernel.workflow(workflow)["attention"] is None


def test_an_attempt_is_bounded_by_the_time_that_the_action_needs_now(kernel: Kernel) -> None:
    workflow, key = forward(kernel)
    left: list[float] = []

    def run(call: Call, given: ActionInput) -> Json:
        left.append(http.seconds_left())
        return {}

    action = replace(
        actions()[NOOP], run=run, quick=False, attempt_seconds=900.0, seconds=lambda: 60.0
    )
    assert attempt(workflow, key, action) is Moves.FINISH
    assert 0 < left[0] <= 60
