"""The record of all that was done here, by processes that died or erred."""

from pathlib import Path

from tests.e2e.campaign import Customer
from tests.e2e.record import check_record


def test_rows_follow_from_a_record_that_verifies_whatever_was_killed(
    customer: Customer, tmp_path: Path
) -> None:
    check_record(customer, tmp_path)
