"""A text is paid once, if the step's author says so; nobody gets what another user has paid for."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from app import db
from app.identity import keys
from app.platform import Json
from app.settings import Settings
from chains.commands.command import caller_of
from chains.commands.fork import fork
from chains.commands.retry import retry
from tests.contract.reuse.asking import BRIEF, caption, carry, ended, reuses, run_at
from tests.contract.vendors import Vendors
from tests.forgetting import forget
from tests.forked import forked
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, run

REFUSED = "How to build a bomb"


def test_an_equal_request_gets_the_known_result_for_nothing_and_says_so(
    kernel: Kernel, vendors: Vendors
) -> None:
    first, second = ended(kernel, caption()), ended(kernel, caption())
    assert vendors.count("captions") == 1
    made, taken = kernel.step(first, "write"), kernel.step(second, "write")
    assert (taken["status"], taken["output"]) == ("succeeded", made["output"])
    assert (taken["cost"], kernel.workflow(second)["spent"]) == (None, 0)
    assert made["cost"] > 0
    assert reuses(kernel, first) == []
    assert reuses(kernel, second) == [
        {"workflow": str(first), "from": "write", "saved": made["cost"]}
    ]
    assert db.rows("SELECT 1 FROM intents WHERE workflow_id = %s", (second,)) == []


@pytest.mark.parametrize(
    "other",
    [{"cache": False}, {"cache": None}, {"brief": "A circus in the snow"}, {"style": "dry"}],
)
def test_another_request_or_one_that_wants_its_own_result_is_made(
    kernel: Kernel, vendors: Vendors, other: dict[str, object]
) -> None:
    ended(kernel, caption())
    assert reuses(kernel, ended(kernel, caption(**other))) == []
    assert vendors.count("captions") == 2


def test_texts_are_reused_by_default_for_a_time_and_a_fresh_one_can_be_had(
    kernel: Kernel, vendors: Vendors, configure: Callable[..., Settings]
) -> None:
    # The sandbox ends all reuse for its clients, which count its calls.
    assert reuses(kernel, [ended(kernel, caption(cache=None)) for _ in range(2)][1]) == []
    own = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
    configure(**own, OPENAI_CACHE_SECONDS="")
    first = ended(kernel, caption(cache=None))
    (taken,) = reuses(kernel, ended(kernel, caption(cache=None)))
    assert taken["workflow"] == str(first)
    assert reuses(kernel, ended(kernel, caption(cache=False))) == []
    assert vendors.count("captions") == 4
    fresh = check(BRIEF, cache=None)
    assert [len(reuses(kernel, ended(kernel, fresh))) for _ in range(2)] == [0, 1]
    age = "UPDATE steps SET finished_at = finished_at - interval '61 min' RETURNING 1"
    db.rows(age, ())
    assert reuses(kernel, ended(kernel, fresh)) == []
    assert len(reuses(kernel, ended(kernel, caption(cache=None)))) == 1
    configure(**own, OPENAI_CACHE_SECONDS="", OPENAI_MODERATION_MODEL="omni-moderation-2024-09-26")
    assert reuses(kernel, ended(kernel, fresh)) == []
    assert vendors.count("moderations") == 3


def test_an_output_of_an_older_release_is_made_anew(kernel: Kernel, vendors: Vendors) -> None:
    ended(kernel, caption())
    db.rows("UPDATE steps SET output = output - 'tokens' WHERE key = 'write' RETURNING 1", ())
    second = ended(kernel, caption())
    assert (vendors.count("captions"), reuses(kernel, second)) == (2, [])
    assert kernel.step(second, "write")["output"]["tokens"] > 0


def test_nobody_gets_what_another_user_has_paid_for(kernel: Kernel, vendors: Vendors) -> None:
    ended(kernel, caption())
    bob, _ = keys.create_key("bob@example.com")
    assert reuses(kernel, ended(Kernel(bob), caption())) == []
    assert vendors.count("captions") == 2


def test_a_result_is_as_old_as_the_author_allows(kernel: Kernel, vendors: Vendors) -> None:
    ended(kernel, caption())
    db.rows("UPDATE steps SET finished_at = finished_at - interval '70 s' RETURNING 1", ())
    assert len(reuses(kernel, ended(kernel, caption(cache=80)))) == 1
    assert reuses(kernel, ended(kernel, caption(cache=60))) == []
    assert len(reuses(kernel, ended(kernel, caption(cache=60)))) == 1
    assert vendors.count("captions") == 2


def test_a_refusal_is_asked_again(kernel: Kernel, vendors: Vendors) -> None:
    for _ in range(2):
        asked = ended(kernel, check(REFUSED))
        assert kernel.step(asked, "check")["error_code"] == "brief_refused"
    assert [len(reuses(kernel, ended(kernel, check(BRIEF)))) for _ in range(2)] == [0, 1]


def test_a_fork_pays_anew_and_its_result_is_the_known_one(kernel: Kernel, vendors: Vendors) -> None:
    first = ended(kernel, caption())
    anew = fork(caller_of(kernel.user_id), first, from_step="write").id
    carry(kernel, anew)
    assert (vendors.count("captions"), reuses(kernel, anew)) == (2, [])
    (taken,) = reuses(kernel, ended(kernel, caption()))
    assert taken["workflow"] == str(anew)


def test_each_turn_of_a_loop_asks_anew_and_only_the_first_takes_a_known_result(
    kernel: Kernel, vendors: Vendors
) -> None:
    until_content = {"loop": "ask", "until": "`false`", "max": 3, "do": caption()}
    for made in (3, 5):
        workflow = ended(kernel, until_content)
        assert kernel.workflow(workflow)["error"]["code"] == "loop_exhausted"
        assert vendors.count("captions") == made
    assert [each["type"] for each in kernel.events(workflow)].count("StepReused") == 1
    (taken,) = reuses(kernel, ended(kernel, caption()))
    assert (taken["workflow"], taken["from"]) == (str(workflow), "ask[2].write")


def test_a_step_that_was_started_anew_by_new_keys_pays_anew(
    kernel: Kernel, vendors: Vendors
) -> None:
    ended(kernel, caption())
    second = kernel.start(kernel.register(caption()))
    db.rows("UPDATE steps SET generation = 1 WHERE workflow_id = %s RETURNING 1", (second,))
    carry(kernel, second)
    assert (vendors.count("captions"), reuses(kernel, second)) == (2, [])


def test_a_step_that_was_started_anew_after_a_call_makes_the_known_result(
    kernel: Kernel, vendors: Vendors
) -> None:
    """Its old input is no longer the request whose result it makes, whether it claims or not."""
    overloaded = {"status": 503, "code": "server_is_overloaded"}
    vendors.fault("openai", "chat.completions.create", "status", **overloaded)
    first = kernel.start(kernel.register(caption()))
    run(first, "write", "openai.caption")
    dry = {"brief": BRIEF, "cache": True, "style": "dry"}
    retry(caller_of(kernel.user_id), first, input=dry, reason="too long")
    carry(kernel, first)
    assert kernel.step(first, "write")["generation"] == 1
    (taken,) = reuses(kernel, ended(kernel, caption(style="dry")))
    assert taken["workflow"] == str(first)
    assert reuses(kernel, ended(kernel, caption())) == []


@pytest.mark.parametrize("cache", [False, True])
def test_a_corrected_step_is_not_the_maker_of_its_old_request(
    kernel: Kernel, vendors: Vendors, cache: bool
) -> None:
    vendors.fault("openai", "moderations.create", "status", status=500)
    first = kernel.start(kernel.register(check(REFUSED)))
    run(first, "check", "openai.moderate")
    assert db.rows("SELECT step_key FROM known_results", ()) == [{"step_key": "check"}]
    retry(caller_of(kernel.user_id), first, input={"brief": BRIEF, "cache": cache}, reason="typo")
    carry(kernel, first)
    assert kernel.step(first, "check")["status"] == "succeeded"
    second = ended(kernel, check(REFUSED))
    assert kernel.step(second, "check")["error_code"] == "brief_refused"


def test_a_step_that_makes_a_request_for_itself_claims_no_result(
    kernel: Kernel, vendors: Vendors
) -> None:
    first = kernel.start(kernel.register(check(BRIEF)))
    vendors.fault("openai", "moderations.create", "status", status=500)
    run(first, "check", "openai.moderate")
    db.row(
        """UPDATE steps SET input = '{"brief": "Another", "cache": false}'"""
        " WHERE workflow_id = %s RETURNING 1",
        (first,),
    )
    carry(kernel, first)
    assert kernel.step(first, "check")["status"] == "succeeded"
    assert db.rows("SELECT 1 FROM known_results", ()) == []


@pytest.mark.parametrize("setting", ["OPENAI_BASE_URL", "OPENAI_API_KEY"])
def test_what_another_account_has_made_is_not_reused(
    kernel: Kernel, vendors: Vendors, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    ended(kernel, caption())
    other = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "sk-of-another-account"}
    monkeypatch.setenv(setting, other[setting])
    forget()
    second = kernel.start(kernel.register(caption()))
    run(second, "write", "openai.caption")
    assert (kernel.step(second, "write")["output"], reuses(kernel, second)) == (None, [])


def check(brief: str, cache: bool | None = True) -> Json:
    """A node that lets a brief be judged, by default as it was judged before."""
    given = {"brief": brief, "cache": cache}
    return {"step": "check", "action": "openai.moderate", "with": given}


def test_what_a_person_has_stated_and_what_is_undone_is_not_reused(
    kernel: Kernel, vendors: Vendors
) -> None:
    ended(kernel, caption())
    db.rows("UPDATE steps SET resolved_output = output RETURNING 1", ())
    assert reuses(kernel, ended(kernel, caption())) == []
    db.rows("UPDATE steps SET status = 'compensated' RETURNING 1", ())
    assert reuses(kernel, ended(kernel, caption())) == []
    assert vendors.count("captions") == 3


def test_a_step_waits_for_another_without_a_worker_and_then_takes_its_result(
    kernel: Kernel, vendors: Vendors
) -> None:
    first, second = _making(kernel)
    assert run(second, "write", "openai.caption")
    waiting = kernel.step(second, "write")
    assert (waiting["status"], waiting["error_code"]) == ("pending", "waits_for_result")
    assert (waiting["tries"], vendors.count("captions")) == (0, 1)
    db.rows("UPDATE steps SET status = 'pending' WHERE status = 'running' RETURNING 1", ())
    carry(kernel, first, second)
    assert (len(reuses(kernel, second)), vendors.count("captions")) == (1, 2)
    assert kernel.step(second, "write")["error_code"] is None


def _making(kernel: Kernel) -> tuple[UUID, UUID]:
    """Two workflows that want the same caption, of which the first makes it now, after it was
    forgotten who had made it before."""
    ended(kernel, caption())
    first, second = (kernel.start(kernel.register(caption())) for _ in range(2))
    db.row("UPDATE known_results SET workflow_id = %s RETURNING 1", (first,))
    kernel.claim(first, "write")
    return first, second


@pytest.mark.parametrize("how", ["its time is over", "it has failed", "it is paused"])
def test_a_step_whose_maker_does_not_come_to_an_end_makes_the_result(
    kernel: Kernel, vendors: Vendors, how: str
) -> None:
    first, second = _making(kernel)
    change = {
        "its time is over": "UPDATE known_results SET claimed_at = claimed_at - interval '121 s'",
        "it has failed": f"UPDATE steps SET status = 'failed' WHERE workflow_id = '{first}'",
        "it is paused": f"UPDATE workflows SET paused_at = now() WHERE id = '{first}'",
    }[how]
    db.rows(f"{change} RETURNING 1", ())
    carry(kernel, second)
    assert (reuses(kernel, second), vendors.count("captions")) == ([], 2)
    row = db.row("SELECT workflow_id FROM known_results", ())
    assert row == {"workflow_id": second}


@pytest.mark.parametrize(("tier", "payers"), [("default", 1), ("flex", 0), ("auto", 0)])
def test_a_call_that_waits_for_room_is_not_paid_by_another_meanwhile(
    kernel: Kernel,
    vendors: Vendors,
    monkeypatch: pytest.MonkeyPatch,
    tier: str,
    payers: int,
) -> None:
    monkeypatch.setenv("OPENAI_SERVICE_TIER", tier)
    forget()
    _, second = _making(kernel)
    known = vendors.count("captions")
    db.rows("UPDATE known_results SET claimed_at = claimed_at - interval '900 s' RETURNING 1", ())
    assert run(second, "write", "openai.caption")
    assert vendors.count("captions") == known + payers


@pytest.mark.parametrize("processes", [3, pytest.param(20, marks=pytest.mark.long)])
def test_of_processes_that_make_one_request_at_once_one_pays(
    kernel: Kernel, vendors: Vendors, processes: int
) -> None:
    name = kernel.register(caption())
    workflows = [kernel.start(name) for _ in range(processes)]
    begin = time.time() + 2 + processes / 4
    with ThreadPoolExecutor(processes) as pool:
        asked = [pool.submit(forked, run_at, begin, str(each)) for each in workflows]
        said = [each.result() for each in asked]
    assert [each.stdout for each in said] == ["True"] * processes, said[0].stderr
    carry(kernel, *workflows)
    assert vendors.count("captions") == 1
    assert sum(len(reuses(kernel, each)) for each in workflows) == processes - 1
    outputs = [kernel.step(each, "write")["output"] for each in workflows]
    assert outputs == outputs[:1] * processes
    assert drive() == []
