"""The rules of limits: in Python, and in the script that runs in Valkey."""

from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.outbound.http import Limit
from app.outbound.limits.core import Answer, Ask, Bucket, Note, Retries, take
from app.outbound.limits.stores import Own, Shared

NOW = 1_800_000_000_000.0
TEN = Limit("ten", requests=10)


class Account:
    """Calls under some limits, with the rules in Python."""

    def __init__(self, *limits: Limit) -> None:
        self.limits = limits
        self.buckets = [Bucket() for _ in limits]
        self.retries = Retries()
        self.now = NOW

    def take(self, number: int = 1, **more: object) -> list[Answer]:
        """Ask for so many calls at this moment."""
        given = list(zip(self.buckets, self.limits, strict=True))
        wanted = [Ask(str(uuid4()), **more) for _ in range(number)]  # type: ignore[arg-type]
        return [take(given, self.retries, each, self.now) for each in wanted]

    def note(self, answer: Answer, **more: object) -> None:
        """Tell what became of a call."""
        note = Note("", answer.now, answer.now + answer.wait, **more)  # type: ignore[arg-type]
        for bucket, limit in zip(self.buckets, self.limits, strict=True):
            bucket.note(limit, note, self.now)


def test_calls_are_spaced_evenly_and_none_waits_longer_than_it_may() -> None:
    account = Account(TEN)
    waits = [each.wait for each in account.take(5, most_ms=300.0)]
    assert waits == [0.0, 100.0, 200.0, 300.0, 400.0]
    assert [each.is_taken for each in account.take(2, most_ms=300.0)] == [False, False]
    account.now += 1000
    assert account.take()[0] == Answer(True, 0.0, -1, NOW + 1000, (0.0,))


def test_a_burst_may_go_at_once() -> None:
    account = Account(replace(TEN, burst=3))
    assert [each.wait for each in account.take(5, most_ms=300.0)] == [0, 0, 0, 100.0, 200.0]


def test_a_call_takes_its_place_under_all_limits_or_under_none() -> None:
    account = Account(TEN, Limit("slow", requests=1))
    assert [each.is_taken for each in account.take(3)] == [True, False, False]
    (answer,) = account.take(1)
    assert (answer.wait, answer.place) == (1000.0, 1)
    account.limits = (TEN,)
    account.buckets = account.buckets[:1]
    account.now += 100
    assert account.take()[0].wait == 0  # the refused calls took nothing of it


def test_tokens_are_settled_once_and_by_what_was_used() -> None:
    account = Account(Limit("model", tokens=6000, seconds=60))
    (first,) = account.take(1, tokens=1200)
    assert first.is_taken
    (other,) = account.take(1, tokens=1)
    assert (other.is_taken, other.wait) == (False, 2000.0)
    (held,) = account.buckets[0].held
    for _ in range(2):
        account.buckets[0].note(account.limits[0], Note(held, NOW, NOW, tokens=1000), NOW)
    assert account.take(1, tokens=1)[0].is_taken


def test_a_limit_of_tokens_is_learned_whatever_is_configured() -> None:
    for configured in (0.0, 60_000.0):
        account = Account(Limit("model", tokens=configured, seconds=60))
        (first,) = account.take(1, tokens=600)
        account.note(first, token_limit=10.0)
        account.now += 60_000
        assert account.take(1, tokens=300)[0].is_taken
        (other,) = account.take(1, tokens=1)
        assert (other.is_taken, other.wait) == (False, 20_000.0)  # 30 s less those used ahead


def test_what_is_left_of_the_tokens_only_lowers_what_may_be_used_and_grows_at_the_rate() -> None:
    account = Account(Limit("model", tokens=6000, seconds=60))
    (first,) = account.take(1, tokens=100)
    for left in (50.0, 900.0):
        account.note(first, tokens_left=left)
    assert account.take(1, tokens=50)[0].is_taken
    account.note(first, tokens_left=0.0)
    assert account.take(1, tokens=300)[0].is_taken
    assert account.take(1, tokens=1)[0].wait == 3000.0
    account.now += 3000
    assert account.take(1, tokens=1)[0].is_taken


def test_no_number_of_tokens_closes_a_limit_for_longer_than_an_hour() -> None:
    account = Account(Limit("model"))
    (first,) = account.take(1, tokens=1)
    account.note(first, token_limit=1.0)
    assert account.take(1, tokens=10**6)[0].is_taken
    assert account.take(1, tokens=1)[0].wait == 3_600_000 - 10_000


def test_places_in_flight_are_free_again_when_nobody_gives_them_back() -> None:
    account = Account(Limit("jobs", in_flight=2))
    assert [each.is_taken for each in account.take(3, hold_ms=5000.0)] == [True, True, False]
    account.now += 4999
    assert not account.take()[0].is_taken
    account.now += 1
    assert account.take()[0].is_taken


def test_the_next_attempt_of_a_step_takes_the_place_of_one_that_is_dead() -> None:
    account = Account(Limit("model", tokens=6000, in_flight=2, seconds=60))
    (dead,) = account.take(owner="one", tokens=900)
    assert account.take(owner="two", tokens=50)[0].is_taken
    assert not account.take(owner="three", tokens=50)[0].is_taken
    (place,) = account.take(owner="one", tokens=900)
    assert (dead.is_taken, place.is_taken) == (True, True)
    bucket = account.buckets[0]
    assert bucket.free_tokens == NOW + 9500  # of 100 tokens in each second
    assert len(bucket.held) == 2


def test_an_attempt_that_was_thought_dead_gives_back_no_place_of_the_next_one() -> None:
    account = Account(Limit("model", tokens=6000, in_flight=1, seconds=60))
    for id in ("dead", "next"):
        account.take(owner="one", tokens=900)
        account.buckets[0].held["one"] = (*account.buckets[0].held["one"][:2], id)
    before = account.buckets[0].free_tokens
    late = Note("dead", NOW, NOW, tokens=0, owner="one")
    account.buckets[0].note(account.limits[0], late, NOW)
    assert account.buckets[0].free_tokens == before
    assert not account.take(owner="two")[0].is_taken
    account.buckets[0].note(account.limits[0], replace(late, id="next"), NOW)
    assert account.take(owner="two")[0].is_taken


@pytest.mark.parametrize(("of", "rate", "most"), [("calls", 2.0, 6_000), ("retries", 0.5, 15_000)])
def test_two_steps_of_a_user_do_not_wait_behind_two_hundred_of_another(
    of: str, rate: float, most: int
) -> None:
    """Ada has 200 steps and new ones all the time; Bob's two come a second later."""
    account = Account(Limit("calls", requests=rate) if of == "calls" else Limit("free"))
    due = [(0, "ada", f"ada {n}") for n in range(200)]
    due += [(1000, "bob", f"bob {n}") for n in range(2)]
    due += [(at, "ada", f"new {at}") for at in range(500, 120_000, 500)]
    ended: dict[str, float] = {}
    for tick in range(0, 120_000, 100):
        account.now = NOW + tick
        for each in sorted(each for each in due if each[0] <= tick):
            due.remove(each)
            (answer,) = account.take(most_ms=1000.0, user=each[1], is_retry=of == "retries")
            if answer.is_taken:
                ended[each[2]] = tick + answer.wait
            else:  # the step is published some time later
                due.append((tick + int(answer.wait) + 700, *each[1:]))
    assert max(ended["bob 0"], ended["bob 1"]) < most
    assert len(ended) >= 0.9 * 120 * rate


def test_users_who_have_waited_do_not_wait_once_places_are_free() -> None:
    account = Account(Limit("in flight", in_flight=2))
    account.take(2, hold_ms=100.0)
    for user in ("ada", "bob"):
        assert not account.take(user=user)[0].is_taken
    account.now += 100
    for _ in range(20):  # each call ends before the next one begins
        for user in ("ada", "bob"):
            assert account.take(user=user, hold_ms=10.0)[0].wait == 0.0
            account.now += 10


def test_users_who_have_waited_for_the_budget_of_repeated_calls_share_all_of_it() -> None:
    account = Account(Limit("free"))
    account.take(10, is_retry=True)
    for user in ("ada", "bob"):
        assert not account.take(user=user, is_retry=True)[0].is_taken
    account.take(110)  # a tenth of these may be repeated
    taken = [account.take(user=user, is_retry=True)[0] for _ in range(5) for user in ("ada", "bob")]
    assert sum(each.is_taken for each in taken) == 10


def test_a_stated_wait_closes_the_limit_and_keeps_the_rate() -> None:
    account = Account(TEN)
    (answer,) = account.take()
    account.note(answer, is_refused=True, after_ms=7000.0)
    (later,) = account.take()
    assert (later.is_taken, later.wait) == (False, 7000.0)
    account.now += 7000
    assert [each.wait for each in account.take(2, most_ms=100.0)] == [0.0, 100.0]


def test_a_limit_is_not_closed_for_longer_than_an_hour() -> None:
    account = Account(TEN)
    (answer,) = account.take()
    account.note(answer, is_refused=True, after_ms=86_400_000.0)
    account.note(answer, remaining=0.0, reset_ms=86_400_000.0)
    assert account.take()[0].wait == 3_600_000
    account.now += 3_600_000
    assert account.take()[0].is_taken


def test_a_clock_that_is_set_back_holds_no_call() -> None:
    account = Account(replace(TEN, tokens=600))
    assert [each.is_taken for each in account.take(2, most_ms=100.0, tokens=1)] == [True, True]
    account.note(account.take()[0], is_refused=True, after_ms=5000.0)
    account.now -= 3_600_000
    assert account.take()[0].wait == 5000
    account.now += 5000
    assert account.take()[0].is_taken


def test_a_refusal_halves_the_rate_once_and_the_rate_climbs_again() -> None:
    account = Account(TEN)
    answers = account.take(5, most_ms=1000.0)
    for answer in answers:
        account.note(answer, is_refused=True)
    assert account.buckets[0].rate == 5.0
    seen = []
    for _ in range(300):
        account.now += 250
        account.take()
        seen.append(account.buckets[0].rate or 10.0)
    assert sorted(seen) == seen
    assert seen[-1] == 10.0


def test_a_limit_that_is_not_configured_can_be_lowered_after_any_time() -> None:
    account = Account(Limit("endpoint"))
    for _ in range(2):
        for _ in range(12):
            (answer,) = account.take(most_ms=1000.0)
            account.now += 100
        account.note(answer, is_refused=True)
        assert 1.0 <= account.buckets[0].rate <= 6.0
        for _ in range(3600):
            account.now += 1000
            account.take(most_ms=1000.0)


def test_a_limit_in_a_header_replaces_what_is_configured() -> None:
    account = Account(TEN)
    (answer,) = account.take()
    account.note(answer, limit=2.0)
    account.now += 1000
    assert [each.wait for each in account.take(2, most_ms=1000.0)] == [0.0, 500.0]


def test_what_is_left_by_a_header_only_falls_until_its_time_is_over() -> None:
    account = Account(Limit("bucket"))
    (answer,) = account.take()
    for left in (2.0, 5.0, 3.0):
        account.note(answer, remaining=left, reset_ms=9000.0)
    answers = account.take(3)
    assert [each.is_taken for each in answers] == [True, True, False]
    assert answers[2].wait == 9000.0
    account.now += 9000
    assert account.take()[0].is_taken


def test_at_most_a_tenth_of_many_calls_are_repeated_ones_and_a_few_always_may() -> None:
    account = Account(Limit("free"))
    assert sum(each.is_taken for each in account.take(50, is_retry=True)) == 10
    account.take(110)
    assert sum(each.is_taken for each in account.take(50, is_retry=True)) == 10
    account.now += 4000
    assert sum(each.is_taken for each in account.take(50, is_retry=True)) == 2


@pytest.mark.parametrize("warm_after", [0, 150])
@pytest.mark.parametrize("latency", [10, 120])
def test_a_limit_is_found_that_no_header_tells(latency: int, warm_after: int) -> None:
    """The vendor accepts 25 calls in any second; 100 are configured, and wanted. At first, while
    all is cold, answers may take a second longer."""
    account = Account(Limit("account", requests=100), Limit("endpoint"))
    accepted: list[float] = []
    flights: list[tuple[float, Answer]] = []
    calls, refused = [0, 0], [0, 0]
    for tick in range(6000):
        account.now = NOW + tick * 10
        answers = account.take(2, most_ms=1000.0)
        flights += [
            (each.now + each.wait + latency + 1000 * (tick < warm_after), each)
            for each in answers
            if each.is_taken
        ]
        for due in [each for each in flights if each[0] <= account.now]:
            flights.remove(due)
            accepted = [at for at in accepted if at > account.now - 1000]
            is_late = tick > 1000
            calls[is_late] += 1
            if len(accepted) < 25:
                accepted.append(account.now)
            else:
                refused[is_late] += 1
                account.note(due[1], is_refused=True)
    assert refused[1] <= 0.02 * calls[1], (calls, refused)
    assert calls[1] - refused[1] >= 0.9 * 25 * 50, (calls, refused)


def test_a_process_without_valkey_keeps_to_its_share() -> None:
    own = Own()
    asks = [Ask(str(n), most_ms=60_000.0) for n in range(5)]
    waits = [own.take("press", [replace(TEN, in_flight=4)], each, 8).wait for each in asks[:1]]
    assert waits == [0.0]
    assert not own.take("press", [replace(TEN, in_flight=4)], asks[1], 8).is_taken
    waits = [own.take("press", [replace(TEN, name="other")], each, 8).wait for each in asks]
    assert 3000.0 <= waits[-1] <= 3200.0  # four times eight tenths of a second


LIMITS = st.builds(
    Limit,
    name=st.sampled_from(["a", "b"]),
    requests=st.sampled_from([0.0, 0.5, 3.0, 100.0]),
    tokens=st.sampled_from([0.0, 1000.0]),
    in_flight=st.sampled_from([0, 2]),
    seconds=st.sampled_from([1.0, 60.0]),
    burst=st.sampled_from([1, 4]),
)
ASKS = st.builds(
    Ask,
    id=st.sampled_from(["1", "2", "3", "4"]),
    tokens=st.sampled_from([0, 0, 50, 3000]),
    most_ms=st.sampled_from([0.0, 333.3, 1000.0, 30_000.0]),
    hold_ms=st.sampled_from([100.0, 60_000.0]),
    is_retry=st.booleans(),
    owner=st.sampled_from(["", "", "1", "step"]),
    user=st.sampled_from(["", "ada", "bob", "eve"]),
)
NOTES = st.builds(
    Note,
    id=st.sampled_from(["1", "2", "3", "4"]),
    asked=st.floats(-3000, 0).map(lambda ago: NOW + ago),
    at=st.floats(-500, 1500).map(lambda ago: NOW + ago),
    is_refused=st.booleans(),
    after_ms=st.sampled_from([-1.0, -1.0, 0.0, 700.5, 8e7]),
    limit=st.sampled_from([-1.0, -1.0, 0.7, 40.0]),
    remaining=st.sampled_from([-1.0, 0.0, 3.0]),
    reset_ms=st.sampled_from([-1.0, 900.0, 8e7]),
    tokens=st.sampled_from([-1.0, 10.0]),
    token_limit=st.sampled_from([-1.0, -1.0, 5.0, 700.0]),
    tokens_left=st.sampled_from([-1.0, 0.0, 90.0]),
    owner=st.sampled_from(["", "", "1", "step"]),
)
TURNS = st.lists(
    st.tuples(st.one_of(ASKS, ASKS, NOTES), st.sampled_from([0, 1, 40, 250, 999, 6000, -3, -5000])),
    min_size=1,
    max_size=60,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    limits=st.lists(LIMITS, min_size=1, max_size=2, unique_by=lambda each: each.name), turns=TURNS
)
def test_the_script_in_valkey_answers_as_the_rules_in_python(
    valkey_url: str, limits: list[Limit], turns: list[tuple[Ask | Note, int]]
) -> None:
    now, platform = NOW, str(uuid4())
    shared, own = Shared(valkey_url, lambda: now), Account(*limits)
    given = list(zip(own.buckets, limits, strict=True))
    try:
        for turn, later in turns:
            now += later
            if isinstance(turn, Ask):
                answer, processes = shared.take(platform, limits, turn, "me")
                assert answer == take(given, own.retries, turn, now)
                assert processes == 1
                continue
            note = replace(turn, asked=turn.asked + now - NOW, at=turn.at + now - NOW)
            shared.note(platform, limits, [note] * len(limits))
            for bucket, limit in given:
                bucket.note(limit, note, now)
    finally:
        shared.close()
