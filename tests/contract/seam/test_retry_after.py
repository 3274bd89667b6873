"""When a platform says that a call may be tried again."""

import pytest

from app.outbound.stated_waits import answered_at, retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("", None)],
)
def test_retry_after_is_read(header: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": header}) == seconds


def test_retry_after_may_be_a_date() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


def test_a_date_of_retry_after_is_meant_by_the_platforms_own_clock() -> None:
    dates = {
        "date": "Wed, 21 Oct 2015 06:28:00 GMT",
        "retry-after": "Wed, 21 Oct 2015 06:28:07 GMT",
    }
    assert retry_after(dates) == 7.0
    assert answered_at({"date": "no date"}) > answered_at(dates)
