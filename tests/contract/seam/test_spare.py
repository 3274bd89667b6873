"""The old credential is tried where the present one is refused."""

import pytest
from structlog.testing import capture_logs

from app.outbound.spare import Spare


@pytest.mark.parametrize(
    ("status", "helps", "is_told"),
    [(200, True, 1), (404, True, 1), (429, True, 0), (503, True, 0), (401, False, 0)],
)
def test_only_an_answer_to_the_old_credential_says_that_it_is_accepted(
    status: int, helps: bool, is_told: int
) -> None:
    spare = Spare("present", "old", "PRESS_KEY")
    with capture_logs() as told:
        assert spare.helps(f"press {status}", status) is helps
    assert [each["event"] for each in told] == ["old_credential_used"] * is_told
