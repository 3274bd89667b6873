"""The rules of a circuit: in Python, and in the script that runs in Valkey."""

from dataclasses import replace
from uuid import uuid4

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.outbound.circuits.core import CLOSED, HALF_OPEN, OPEN, Circuit, Report
from app.outbound.circuits.stores import Shared
from app.outbound.scopes import CIRCUIT_IDLE_SECONDS

NOW = 1_800_000_000_000
GOOD, BAD = Report("a", calls=1), Report("a", calls=1, bad=1, why="it answered 503")
TOKENS = st.sampled_from(["", "t1", "t2", "t3"])
REPORTS = st.builds(
    Report,
    reporter=st.sampled_from(["a", "b", "process:1"]),
    epoch=st.sampled_from([0, 0, 0, -1, 1]),
    calls=st.integers(0, 8),
    hung=st.integers(0, 12),
    why=st.sampled_from(["", "it answered 503", "no answer within 4 s", "é %s"]),
    token=st.sampled_from(["", "t1", "held", "held"]),
    verdict=st.integers(-1, 1),
    wants=TOKENS,
    lease_ms=st.sampled_from([1, 500, 6000]),
    permille=st.integers(0, 999),
)
TURNS = st.lists(
    st.tuples(
        REPORTS,
        st.floats(0, 1),
        st.sampled_from([0, 1, 250, 999, 2000, 7000, 70_000, -3, -5000, -90_000]),
    ),
    min_size=1,
    max_size=60,
)


def opened(circuit: Circuit, now: int = NOW, permille: int = 0) -> Circuit:
    """The circuit after ten calls that failed."""
    for _ in range(10):
        circuit.turn(replace(BAD, epoch=circuit.epoch, permille=permille), now)
    return circuit


def test_a_circuit_opens_if_half_of_at_least_ten_calls_fail() -> None:
    circuit = Circuit()
    for report in [BAD] * 4 + [GOOD] * 5:
        assert circuit.turn(report, NOW).state == CLOSED
    view = circuit.turn(BAD, NOW + 900)
    assert (view.state, view.change, view.until) == (OPEN, OPEN, NOW + 900 + 2000)
    assert view.why == ("5 of 10 calls in 10 s failed or were slow, the last one: it answered 503")


def test_fewer_failures_and_fewer_calls_do_not_open_it() -> None:
    circuit = Circuit()
    for report in [BAD] * 9:
        assert circuit.turn(report, NOW).state == CLOSED
    circuit = Circuit()
    for report in [GOOD] * 20 + [BAD] * 19:
        assert circuit.turn(report, NOW).state == CLOSED


def test_calls_of_more_than_ten_seconds_ago_are_not_counted() -> None:
    circuit = Circuit()
    for report in [BAD] * 9:
        circuit.turn(report, NOW)
    assert circuit.turn(BAD, NOW + 10_000).state == CLOSED
    assert opened(Circuit(), NOW).turn(Report(), NOW + 1).state == OPEN


def test_good_calls_from_before_a_platform_hangs_do_not_keep_it_closed() -> None:
    circuit = Circuit()
    for _ in range(200):
        circuit.turn(GOOD, NOW)
    assert circuit.turn(Report("a", hung=12), NOW + 4100).state == OPEN


def test_five_calls_in_a_row_that_fail_open_it_where_there_are_few_calls() -> None:
    circuit = Circuit()
    for number in range(5):
        assert circuit.turn(BAD, NOW + number * 5000).state == (OPEN if number == 4 else CLOSED)
    assert circuit.why == "5 calls in a row failed or were slow, the last one: it answered 503"


def test_a_good_call_or_a_long_pause_ends_a_row() -> None:
    for pause in ([GOOD], []):
        circuit, now = Circuit(), NOW
        for report in [BAD] * 4 + pause + [BAD] * 4:
            now += 61_000 if not pause and circuit.row == 4 else 5000
            assert circuit.turn(report, now).state == CLOSED


def test_running_calls_that_hang_count_until_their_process_is_silent() -> None:
    circuit = Circuit()
    assert circuit.turn(Report("a", hung=6), NOW).state == CLOSED
    assert circuit.turn(Report("b", hung=3), NOW + 1999).state == CLOSED
    assert circuit.turn(Report("b", hung=9), NOW + 2000).state == CLOSED  # `a` was silent
    assert circuit.turn(Report("a", hung=1), NOW + 2001).state == OPEN


def test_one_call_at_a_time_tries_an_open_circuit_and_three_close_it() -> None:
    circuit = opened(Circuit())
    ask = Report(wants="x", lease_ms=5000)
    assert not circuit.turn(ask, NOW + 1999).is_granted
    assert circuit.turn(ask, NOW + 2000).is_granted
    assert circuit.state == HALF_OPEN
    assert not circuit.turn(replace(ask, wants="y"), NOW + 2001).is_granted
    for token in ("x", "y", "z"):
        assert circuit.state == HALF_OPEN
        circuit.turn(replace(ask, wants=token), NOW + 2002)
        circuit.turn(Report(token=token, verdict=1), NOW + 2003)
    assert (circuit.state, circuit.until) == (CLOSED, 0)


def closed(circuit: Circuit, now: int) -> Circuit:
    """The circuit after three calls that served."""
    for token in ("x", "y", "z"):
        circuit.turn(Report(wants=token, lease_ms=5000), now)
        circuit.turn(Report(token=token, verdict=1), now)
    return circuit


def test_a_circuit_that_opens_soon_after_it_was_closed_is_open_for_longer() -> None:
    circuit, now, times = opened(Circuit()), NOW, []
    for pause in (1000, 1000, 59_999, 60_000):
        times.append(circuit.until - now)
        now = circuit.until
        assert closed(circuit, now).state == CLOSED
        now += pause
        opened(circuit, now)
    times.append(circuit.until - now)
    assert times == [2000, 4000, 8000, 16_000, 2000]


def test_the_time_that_it_is_open_doubles_up_to_a_minute_less_a_jitter() -> None:
    circuit, now, times = opened(Circuit()), NOW, []
    for permille in (0, 0, 0, 0, 0, 0, 1000):
        times.append(circuit.until - now)
        now = circuit.until
        assert circuit.turn(Report(wants="x", lease_ms=5000), now).is_granted
        circuit.turn(Report(token="x", verdict=0, why="again", permille=permille), now)
    times.append(circuit.until - now)
    assert times == [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 45_000]
    assert "again" in circuit.why


def test_a_clock_that_is_set_back_holds_no_call() -> None:
    hour = 3_600_000
    circuit = opened(Circuit())
    assert not circuit.turn(Report(wants="x", lease_ms=500), NOW - hour).is_granted
    assert circuit.turn(Report(wants="x", lease_ms=500), NOW - hour + 60_000).is_granted
    assert circuit.turn(Report(wants="y", lease_ms=500), NOW - 2 * hour + 120_000).leased < NOW
    assert circuit.turn(Report(wants="y", lease_ms=500), NOW - 2 * hour + 240_000).is_granted


def test_a_leave_that_nobody_returns_is_given_to_another_call() -> None:
    circuit = opened(Circuit())
    assert circuit.turn(Report(wants="x", lease_ms=500), NOW + 2000).is_granted
    assert not circuit.turn(Report(wants="y", lease_ms=500), NOW + 2499).is_granted
    assert circuit.turn(Report(wants="y", lease_ms=500), NOW + 2500).is_granted
    assert circuit.turn(Report(token="x", verdict=0, why="late"), NOW + 2501).state == HALF_OPEN


def test_what_began_before_it_opened_is_not_counted_when_it_is_closed_again() -> None:
    circuit = opened(Circuit())
    circuit.state = CLOSED
    for _ in range(20):
        assert circuit.turn(replace(BAD, epoch=0, hung=20), NOW + 5000).state == CLOSED
    assert circuit.turn(replace(BAD, epoch=1, hung=20), NOW + 5000).state == OPEN


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(turns=TURNS)
def test_the_script_in_valkey_answers_as_the_rules_in_python(
    valkey_url: str, turns: list[tuple[Report, float, int]]
) -> None:
    now, name = NOW, str(uuid4())
    shared, own = Shared(valkey_url, lambda: now), Circuit()
    try:
        for report, share, later in turns:
            now += later
            asked = replace(
                report,
                bad=int(report.calls * share),
                epoch=own.epoch + report.epoch,
                token=own.token if report.token == "held" else report.token,
            )
            (answer,) = shared.turn([(("press", name), asked)])
            assert answer == own.turn(asked, now)
    finally:
        shared.close()


def test_a_circuit_that_is_not_used_is_forgotten(valkey_url: str) -> None:
    shared = Shared(valkey_url)
    shared.turn([(("press", "print"), GOOD)])
    shared.turn([(("press", "look"), Report())])
    with redis.Redis.from_url(valkey_url) as client:
        assert client.keys("*") == [b"playalter:circuit:press:print"]
        left = client.ttl("playalter:circuit:press:print")
        assert CIRCUIT_IDLE_SECONDS - 5 <= left <= CIRCUIT_IDLE_SECONDS
    shared.close()
