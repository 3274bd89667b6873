"""Which Outcome an action ends with for each failure of its call, and what holds the call back.

One step meets all failures, one after the other, because to prepare it costs more than they do:
each of them leaves the step as it was. A call that never arrives, and an answer that is slow, end
in the seam, before an action could treat them differently. calls.py tries both on one call of each
platform, where the slow one costs a second; the first is tried on each action with --long.
"""

import os
import socket
from collections.abc import Callable, Iterable

import pytest

from app.errors import NotServed, Outcome, Permanent, Retryable
from app.outbound import circuits, limits
from app.outbound.circuits.core import LEAST_CALLS
from app.outbound.circuits.guard import Guard
from app.outbound.circuits.stores import Shared, Stores
from app.settings import Settings
from tests.contract.cases import Cases, Claim, Effect
from tests.contract.stage import Step
from tests.contract.vendors import Vendors

REFUSED: dict[int, tuple[type[Outcome], str | None]] = {
    429: (NotServed, "rate_limited"),
    401: (NotServed, "credential_refused"),
    400: (Permanent, None),
}
"""What a refusal ends with; the code is None if each platform has its own."""
MORE_REFUSED: dict[int, tuple[type[Outcome], str | None]] = {422: (Permanent, None)}
FAILED = (500,)
MORE_FAILED = (408, 502, 503, 504)
GATEWAY = (502, 504)
"""What a gateway answers that has got no whole answer of the platform."""
ASKED_SECONDS = 30


def test_each_failure_of_its_call_has_its_outcome(
    cases: Cases,
    called: Effect,
    step: Claim,
    vendors: Vendors,
    valkey_url: str,
    subtests: pytest.Subtests,
) -> None:
    vendors.change(**called.held)
    prepared = called.prepare(step)
    name = each_outcome(called, prepared, vendors, subtests, REFUSED, FAILED)
    if cases.has_circuits:
        with subtests.test("open circuit"):
            held_by_a_circuit(called, prepared, vendors, name, valkey_url)
    if cases.has_limits:
        with subtests.test("full limit"):
            held_by_a_limit(called, prepared, vendors, name, valkey_url)
    with subtests.test("lost reply"):
        before = called.made(vendors)
        called.plan(vendors, "lost_reply")
        with pytest.raises(called.lost):
            prepared.run()
        assert called.made(vendors) == before + bool(called.books)


@pytest.mark.long
def test_each_other_failure_of_its_call_has_its_outcome(
    called: Effect, step: Claim, vendors: Vendors, subtests: pytest.Subtests
) -> None:
    vendors.change(**called.held)
    prepared = called.prepare(step)
    each_outcome(called, prepared, vendors, subtests, MORE_REFUSED, MORE_FAILED)


@pytest.mark.long
def test_an_action_whose_call_never_arrives_is_tried_again(
    cases: Cases, called: Effect, step: Claim, configure: Callable[..., Settings]
) -> None:
    prepared = called.prepare(step)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        own = {cases.call.url_setting: address, "DATABASE_URL": os.environ["DATABASE_URL"]}
        configure(**own)
        with pytest.raises(Retryable) as caught:
            prepared.run()
    assert caught.value.code == "not_reached"


def each_outcome(
    called: Effect,
    prepared: Step,
    vendors: Vendors,
    subtests: pytest.Subtests,
    refused: dict[int, tuple[type[Outcome], str | None]],
    failed: Iterable[int],
) -> str:
    """Let the step's call fail in each way that does nothing at the vendor; returns the client's
    name of the call."""
    names = set()
    before = called.made(vendors)
    for status, (outcome, code) in refused.items():
        with subtests.test(str(status)):
            called.plan(vendors, "status", status=status, retry_after=7)
            with pytest.raises(outcome) as caught:
                prepared.run()
            names |= tried_once(prepared, str(status))
            assert code in (None, caught.value.code)
            if isinstance(caught.value, NotServed):
                assert caught.value.after == (7 if status == 429 else None)
    for status in failed:
        with subtests.test(str(status)):
            called.plan(vendors, "status", status=status)
            with pytest.raises(called.lost if status in GATEWAY else called.failed):
                prepared.run()
            names |= tried_once(prepared, str(status))
            prepared.settle()
    with subtests.test("reset"):
        called.plan(vendors, "reset_before")
        with pytest.raises(called.lost):
            prepared.run()
        prepared.settle()
    assert called.made(vendors) == before
    (name,) = names
    return name


def tried_once(prepared: Step, status: str) -> set[str]:
    """The client's name of the call that was answered so: it was not repeated in the attempt."""
    (failed,) = [call.operation for call in prepared.calls if call.status == status]
    return {failed}


def held_by_a_circuit(
    called: Effect, prepared: Step, vendors: Vendors, name: str, valkey_url: str
) -> None:
    """Another process has opened the circuit of the call: it is not made, and it is said why."""
    other = Guard(Stores(Shared(valkey_url)), lambda change: None)
    name, call = f"{name} {called.part}".rstrip(), name
    for _ in range(LEAST_CALLS):
        passage = other.enter((called.platform, name), 4.0)
        other.leave(passage, is_served=False, why="it answered 503")
    other.close()
    circuits.share(valkey_url)
    try:
        caught = held(called, prepared, vendors, call)
    finally:
        circuits.forget()
    assert caught.code == "circuit_open"
    assert f"{called.platform} is not asked for {name}: " in caught.message
    assert "it answered 503" in caught.message


def held_by_a_limit(
    called: Effect, prepared: Step, vendors: Vendors, name: str, valkey_url: str
) -> None:
    """A refusal has closed the limit for some time: the next call is not made."""
    limits.share(valkey_url)
    try:
        called.plan(vendors, "status", status=429, retry_after=ASKED_SECONDS)
        with pytest.raises(NotServed):
            prepared.run()
        caught = held(called, prepared, vendors, name)
    finally:
        limits.forget()
    assert caught.code == "rate_limited"
    assert f" of {called.platform} is used up for " in caught.message


def held(called: Effect, prepared: Step, vendors: Vendors, name: str) -> NotServed:
    """Run the step, whose call is not made: the step waits, and no try of it counts."""
    before = called.made(vendors)
    with pytest.raises(NotServed) as caught:
        prepared.run()
    assert name not in [call.operation for call in prepared.calls]
    assert called.made(vendors) == before
    assert caught.value.after is not None
    assert caught.value.after > 0
    return caught.value
