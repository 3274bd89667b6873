"""The seam's calls pass circuits, which processes share through Valkey."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.errors import NotServed, Outcome, Permanent, Retryable, Unknown
from app.outbound import circuits, http, limits
from app.outbound.circuits.core import CLOSED, OPEN
from app.outbound.circuits.guard import Guard
from app.outbound.circuits.spreading import GAP_SECONDS
from app.outbound.circuits.stores import Shared, Stores
from app.outbound.circuits.telling import Change
from app.settings import Settings
from tests.contract.seam.vendor import Vendor, eventually, vendor
from tests.forked import forked

PRINT = ("press", "print")
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def press() -> Iterator[Vendor]:
    with vendor() as made:
        yield made


@pytest.fixture
def shared(configure: Callable[..., Settings], fresh_database: str, valkey_url: str) -> str:
    """Calls of this process pass circuits in this Valkey; its address."""
    configure(DATABASE_URL=fresh_database, REDIS_URL=valkey_url)
    circuits.share(valkey_url)
    return valkey_url


class Other:
    """Another process with the same Valkey; the changes that it tells of."""

    def __init__(self, redis_url: str) -> None:
        self.changes: list[Change] = []
        self.guard = Guard(Stores(Shared(redis_url)), self.changes.append)

    def is_open(self, slow_seconds: float = 4.0) -> bool:
        """Whether it does not let a call through."""
        try:
            passage = self.guard.enter(PRINT, slow_seconds)
        except NotServed:
            return True
        self.guard.leave(passage, is_served=None)
        return False


@pytest.fixture
def other(shared: str) -> Iterator[Other]:
    made = Other(shared)
    yield made
    made.guard.close()


def is_open(press: Vendor) -> bool:
    """Make a call; whether it was held back."""
    try:
        press.ask()
    except NotServed as err:
        return err.code == "circuit_open"
    except Outcome:
        return False
    return False


def opens(press: Vendor) -> None:
    """Make calls until the circuit is open."""
    eventually(lambda: is_open(press), seconds=20)


@pytest.mark.parametrize("status", [500, 503, 529])
def test_after_ten_calls_that_fail_no_more_are_made_by_any_process(
    press: Vendor, shared: str, other: Other, status: int
) -> None:
    press.status = status
    for _ in range(9):
        assert press.ask() == status
    time.sleep(0.5)
    assert press.ask() == status
    eventually(lambda: is_open(press), seconds=20)
    eventually(other.is_open, seconds=5)
    asked, calls = press.asked, list[http.HttpCall]()
    with http.exchange_scope(time.monotonic() + 5.0, calls), pytest.raises(NotServed) as caught:
        press.ask()
    assert (press.asked, calls) == (asked, [])
    assert caught.value.code == "circuit_open"
    assert caught.value.after is not None
    assert 0 < caught.value.after <= 2.5
    assert "press is not asked for print: " in caught.value.message
    assert f"failed or were slow, the last one: it answered {status}; " in caught.value.message
    assert "the next call is made after " in caught.value.message
    assert press.ask(operation="look") == status  # other operations have circuits of their own


def test_a_call_of_an_open_circuit_takes_no_place_under_a_limit(press: Vendor, shared: str) -> None:
    limits.share(shared)
    demand = http.Demand((http.Limit("account", requests=1),))
    press.status = 503
    opens(press)
    for _ in range(20):
        with (
            http.exchange_scope(time.monotonic() + 60, [], is_retry=True),
            pytest.raises(NotServed, match="press is not asked for print"),
        ):
            press.ask(demand=demand)
    with http.exchange_scope(time.monotonic() + 60, [], is_retry=True):
        assert press.ask(operation="look", demand=demand) == 503


def test_a_platform_that_is_not_reached_is_not_called(press: Vendor, shared: str) -> None:
    press.url = "http://127.0.0.1:1/"
    opens(press)


@pytest.mark.parametrize("status", [200, 400, 402, 404, 408, 409, 429])
def test_a_refusal_says_that_the_platform_works(press: Vendor, shared: str, status: int) -> None:
    press.status = status
    assert [press.ask() for _ in range(30)] == [status] * 30
    time.sleep(0.5)
    assert press.ask() == status


def test_an_address_that_a_user_has_named_has_no_circuit(
    press: Vendor, shared: str, configure: Callable[..., Settings]
) -> None:
    configure(OUTBOUND_ALLOWED=press.url.split("/")[2])
    circuits.share(shared)
    press.status = 503
    with http.operation("http", "GET 127.0.0.1", repeatable=True):
        for _ in range(30):
            assert http.send("POST", press.url, body=b"{}", is_guarded=True).status == 503
            time.sleep(0.01)


def test_what_ends_on_our_side_is_not_counted(press: Vendor, shared: str) -> None:
    for _ in range(15):
        with http.exchange_scope(time.monotonic(), []), pytest.raises(Retryable) as late:
            press.ask()
        assert late.value.code == "deadline_passed"
        with pytest.raises(Permanent), http.operation("press", "print", repeatable=True):
            http.send("POST", "nowhere")
    press.hang()
    with ThreadPoolExecutor(15) as pool:

        def cut() -> None:
            """The attempt ends before the platform has had its time."""
            with (
                http.exchange_scope(time.monotonic() + 1.5, []),
                pytest.raises(Retryable) as lost,
            ):
                press.ask()
            assert lost.value.code in ("no_answer", "deadline_passed")

        for each in [pool.submit(cut) for _ in range(15)]:
            each.result(30)
    press.goes_on.set()
    time.sleep(0.5)
    assert press.ask() == 200


def test_calls_that_hang_open_it_while_they_run(press: Vendor, other: Other) -> None:
    press.hang()
    with ThreadPoolExecutor(12) as pool:
        running = [pool.submit(press.ask, slow=1.0) for _ in range(12)]
        eventually(other.is_open, seconds=20)
        assert not any(each.done() for each in running)
        press.goes_on.set()
        assert {each.result(30) for each in running} == {200}


def stand_still(url: str, redis_url: str) -> None:
    """Make twelve calls, and stop this process for 3 s while they wait for their answers."""
    circuits.share(redis_url)
    asking = Vendor()
    asking.url = url
    with ThreadPoolExecutor(12) as pool:
        running = [pool.submit(asking.ask, slow=1.5) for _ in range(12)]
        time.sleep(0.3)
        with subprocess.Popen(["sh", "-c", f"sleep 3; kill -CONT {os.getpid()}"]):
            os.kill(os.getpid(), signal.SIGSTOP)
            assert {each.result(30) for each in running} == {200}
    time.sleep(0.5)
    assert asking.ask() == 200
    circuits.forget()


def test_the_time_in_which_this_process_is_stopped_is_no_time_of_the_platform(
    press: Vendor, shared: str, other: Other
) -> None:
    press.hang()
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(forked, stand_still, press.url, shared)
        eventually(lambda: press.asked == 12 or stopped.done(), seconds=30)
        time.sleep(0.6)
        press.goes_on.set()
        ended = stopped.result(60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert press.asked == 13
    assert not other.is_open()


def test_it_closes_after_three_calls_that_succeed_and_old_calls_do_not_open_it(
    press: Vendor, shared: str, other: Other
) -> None:
    press.hang()
    with ThreadPoolExecutor(24) as pool:
        running = [pool.submit(press.ask, slow=0.5) for _ in range(12)]
        eventually(other.is_open, seconds=20)
        press.goes_on.set()
        hanging, press.status = press.asked, 200
        eventually(lambda: not is_open(press) and press.asked >= hanging + 3, seconds=30)
        for each in running:
            each.result(30)
    time.sleep(0.5)
    assert [press.ask() for _ in range(20)] == [200] * 20
    eventually(lambda: not other.is_open(), seconds=5)


def test_one_call_at_a_time_tries_and_a_failure_doubles_the_wait(
    press: Vendor, shared: str
) -> None:
    press.status = 503
    opens(press)
    asked = press.asked
    press.hang()
    time.sleep(2.2)
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(is_open, press) for _ in range(8)]
        eventually(lambda: sum(each.done() for each in running) == 7, seconds=20)
        eventually(lambda: press.asked > asked, seconds=20)
        assert press.asked == asked + 1
        press.goes_on.set()
        assert all(each.result(30) for each in running)
    with pytest.raises(NotServed) as caught:
        press.ask()
    assert caught.value.after is not None
    assert 2.0 < caught.value.after <= 5.0
    assert "the call that tried whether it is over failed: it answered 503" in str(caught.value)


def test_a_trial_that_hangs_has_failed_before_it_ends(press: Vendor, other: Other) -> None:
    press.status = 503
    opens(press)
    press.hang()
    time.sleep(2.2)
    asked = press.asked
    with ThreadPoolExecutor(1) as pool:
        trial = pool.submit(press.ask, slow=0.3)
        eventually(lambda: press.asked > asked, seconds=10)

        def has_failed() -> bool:
            try:
                other.guard.leave(other.guard.enter(PRINT, 4.0), is_served=None)
            except NotServed as err:
                return "no answer within 0.3 s" in err.message
            return False

        eventually(has_failed, seconds=10)
        assert not trial.done()
        press.goes_on.set()
        with pytest.raises(NotServed, match=r"no answer within 0\.3 s"):
            trial.result(30)


def test_a_trial_whose_effect_may_have_happened_ends_as_the_platform_says(
    press: Vendor, shared: str
) -> None:
    press.status = 503
    opens(press)
    time.sleep(2.2)
    with http.operation("press", "print", repeatable=False):
        assert http.send("POST", press.url, body=b"{}").status == 503
    with pytest.raises(NotServed, match="tried whether it is over failed: it answered 503"):
        press.ask()


def test_a_trial_that_may_be_paid_and_whose_answer_is_lost_is_told_of(
    press: Vendor, shared: str
) -> None:
    press.status = 503
    opens(press)
    press.hang()
    time.sleep(2.2)
    billed = http.operation("press", "print", repeatable=False, read_seconds=0.3)
    with billed, pytest.raises(Unknown):
        http.send("POST", press.url, body=b"{}")


def test_a_trial_without_an_effect_is_no_try_of_its_step(press: Vendor, shared: str) -> None:
    press.status = 503
    opens(press)
    time.sleep(2.2)
    address, press.url = press.url, "http://127.0.0.1:1/"
    with http.operation("press", "print", repeatable=False), pytest.raises(NotServed) as caught:
        http.send("POST", press.url, body=b"{}")
    assert "tried whether it is over failed: press could not be reached" in str(caught.value)
    assert caught.value.after is not None
    time.sleep(min(caught.value.after, 4.2))
    asked, press.url = press.asked, address
    with pytest.raises(NotServed, match="tried whether it is over failed: it answered 503"):
        eventually(lambda: bool(press.ask()), seconds=10)
    assert press.asked == asked + 1


def test_each_part_of_a_platform_has_circuits_of_its_own(press: Vendor, shared: str) -> None:
    press.status = 503
    opens(press)
    with http.operation("press", "print", repeatable=True, part="left") as left:
        assert http.send("POST", press.url, body=b"{}").status == 503
    assert left.circuit == ("press", "print left")


def test_many_steps_that_an_open_circuit_holds_back_do_not_come_again_at_once(
    press: Vendor, other: Other
) -> None:
    press.status = 503
    opens(press)
    eventually(other.is_open, seconds=5)
    began, comes = time.monotonic(), list[float]()
    for _ in range(200):
        with pytest.raises(NotServed) as caught:
            other.guard.check(PRINT)
        assert caught.value.after is not None
        comes.append(time.monotonic() - began + caught.value.after)
    assert max(comes) < 2.5 + 200 * GAP_SECONDS
    busiest = max(sum(first <= each < first + 1.0 for each in comes) for first in comes)
    assert busiest <= 2 / GAP_SECONDS


def test_without_valkey_each_process_counts_for_itself(
    press: Vendor, configure: Callable[..., Settings], fresh_database: str
) -> None:
    configure(DATABASE_URL=fresh_database, REDIS_URL=NOWHERE)
    circuits.share(NOWHERE)
    press.status = 503
    opens(press)
    other = Other(NOWHERE)
    assert not other.is_open()
    other.guard.close()


def test_calls_are_reported_while_a_change_waits_to_be_told(shared: str, other: Other) -> None:
    goes_on = threading.Event()

    def tell(change: Change) -> None:
        goes_on.wait(30)

    guard = Guard(Stores(Shared(shared)), tell)

    def fail(name: tuple[str, str]) -> None:
        for _ in range(10):
            guard.leave(guard.enter(name, 4.0), is_served=False, why="it answered 503")

    fail(("press", "look"))
    time.sleep(0.3)
    fail(PRINT)
    eventually(other.is_open, seconds=5)
    goes_on.set()
    guard.close()


def test_a_change_is_told_once_by_the_process_that_made_it(
    press: Vendor, shared: str, other: Other
) -> None:
    for _ in range(10):
        other.guard.leave(other.guard.enter(PRINT, 4.0), is_served=False, why="it answered 503")
    eventually(lambda: bool(other.changes), seconds=5)
    (change,) = other.changes
    assert (change.platform, change.operation, change.state) == (*PRINT, OPEN)
    assert change.until is not None
    assert "10 of 10 calls" in change.why
    time.sleep(2.2)
    for _ in range(3):
        with suppress(NotServed):
            other.guard.leave(other.guard.enter(PRINT, 4.0), is_served=True)
    eventually(lambda: len(other.changes) == 2, seconds=5)
    assert other.changes[1].state == CLOSED
