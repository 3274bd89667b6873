"""A rate limit refuses starts beyond it, and says that nothing was started."""

from typing import Any

import pytest

from app import db
from app.errors import InvalidInput, TooMany
from chains.starting.start import Started
from tests.integration.conftest import Kernel, Threads
from tests.integration.flow.gathering import count, push, set_clock
from tests.unit.definitions import noop

TWO_A_MINUTE = {"limit": 2, "period": "1m", "key": "input.user"}


def limited(kernel: Kernel, rate_limit: dict[str, Any]) -> str:
    return kernel.register(noop("a"), flow={"rate_limit": rate_limit})


def test_what_is_used_comes_back_evenly_and_for_each_key_alone(kernel: Kernel) -> None:
    name = limited(kernel, TWO_A_MINUTE)
    for _ in range(2):
        kernel.start(name, {"user": "ada"})
    with pytest.raises(TooMany, match=r"nothing was started: .* 2 starts in 60 s for 'ada'") as no:
        kernel.start(name, {"user": "ada"})
    assert no.value.code == "rate_limited"
    assert no.value.after == pytest.approx(30, abs=5)
    kernel.start(name, {"user": "bob"})
    set_clock(31)
    kernel.start(name, {"user": "ada"})
    with pytest.raises(TooMany):
        kernel.start(name, {"user": "ada"})
    assert count("workflows") == 4


def test_time_of_the_next_start_is_rounded_up(kernel: Kernel) -> None:
    name = limited(kernel, {"limit": 1, "period": "1s"})

    def ask() -> None:
        # Several times, in case that the machine takes so long between the two.
        for _ in range(5):
            db.row(
                "INSERT INTO start_rates (type, key, tat)"
                " VALUES (%s, '', playalter_now() + interval '0.4 s')"
                " ON CONFLICT (type, key) DO UPDATE SET tat = excluded.tat",
                (name,),
            )
            kernel.start(name)

    with pytest.raises(TooMany, match="try again after 1 s"):
        ask()


@pytest.mark.parametrize(("limit", "seconds"), [(7, 60.0), (3, 10.0), (1, 1.0), (1000, 86400.0)])
def test_limit_of_any_size_is_reached_exactly(kernel: Kernel, limit: int, seconds: float) -> None:
    taken = db.rows(
        "SELECT count(*) FILTER (WHERE wait = 0) AS accepted FROM ("
        "  SELECT take_rate_v1('a', 'k', %s, %s) AS wait FROM generate_series(1, %s)) AS asked",
        (limit, seconds, 2 * limit),
    )
    assert taken[0]["accepted"] == limit


def test_a_clock_that_is_set_back_refuses_starts_for_no_longer_than_the_period(
    kernel: Kernel,
) -> None:
    name = limited(kernel, {"limit": 2, "period": "1m"})
    set_clock(86400)
    kernel.start(name, {})
    set_clock(0)
    with pytest.raises(TooMany) as no:
        kernel.start(name, {})
    assert no.value.after == pytest.approx(30, abs=5)
    set_clock(31)
    kernel.start(name, {})
    set_clock(62)
    kernel.start(name, {})
    with pytest.raises(TooMany):
        kernel.start(name, {})


def test_many_at_once_get_no_more_than_the_limit(kernel: Kernel, in_threads: Threads) -> None:
    name = limited(kernel, {"limit": 5, "period": "1h"})

    def ask() -> bool:
        try:
            kernel.start(name, {})
        except TooMany:
            return False
        return True

    assert sum(in_threads([ask] * 16)) == 5
    assert count("workflows") == 5


def test_repeated_request_gets_its_first_answer_and_takes_nothing(kernel: Kernel) -> None:
    name = limited(kernel, TWO_A_MINUTE)

    def ask(key: str) -> Started:
        return push(kernel, name, {"user": "ada"}, key)

    first, second = ask("one"), ask("two")
    for _ in range(3):
        again = ask("one")
        assert (again.id, again.created, again.how) == (first.id, False, "started")
    with pytest.raises(TooMany):
        ask("three")
    assert ask("two").id == second.id
    set_clock(31)
    assert ask("three").created


def test_start_that_is_refused_for_another_reason_takes_nothing(kernel: Kernel) -> None:
    name = kernel.register(
        noop("a"),
        flow={"rate_limit": {"limit": 1, "period": "1h", "key": "input.user"}},
        input_schema={"type": "object", "properties": {"n": {"type": "integer"}}},
    )
    for wrong in ({"user": "ada", "n": "x"}, {"user": None}):
        with pytest.raises(InvalidInput):
            kernel.start(name, wrong)
    assert push(kernel, name, {"user": "ada", "n": 1}).created
