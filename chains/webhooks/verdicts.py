"""What follows from an attempt to deliver a message. Pure.

2xx is a success; every other answer is a failure, also a redirect. The message is then sent again
by the schedule. https://docs.svix.com/retries
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.outbound.stated_waits import retry_after

SCHEDULE = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
"""The seconds from each attempt to the next one. After the last one, the message has failed."""
JITTER = 0.1
LONGEST_REST_SECONDS = 3_600.0
"""A longer Retry-After is cut to this."""
_THROTTLED = (429, 502, 504)
_THROTTLED_SECONDS = 5.0
_ABORT = "abort-message"

Word = Literal["delivered", "retry", "failed", "gone"]


@dataclass(frozen=True)
class Verdict:
    """What is recorded of an attempt.

    `wait` are the seconds to the next attempt. `rest`: for so many seconds the endpoint asks to be
    sent nothing at all.
    """

    word: Word
    wait: float | None = None
    rest: float | None = None


def of_failure(attempts: int, chance: float) -> Verdict:
    """What follows if there was no answer. `attempts` were made before this one.

    `chance` is a random number from 0 to 1, which decides the jitter.

    >>> of_failure(0, 0.5), of_failure(7, 0.5)
    (Verdict(word='retry', wait=5.0, rest=None), Verdict(word='failed', wait=None, rest=None))
    """
    if attempts >= len(SCHEDULE):
        return Verdict("failed")
    return Verdict("retry", SCHEDULE[attempts] * (1 - JITTER + 2 * JITTER * chance))


def of_answer(status: int, headers: Mapping[str, str], attempts: int, chance: float) -> Verdict:
    """What follows from an answer. The names of `headers` are in lower case.

    >>> of_answer(204, {}, 0, 0.5).word, of_answer(410, {}, 0, 0.5).word
    ('delivered', 'gone')
    >>> of_answer(503, {"retry-after": "120"}, 0, 0.5)
    Verdict(word='retry', wait=120.0, rest=120.0)
    >>> of_answer(500, {"webhook-delivery": "abort-message"}, 0, 0.5).word
    'failed'
    """
    if 200 <= status < 300:
        return Verdict("delivered")
    if status == 410:
        return Verdict("gone")
    asked = retry_after(headers)
    default = _THROTTLED_SECONDS if status in _THROTTLED else None
    rest = default if asked is None else min(max(asked, 1.0), LONGEST_REST_SECONDS)
    if headers.get("webhook-delivery", "").strip().lower() == _ABORT:
        return Verdict("failed", rest=rest)
    again = of_failure(attempts, chance)
    if again.wait is None:
        return Verdict("failed", rest=rest)
    return Verdict("retry", max(again.wait, rest or 0.0), rest)
