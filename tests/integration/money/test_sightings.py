"""Payments are counted once each, also by workers that count at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from app import db, sightings
from app.sightings import Sighting, Tally
from tests.integration.conftest import Kernel
from tests.integration.driving import pass_time

KEY = b"the key of the hashes of tests"
HOUR = 3600.0
ASKED = [("card", HOUR), ("email", HOUR), ("address", HOUR)]
SEEN = Sighting(
    "stripe",
    "pi_0",
    sightings.hashed(KEY, "card", "f1"),
    sightings.hashed(KEY, "email", "ada@example.com"),
    None,
    1000,
    "eur",
)


def tally(kernel: Kernel, payment: str) -> list[tuple[int, int]]:
    found = sightings.tally(kernel.user_id, "stripe", payment, ASKED)  # type: ignore[arg-type]
    return [(each.number, each.total) for each in found]


def test_a_payment_that_is_noted_again_counts_once_and_learns_what_it_lacked(
    kernel: Kernel,
) -> None:
    for seen in (replace(SEEN, card=None), SEEN, SEEN):
        sightings.note(kernel.user_id, seen, HOUR)
    assert tally(kernel, "pi_0") == [(1, 1000), (1, 1000), (0, 0)]
    sightings.note(kernel.user_id, replace(SEEN, payment_id="pi_1", currency="usd"), HOUR)
    assert tally(kernel, "pi_0") == [(2, 1000), (2, 1000), (0, 0)]
    assert tally(kernel, "pi_unknown") == [(0, 0)] * 3


def test_what_is_too_old_neither_counts_nor_stays(kernel: Kernel) -> None:
    sightings.note(kernel.user_id, SEEN, 2 * HOUR)
    pass_time("61 minutes")
    sightings.note(kernel.user_id, replace(SEEN, payment_id="pi_1"), 2 * HOUR)
    assert tally(kernel, "pi_1")[0] == (1, 1000)
    assert sightings.forget_old(10) == 0
    pass_time("60 minutes")
    assert sightings.forget_old(10) == 1
    assert [
        row["payment_id"] for row in db.rows("SELECT payment_id FROM payment_sightings", ())
    ] == ["pi_1"]


@pytest.mark.parametrize("most", [3, 7])
def test_no_more_than_a_rule_allows_pass_at_the_same_moment(kernel: Kernel, most: int) -> None:
    workers = 8
    together = Barrier(workers)

    def count(number: int) -> Tally:
        own = replace(SEEN, payment_id=f"pi_{number}")
        together.wait(10)
        sightings.note(kernel.user_id, own, HOUR)
        return sightings.tally(kernel.user_id, "stripe", own.payment_id, [("card", HOUR)])[0]

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(count, range(workers)))
    assert sum(each.number <= most for each in found) <= most
    assert max(each.number for each in found) == workers
