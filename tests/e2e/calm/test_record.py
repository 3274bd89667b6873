"""The record of all that was done here, under the faults of vendors."""

from pathlib import Path

from tests.e2e.campaign import Customer
from tests.e2e.record import check_record


def test_rows_follow_from_a_record_that_verifies_while_workers_are_at_work(
    customer: Customer, tmp_path: Path
) -> None:
    check_record(customer, tmp_path)
