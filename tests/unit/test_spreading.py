"""When the steps that an open circuit has held back come again."""

from app.outbound.circuits.spreading import GAP_SECONDS, MOST_SECONDS, Spread

NAME, OTHER = ("press", "print"), ("press", "look")


def test_a_single_step_comes_again_soon_after_the_circuit_lets_a_call_through() -> None:
    spread = Spread(lambda: 1000.0)
    assert 20.0 <= spread.after(NAME, 20.0, 4.0) <= 24.0
    assert 1.0 <= spread.after(OTHER, 1.0, 1.0) <= 2.0


def test_steps_that_are_refused_again_come_after_those_that_still_wait() -> None:
    now = 1000.0
    spread = Spread(lambda: now)
    first = [spread.after(NAME, 2.0, 0.0) for _ in range(100)]
    assert first == sorted(first)
    now += 3.0
    last = now - 3.0 + first[-1]
    assert now + spread.after(NAME, 1.0, 0.0) >= last + GAP_SECONDS / 2


def test_no_step_waits_for_more_than_a_bound_and_the_times_are_not_put_off_for_ever() -> None:
    now = 1000.0
    spread = Spread(lambda: now)
    found = [spread.after(NAME, 2.0, 0.5) for _ in range(5000)]
    assert max(found) <= 2.0 + MOST_SECONDS
    # Those that have no time of their own are spread too.
    beyond = [each for each in found[1000:] if each < 2.0 + MOST_SECONDS / 2]
    assert 1500 < len(beyond) < 2500
    now += MOST_SECONDS + 5.0
    assert spread.after(NAME, 2.0, 0.0) == 2.0
