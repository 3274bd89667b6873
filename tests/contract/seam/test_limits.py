"""The seam's calls keep to limits, which processes share through Valkey."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from app.errors import NotServed
from app.outbound import http, limits
from app.outbound.http import Demand, Limit, Told
from app.outbound.limits.limiter import Limiter, Place
from app.outbound.limits.stores import Shared, Stores
from app.settings import Settings
from tests.contract.seam.vendor import Vendor, vendor

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def press() -> Iterator[Vendor]:
    with vendor() as made:
        yield made


@pytest.fixture
def shared(configure: Callable[..., Settings], valkey_url: str) -> str:
    """Calls of this process keep to limits in this Valkey; its address."""
    configure(REDIS_URL=valkey_url)
    limits.share(valkey_url)
    return valkey_url


@pytest.fixture
def other(shared: str) -> Iterator[Limiter]:
    """Another process with the same Valkey."""
    made = Limiter(Stores(Shared(shared), "other"))
    yield made
    made.close()


def under(name: str = "slow", **more: float) -> Demand:
    return Demand((Limit(name, **more),))  # type: ignore[arg-type]


def take(other: Limiter, demand: Demand, platform: str = "press") -> Place:
    """The place that a call of the other process gets."""
    return other.take(platform, demand, hold_seconds=60.0, seconds_left=60.0)


def test_a_short_wait_is_waited_in_place_and_a_long_one_lets_the_step_wait(
    press: Vendor, shared: str
) -> None:
    began = time.monotonic()
    assert [press.ask(demand=under(requests=2.5)) for _ in range(3)] == [200] * 3
    assert time.monotonic() - began >= 0.8
    calls: list[http.HttpCall] = []
    assert press.ask(demand=under("other", requests=0.5)) == 200
    with http.exchange_scope(time.monotonic() + 60, calls), pytest.raises(NotServed) as caught:
        press.ask(demand=under("other", requests=0.5))
    assert (press.asked, calls) == (4, [])
    assert (caught.value.code, caught.value.is_turn) == ("rate_limited", True)
    assert caught.value.message.startswith("the limit other of press is used up for ")
    assert caught.value.after is not None
    assert 1.0 < caught.value.after <= 2.5


def test_no_call_waits_past_its_attempt(press: Vendor, shared: str) -> None:
    assert press.ask(demand=under(requests=2)) == 200
    with http.exchange_scope(time.monotonic() + 0.5, []), pytest.raises(NotServed):
        press.ask(demand=under(requests=2))
    assert press.asked == 1


def test_all_processes_share_a_limit(press: Vendor, shared: str, other: Limiter) -> None:
    assert press.ask(demand=under(requests=0.2)) == 200
    with pytest.raises(NotServed):
        take(other, under(requests=0.2))
    assert take(other, under(requests=0.2), "vercel").platform == "vercel"


def test_a_refusal_with_a_wait_closes_the_limit_for_all(
    press: Vendor, shared: str, other: Limiter
) -> None:
    press.status, press.headers = 429, {"Retry-After": "7"}
    assert press.ask(demand=under(requests=100)) == 429
    press.status = 200
    with pytest.raises(NotServed):
        press.ask(demand=under(requests=100))
    with pytest.raises(NotServed) as caught:
        take(other, under(requests=100))
    assert caught.value.after is not None
    assert 6.0 < caught.value.after < 9.0
    assert press.asked == 1


def test_calls_that_wait_in_place_are_not_made_if_the_limit_is_closed_meanwhile(
    press: Vendor, shared: str
) -> None:
    press.headers = {"Retry-After": "7"}

    def ask() -> int:
        try:
            return press.ask(demand=under(requests=4))
        except NotServed:
            return 0

    press.status = 429
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _: ask(), range(4))) == [0, 0, 0, 429]
    assert press.asked == 1


def test_places_in_flight_are_given_back_when_the_call_has_ended(
    press: Vendor, shared: str
) -> None:
    demand = under("jobs", in_flight=2)
    assert [press.ask(demand=demand) for _ in range(5)] == [200] * 5
    press.hang()
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(press.ask, demand=demand) for _ in range(2)]
        ends = time.monotonic() + 10
        while press.asked < 7 and time.monotonic() < ends:
            time.sleep(0.02)
        with pytest.raises(NotServed, match="the limit jobs of press"):
            press.ask(demand=demand)
        press.goes_on.set()
        assert [each.result(30) for each in running] == [200, 200]
    assert press.ask(demand=demand) == 200


def test_places_are_given_back_although_valkey_answers_late(shared: str, other: Limiter) -> None:
    demand = under("jobs", in_flight=3)
    taken = [take(other, demand) for _ in range(3)]
    with redis.Redis.from_url(shared, socket_timeout=5) as client:
        client.execute_command("CLIENT", "PAUSE", "300", "ALL")
        for each in taken:  # of the last two nothing is told, because Valkey is taken for away
            other.give_back(each, None)
    third, again, ends = Limiter(Stores(Shared(shared), "third")), set[str](), time.monotonic() + 10
    with contextlib.closing(third):
        while len(again) < 3 and time.monotonic() < ends:
            take(other, under("pages"))  # the next call that Valkey answers tells the rest
            with contextlib.suppress(NotServed):
                again.add(take(third, demand).id)
            time.sleep(0.02)
    assert len(again) == 3


def test_what_a_call_has_used_is_settled(press: Vendor, shared: str) -> None:
    def told(reply: http.HttpReply) -> http.Told:
        return http.Told(tokens=10)

    demand = Demand((Limit("model", tokens=6000, seconds=60),), 1000, told)
    assert [press.ask(demand=demand) for _ in range(8)] == [200] * 8


def test_all_processes_learn_a_limit_of_tokens_from_an_answer(
    press: Vendor, shared: str, other: Limiter
) -> None:
    demand = Demand(
        (Limit("model", tokens=60_000, seconds=60),), 400, lambda _: Told(token_limit=10.0)
    )
    assert press.ask(demand=demand) == 200
    take(other, demand)
    with pytest.raises(NotServed) as caught:
        take(other, demand)
    assert caught.value.after is not None
    assert 25.0 < caught.value.after < 37.0  # 40 s of tokens, of which 10 s may be used ahead


def test_a_step_gets_the_place_that_its_dead_worker_has_not_given_back(
    press: Vendor, shared: str, other: Limiter
) -> None:
    demand = under("jobs", in_flight=1)
    other.take("press", demand, hold_seconds=60.0, seconds_left=60.0, owner="step")
    ends = time.monotonic() + 60
    with http.exchange_scope(ends, [], owner="another"), pytest.raises(NotServed):
        press.ask(demand=demand)
    with http.exchange_scope(ends, [], owner="step"):
        assert [press.ask(demand=demand) for _ in range(2)] == [200] * 2
    assert press.ask(demand=demand) == 200


def test_a_user_does_not_wait_behind_the_steps_of_another(
    press: Vendor, shared: str, other: Limiter
) -> None:
    demand, ends = under(requests=0.5), time.monotonic() + 60
    waits: dict[str, list[float]] = {"ada": [], "bob": []}
    assert press.ask(demand=demand) == 200
    for user in ["ada"] * 30 + ["bob"] * 2:
        with pytest.raises(NotServed) as caught, http.exchange_scope(ends, [], user=user):
            press.ask(demand=demand)
        waits[user].append(caught.value.after or 0.0)
    assert waits["ada"][-1] > 50
    assert max(waits["bob"]) < 10


def test_the_accounts_of_a_platform_have_limits_and_budgets_of_their_own(
    press: Vendor, shared: str, configure: Callable[..., Settings]
) -> None:
    configure(REDIS_URL=shared, OUTBOUND_ALLOWED=press.url.split("/")[2])
    limits.share(shared)
    ends = time.monotonic() + 60

    def ask(account: str) -> int:
        demand = Demand((Limit("host", requests=0.2),), account=account)
        with (
            http.exchange_scope(ends, []),
            http.operation("http", "POST", repeatable=True, demand=demand),
        ):
            return http.send("POST", press.url, body=b"{}", is_guarded=True).status

    assert [ask("one"), ask("two")] == [200, 200]
    with pytest.raises(NotServed, match="the limit host of http one is used up"):
        ask("one")


def test_most_calls_are_no_repeated_ones(press: Vendor, shared: str) -> None:
    made = 0
    for _ in range(20):
        with http.exchange_scope(time.monotonic() + 60, [], is_retry=True):
            try:
                press.ask(demand=under("free"))
                made += 1
            except NotServed as err:
                assert "the budget for repeated calls of press" in err.message  # noqa: PT017
    assert 10 <= made <= 14
    assert press.ask(demand=under("free")) == 200


def test_a_repeated_attempt_that_makes_many_calls_ends(press: Vendor, shared: str) -> None:
    with http.exchange_scope(time.monotonic() + 60, [], is_retry=True):
        assert [press.ask(demand=under("free")) for _ in range(30)] == [200] * 30


def test_without_valkey_a_process_keeps_to_its_share_and_goes_on(
    press: Vendor, configure: Callable[..., Settings]
) -> None:
    configure(REDIS_URL=NOWHERE)
    limits.share(NOWHERE)
    began = time.monotonic()
    assert [press.ask(demand=under(requests=80)) for _ in range(6)] == [200] * 6
    assert time.monotonic() - began >= 0.5  # an eighth of 80 in each second


def test_a_limit_that_is_not_used_is_forgotten(press: Vendor, shared: str) -> None:
    press.ask(demand=under(requests=100))
    with redis.Redis.from_url(shared) as client:
        key = "playalter:limit:press:slow"
        assert 590 < client.ttl(key) <= 600
        assert {key.decode() for key in client.keys("*")} == {
            key,
            "playalter:limit:press:retries of repeated calls",
            "playalter:limit-processes",
        }


def test_a_limit_that_valkey_has_forgotten_is_told_again(
    press: Vendor, shared: str, other: Limiter
) -> None:
    demand = Demand((Limit("model", requests=500, burst=10),), told=lambda _: Told(limit=0.1))
    with redis.Redis.from_url(shared) as client:
        for _ in range(2):
            client.delete("playalter:limit:press:model")
            assert press.ask(demand=demand) == 200
    for _ in range(10):
        take(other, demand)
    with pytest.raises(NotServed):
        take(other, demand)


@pytest.mark.parametrize(
    "told",
    [
        Told(limit=1e-9),
        Told(limit=math.inf),
        Told(limit=math.nan),
        Told(is_refused=True, after=math.inf),
        Told(is_refused=True, after=1.8e12),
        Told(remaining=0, reset=1e300),
        Told(remaining=10**400, reset=math.nan),
        Told(tokens=10**400),
        Told(token_limit=1e-9),
        Told(token_limit=math.nan, tokens_left=10**400),
    ],
)
def test_an_absurd_number_in_an_answer_is_bounded(
    press: Vendor, shared: str, other: Limiter, told: Told
) -> None:
    limit, waits = Limit("model", requests=100, tokens=6000, seconds=60), list[float | None]()
    assert press.ask(demand=Demand((limit,), 10, lambda _: told)) == 200
    try:
        for _ in range(3):
            take(other, Demand((limit,), 10))
    except NotServed as err:
        waits.append(err.after)
    assert all(each is not None and each <= 3600 * 1.2 for each in waits)
    with redis.Redis.from_url(shared) as client:
        assert 0 < client.ttl("playalter:limit:press:model") <= 3600
