"""The kit for tests of definitions: fakes, the virtual clock, what a run tells."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from app.errors import InvalidInput
from app.platform import Json, Undo
from chains.definitions import face_swap_campaign
from chains.rehearsal import (
    FakeMissing,
    Permanent,
    Retryable,
    Run,
    Suspends,
    Takes,
    Unknown,
    rehearse,
)
from tests.unit.definitions import noop

LONGEST_SECONDS = 0.25
PHOTO = "0190b8c5-7a64-7000-8000-000000000000"


@pytest.fixture(autouse=True)
def _is_quick() -> Iterator[None]:
    """A rehearsal takes milliseconds; the bound leaves room for a busy machine."""
    began = time.process_time()
    yield
    assert time.process_time() - began < LONGEST_SECONDS


ORDER: Json = {
    "name": "order",
    "input_schema": {"type": "object", "required": ["email"]},
    "do": {
        "sequence": [
            {
                "step": "hold",
                "action": "stripe.authorize",
                "with": {
                    "customer_email": {"$": "input.email"},
                    "payment_method": "pm_card_visa",
                    "amount": 1000,
                    "currency": "eur",
                },
            },
            {"approval": "review", "timeout": "7d"},
            {
                "step": "capture",
                "action": "stripe.capture",
                "with": {"payment_intent": {"$": "steps.hold.output.payment_intent"}},
                "retry": {"tries": 3, "backoff": "10s"},
            },
            {
                "step": "notify",
                "action": "n8n.notify",
                "with": {"event": "order.paid", "data": {"$": "steps.capture.output"}},
            },
        ]
    },
    "output": {"receipt": {"$": "steps.capture.output.receipt"}},
}
INPUT = {"email": "ada@example.com"}
FAKES: Json = {
    "stripe.authorize": {"payment_intent": "pi_1"},
    "stripe.capture": {"receipt": "r1"},
    "n8n.notify": {},
}
YES = ("review", {"approved": True})


def order(signals: Any = (YES,), **fakes: Any) -> Run:
    """A rehearsed order; `stripe_capture=...` replaces the fake of stripe.capture."""
    replaced = {name.replace("_", ".", 1): fake for name, fake in fakes.items()}
    return rehearse(ORDER, input=INPUT, actions=FAKES | replaced, signals=signals)


def one(action: str = "n8n.notify", **rest: Any) -> Json:
    """A definition of one step."""
    step = {"step": "a", "action": action, "with": {"event": "e", "data": {}}, **rest}
    return {"name": "one", "do": step}


def test_a_run_tells_its_end_its_steps_and_its_calls() -> None:
    run = order()
    assert (run.status, run.output, run.error) == ("succeeded", {"receipt": "r1"}, None)
    assert run.ran == ["hold", "review", "capture", "notify"]
    assert run.calls("stripe.capture") == [{"payment_intent": "pi_1"}]
    assert run.steps["capture"].input == {"payment_intent": "pi_1"}
    assert run.steps["capture"].attempts == run.steps["review"].attempts == 1
    assert run.elapsed == timedelta(0)


def test_a_failure_is_undone_in_reverse_with_what_the_steps_did() -> None:
    seen: list[Undo] = []

    def void(undone: Undo) -> Json:
        seen.append(undone)
        return {"voided": True}

    run = rehearse(
        ORDER,
        input=INPUT,
        actions=FAKES | {"n8n.notify": Permanent("down", code="n8n_failed")},
        undo={"stripe.authorize": void},
        signals=[YES],
    )
    assert (run.status, run.undone) == ("compensated", ["capture", "hold"])
    assert run.error == {"code": "n8n_failed", "message": "down", "step": "notify"}
    assert run.steps["hold~undo"].output == {"voided": True}
    assert [undone.output for undone in seen] == [{"payment_intent": "pi_1"}]


def test_attempts_follow_the_steps_policy_on_the_virtual_clock() -> None:
    answers = [Retryable("limited"), Retryable("limited"), {"receipt": "r3"}]
    run = order(stripe_capture=answers)
    assert (run.status, run.output) == ("succeeded", {"receipt": "r3"})
    assert run.steps["capture"].attempts == 3
    assert run.elapsed == timedelta(seconds=10 + 20)
    run = order(stripe_capture=Retryable("limited", code="rate_limited"))
    assert (run.status, run.steps["capture"].attempts) == ("compensated", 3)
    assert run.error is not None
    assert (run.error["code"], run.error["tries"]) == ("rate_limited", 3)


def test_what_the_vendor_asks_for_is_waited_for() -> None:
    run = order(stripe_capture=[Retryable("limited", after=3600), {"receipt": "r"}])
    assert run.elapsed == timedelta(hours=1)


def test_a_fake_may_be_a_function_of_the_input() -> None:
    run = order(stripe_capture=lambda given: {"receipt": given["payment_intent"].upper()})
    assert run.output == {"receipt": "PI_1"}


def test_a_fault_of_the_fake_itself_fails_the_test() -> None:
    with pytest.raises(KeyError, match="amount"):
        order(stripe_capture=lambda given: given["amount"])


def test_a_missing_fake_is_named_with_what_to_add() -> None:
    with pytest.raises(FakeMissing, match=r"step 'a' calls n8n\.notify.*add actions=.\"n8n"):
        rehearse(one())
    with pytest.raises(FakeMissing, match=r"there is no action 'n8n\.notfy'"):
        rehearse(one(), actions={"n8n.notfy": {}})
    with pytest.raises(FakeMissing, match=r"undo: there is no action 'n8n\.notify'"):
        rehearse(one(), actions={"n8n.notify": {}}, undo={"n8n.notify": {}})
    with pytest.raises(FakeMissing, match=r"makes call 2 of n8n\.notify"):
        rehearse(one(), actions={"n8n.notify": [Retryable("again")]})
    child = {"name": "parent", "do": {"workflow": "c", "type": "sub"}}
    with pytest.raises(FakeMissing, match="add definitions="):
        rehearse(child)


def test_a_wrong_input_fails_as_in_production() -> None:
    run = order(stripe_authorize={"payment_intent": "no id of Stripe's"})
    assert run.error is not None
    assert run.error["code"] == "invalid_input"
    assert run.error["message"].startswith("input /payment_intent: String should match pattern")
    assert run.calls("stripe.capture") == []
    with pytest.raises(InvalidInput, match="this field is required"):
        rehearse(ORDER, input={}, actions=FAKES)


def test_a_wrong_definition_is_refused_as_in_production() -> None:
    with pytest.raises(InvalidInput, match=r"there is no action 'stripe\.grab'"):
        rehearse(one("stripe.grab"))
    with pytest.raises(InvalidInput, match="does not exist or is not done before"):
        rehearse({"name": "x", "do": noop("a", v={"$": "steps.b.output"})})


def test_signals_come_at_their_time_or_never() -> None:
    run = order(signals=[("review", {"approved": True, "by": "eve@example.com"}, "2d")])
    assert (run.status, run.elapsed) == ("succeeded", timedelta(days=2))
    assert run.steps["review"].output["by"] == "eve@example.com"
    run = order(signals=[])
    assert (run.status, run.elapsed) == ("compensated", timedelta(days=7))
    assert run.undone == ["hold"]
    run = order(signals=[("review", {"approved": False, "comment": "too dear"})])
    assert run.error is not None
    assert run.error["message"].endswith("too dear")


def test_a_vendor_is_waited_for_until_the_steps_time_out() -> None:
    slow = {"n8n.notify": Suspends("3h", {"done": True})}
    run = rehearse(one(), actions=slow)
    assert (run.status, run.elapsed) == ("succeeded", timedelta(hours=3))
    assert run.steps["a"].output == {"done": True}
    assert run.steps["a"].attempts == 1
    run = rehearse(one(timeout="2h"), actions=slow)
    assert (run.status, run.elapsed) == ("failed", timedelta(hours=2))
    assert run.error is not None
    assert run.error["code"] == "timed_out"


def test_an_attempt_is_bounded_and_tried_again() -> None:
    slow = {"n8n.notify": [Takes("40s"), Takes("20s", {"done": True})]}
    run = rehearse(one(attempt_timeout="30s", retry={"backoff": "1s"}), actions=slow)
    assert (run.status, run.elapsed) == ("succeeded", timedelta(seconds=30 + 1 + 20))
    node = {"step": "a", "action": "control.sleep", "with": {"seconds": 1800}}
    assert rehearse({"name": "x", "do": node}).elapsed == timedelta(minutes=30)


def test_a_workflows_time_out_undoes_it() -> None:
    run = rehearse(ORDER | {"timeout": "1d"}, input=INPUT, actions=FAKES)
    assert run.error is not None
    assert (run.status, run.error["code"]) == ("compensated", "timed_out")
    assert (run.elapsed, run.undone) == (timedelta(days=1), ["hold"])


def test_a_running_attempt_is_waited_for_before_anything_is_undone() -> None:
    node = {
        "parallel": "both",
        "branches": [
            {"step": "slow", "action": "agora.open_channel", "with": {"title": "t"}},
            {"step": "bad", "action": "control.fail"},
        ],
    }
    opened = {"agora.open_channel": Takes("20s", {"channel": "c"})}
    run = rehearse({"name": "x", "do": node}, actions=opened)
    assert (run.status, run.undone, run.elapsed) == ("compensated", ["slow"], timedelta(seconds=20))
    assert run.steps["slow"].output == {"channel": "c"}


def test_a_pivot_on_its_way_refuses_the_stop() -> None:
    node = {
        "parallel": "both",
        "branches": [
            {"sequence": [{**one()["do"], "pivot": True}, noop("after")]},
            {"step": "bad", "action": "control.fail"},
        ],
    }
    run = rehearse({"name": "x", "do": node}, actions={"n8n.notify": Takes("20s", {})})
    assert (run.status, run.attention) == ("running", "step_failed")
    assert run.steps["after"].status == "succeeded"


def test_a_compensation_that_gives_up_needs_a_person() -> None:
    run = rehearse(
        ORDER,
        input=INPUT,
        actions=FAKES,
        undo={"stripe.authorize": Permanent("gone")},
    )
    assert (run.status, run.attention) == ("compensating", "compensation_failed")
    assert (run.undone, run.steps["hold~undo"].status) == ([], "failed")
    run = rehearse(
        ORDER,
        input=INPUT,
        actions=FAKES,
        undo={"stripe.authorize": [Retryable("away"), Retryable("away"), {}]},
    )
    assert (run.status, run.elapsed) == ("compensated", timedelta(days=7, seconds=3))
    slow = {"stripe.authorize": Suspends("1h", {"released": True})}
    run = rehearse(ORDER, input=INPUT, actions=FAKES, undo=slow)
    assert (run.status, run.elapsed) == ("compensated", timedelta(days=7, hours=1))
    assert run.steps["hold~undo"].output == {"released": True}


def test_an_unknown_outcome_is_looked_up_and_sent_again() -> None:
    run = order(stripe_capture=[Unknown("reset"), {"receipt": "r2"}])
    assert (run.status, run.output) == ("succeeded", {"receipt": "r2"})
    run = order(stripe_capture=Unknown("reset"))
    assert run.error is not None
    assert run.error["code"] == "never_took_effect"
    assert run.undone == ["hold"]


def test_children_are_rehearsed_with_their_signals_and_undone() -> None:
    body = {
        "name": "parent",
        "do": {
            "sequence": [
                {"workflow": "order", "type": "order", "with": {"email": {"$": "input.email"}}},
                {"step": "end", "action": "control.fail"},
            ]
        },
    }
    run = rehearse(
        body,
        input=INPUT,
        actions=FAKES,
        definitions={"order": ORDER},
        signals=[("order/review", {"approved": True}, "3h")],
    )
    assert (run.status, run.undone, run.elapsed) == ("compensated", ["order"], timedelta(hours=3))
    child = run.children["order"]
    assert (child.status, child.undone) == ("compensated", ["capture", "hold"])
    assert child.output == {"receipt": "r1"}
    assert len(run.calls("stripe.capture")) == 1


def test_a_workflow_may_start_itself() -> None:
    again = {"workflow": "again", "type": "me", "when": "input.n > `0`"}
    body = {"name": "me", "do": {**again, "with": {"n": {"$": "input.n"}}}}
    run = rehearse(body, input={"n": 1})
    assert run.error is not None
    assert "children may be at most 20 levels deep" in run.error["message"]


def test_a_map_of_waits_takes_no_time() -> None:
    node = {
        "map": "m",
        "over": {"$": "input.items"},
        "max_concurrency": 2,
        "do": {"wait": "w", "for": "1h"},
    }
    run = rehearse({"name": "x", "do": node}, input={"items": list(range(20))})
    assert (run.status, run.elapsed) == ("succeeded", timedelta(hours=10))


def test_the_campaign_that_ships_can_be_rehearsed() -> None:
    run = rehearse(
        face_swap_campaign.BODY,
        input={
            "customer_email": "ada@example.com",
            "payment_method": "pm_card_visa",
            "price": {"amount": 4900, "currency": "eur"},
            "source": PHOTO,
            "targets": [PHOTO, PHOTO],
            "brief": "Summer",
            "consent": {"by": "Ada", "at": "2026-01-01", "text": "yes"},
        },
        actions={
            "stripe.authorize": {"payment_intent": "pi_1"},
            "openai.moderate": {"flagged": False},
            "openai.caption": {"caption": "Sun"},
            "replicate.predict": Suspends("2m", {"picture": {"id": PHOTO}}),
            "stripe.capture": {"receipt_url": "r"},
            "vercel.deploy": Suspends("1m", {"url": "https://page.example"}),
            "agora.open_channel": {"channel": "c"},
            "n8n.notify": Permanent("down"),
        },
    )
    assert run.error is not None
    assert (run.status, run.error["message"]) == ("compensated", "down")
    assert run.elapsed == timedelta(minutes=3)
    assert run.undone[-1] == "authorize"
    assert set(run.undone) >= {"capture", "deploy", "swap[0].render", "open_channel"}


def test_a_rehearsal_warns_of_approvers_whom_no_user_is() -> None:
    asks = {"approval": "review", "by": {"$": "input.chiefs"}}
    later = {"approval": "again", "by": {"$": "steps.made.output.editor"}}
    made = noop("made", editor="eve@example.com")
    body = {"name": "asked", "do": {"sequence": [asks, made, later]}}

    def warned(**users: Any) -> str:
        chiefs = ["Ada@example.com", "bob@example.com"]
        yes = [(name, {"approved": True}) for name in ("review", "again")]
        run = rehearse(body, input={"chiefs": chiefs}, signals=yes, **users)
        assert run.status == "succeeded"
        return "; ".join(run.warnings)

    everyone = ["ada@example.com", "bob@example.com", "eve@example.com"]
    assert "no users" in (unchecked := warned())
    assert ", ".join(everyone) in unchecked
    assert warned(users=everyone) == ""
    assert "no user has the address bob@example.com, eve@example.com" in warned(users=everyone[:1])
    assert "has the address eve@example.com" in warned(users=lambda asked: asked[2:])
    assert rehearse({"name": "alone", "do": noop("a")}).warnings == []
