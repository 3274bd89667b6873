"""Compares the ledger with what the platforms state of a day, once a day.

Only a statement tells fees, exchanges and what somebody has done at the platform by hand: these are
booked. Where the two sides differ, a difference is recorded for a person; nothing booked changes.

Invariant: a day may be compared again and from any place, with the same result. So a run that is
interrupted goes on where it was, and two runs at once do no harm.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog

import tasks
from app import db, ledger
from app.errors import InvalidInput, NotConfigured, Outcome
from app.ledger import Booked
from app.money.facts import UNREADABLE, Book, Fact, Money
from app.money.statements import Difference, Movement, difference_of, unreadable
from app.platform import Json, Platform
from chains.money.risks import follow_due

log = structlog.get_logger()

LATE = timedelta(hours=1)
"""The platform's clock and ours differ, and a webhook comes late: what is booked shortly before the
end of a day may stand in the statement of the next."""
SETTLED_KINDS = (
    "capture",
    "capture_failed",
    "refund",
    "refund_failed",
    "dispute",
    "dispute_reinstated",
    "payout",
    "payout_reversal",
)
"""The kinds of facts that a statement must show."""
MOST_DAYS = 31
"""So many days are compared in one run."""


def reconcile_due(seconds: float) -> Json:
    """Compare the days that are over and not compared yet, of each platform with a statement.

    Returns the counts of what was read, booked and found. What is left after `seconds` is compared
    next time.
    """
    until = time.monotonic() + seconds
    total: Json = {"days": 0, "movements": 0, "booked": 0, "differences": 0, "failed": 0}
    for platform in stating():
        try:
            days = due(platform.name)
            for day in days:
                done = reconcile_day(platform, day, until=until)
                if done is None:
                    break
                for name, number in done.items():
                    total[name] += number
            else:
                # Each day's end has a balance, but what was left out shows in the last one too.
                last = _unbalanced(platform.name, days[-1] if days else date.max)
                if last is not None:
                    total["differences"] += compare_balance(platform, last)
                total["booked"] += follow_due(platform, until)
        except NotConfigured:
            continue
        except Outcome as err:
            log.warning("ledger.not_reconciled", platform=platform.name, error=err.message)
            total["failed"] += 1
        except UNREADABLE as err:
            # A statement that cannot be read at all must not keep those of the others away.
            log.error("ledger.statement_unreadable", platform=platform.name, exc_info=err)
            total["failed"] += 1
    return total


def stating() -> list[Platform]:
    """The platforms that keep a balance for us and state it."""
    return [each for each in tasks.platforms() if each.statement is not None]


def reconcile_day(
    platform: Platform, day: date, *, until: float | None = None, again: bool = False
) -> Json | None:
    """Compare one day (UTC), from where an earlier run was interrupted.

    `again`: from its beginning, also if it is compared already. A day that is not over is compared
    as far as it is stated, and again when it is over. Returns the counts; None if
    `time.monotonic()` has passed `until` before the day's end. Raises an Outcome if the platform
    does not answer, and InvalidInput if the day has not begun.
    """
    assert platform.statement is not None
    since = datetime.combine(day, datetime.min.time(), UTC)
    end = since + timedelta(days=1)
    now = _now()
    if now < since:
        raise InvalidInput(f"the day {day} has not begun: there is no statement of it yet")
    is_over = now >= end + LATE
    cursor = _begin(platform.name, day, again=again) if is_over else None
    counts = {"days": 1, "movements": 0, "booked": 0, "differences": 0}
    is_last = False
    while not is_last:
        if until is not None and time.monotonic() >= until:
            return None
        page = platform.statement(since, end + LATE, cursor)
        number, found = _compare(platform.name, day, page.movements, end)
        found += sum(ledger.note(day, unreadable(platform.name, each)) for each in page.unreadable)
        number_read = len(page.movements) + len(page.unreadable)
        counts["movements"] += number_read
        counts["booked"] += number
        counts["differences"] += found
        cursor, is_last = page.following, page.following is None
        if is_over:
            _note_progress(platform.name, day, cursor, number_read)
    book = Book(platform.name)
    left = ledger.missing_there(platform.name, SETTLED_KINDS, since, end, book.settling)
    left += ledger.unstated_fees(platform.name, since, end, book.balance)
    left += ledger.unevenly_settled(platform.name, since, end + LATE, book.settling)
    counts["differences"] += sum(ledger.note(day, each) for each in left)
    if is_over:
        db.call(_DONE, (platform.name, day))
    return counts


def compare_balance(platform: Platform, day: date) -> int:
    """Compare the balance at the end of a day, which the platform states, with the ledger's; in how
    many currencies they differ by another amount than before.

    What a statement leaves out, or says otherwise after its day was compared, shows here alone. An
    account that had a balance before its first day here differs by that. All days before must be
    compared. Raises an Outcome if the platform does not answer; then the next run compares it.
    """
    number = 0 if platform.balance is None else _differing(platform.name, platform.balance, day)
    db.call(_BALANCED, (platform.name, day))
    return number


def _differing(platform: str, balance: Callable[[datetime], Sequence[Money]], day: date) -> int:
    end = datetime.combine(day, datetime.min.time(), UTC) + timedelta(days=1)
    account = Book(platform).balance
    theirs = {each.currency: each for each in balance(end)}
    for code in ledger.currencies(account) - theirs.keys():
        theirs[code] = Money(0, code)
    return sum(
        ledger.compare_balance(platform, day, end, account, theirs[code]) for code in sorted(theirs)
    )


def _compare(
    platform: str, day: date, stated: Sequence[Movement], end: datetime
) -> tuple[int, int]:
    """Book what a part of a statement tells, and record the differences; how many of each.

    What is stated from `end` on only settles facts that are booked. The rest is left to the next
    day: its step or webhook may be about to tell it.
    """
    settling = Book(platform).settling
    keys = [each.settles for each in stated if each.settles is not None]
    known = ledger.booked(keys, settling)
    movements = [each for each in stated if each.at < end or each.settles in known]
    differences = 0
    agreed: list[str] = []
    for each in movements:
        before = None if each.settles is None else known.get(each.settles)
        found = difference_of(each, None if before is None else before.money)
        if found is not None:
            # Before the fact is booked: a run that dies in between finds it missing again.
            differences += ledger.note(day, found)
        elif each.settles and before is not None and before.source != "reconciliation":
            agreed.append(each.settles)
        agreed.append(unreadable(platform, each.id).about)
    told = [fact for each in movements if each.settles not in known for fact in each.told]
    verdicts = ledger.book(*told, source="reconciliation")
    now_known = {**ledger.booked([fact.key for fact in told], settling), **known} if told else known
    verdicts += [
        ledger.book_rest(each, settling)
        for each in movements
        if each.whole is not None and each.settles in now_known
    ]
    own = [fact for each in movements for fact in _facts(each, now_known)]
    settled = ledger.book(*own, source="reconciliation")
    verdicts += settled
    others = [fact for fact, verdict in zip(own, settled, strict=True) if verdict == "differs"]
    differences += sum(ledger.note(day, each) for each in _stated_otherwise(platform, others))
    ledger.agreed(agreed)
    ledger.stated([*keys, *(fact.key for fact in own)])
    return verdicts.count("booked"), differences


def _stated_otherwise(platform: str, facts: Sequence[Fact]) -> Iterator[Difference]:
    """The differences of facts that are booked with other lines, such as a fee by a webhook."""
    account = Book(platform).balance
    known = ledger.booked([fact.key for fact in facts], account)
    for fact in facts:
        theirs = next((line.money for line in fact.lines if line.account == account), None)
        ours = known[fact.key].money if fact.key in known else None
        yield Difference("other_amount", fact.key, platform, ours, theirs)


def _facts(movement: Movement, known: Any) -> Iterator[Fact]:
    """The facts by which a movement is booked: what the balance shows, and what was kept of it.

    Without the fact that it settles it is not known whether it was exchanged, so its settlement is
    booked when the fact is known.
    """
    found = known.get(movement.settles)
    if found is not None and movement.money.amount:
        assert isinstance(found, Booked)
        book, booked = Book(movement.platform), found.money
        is_exchanged = booked.currency != movement.money.currency
        yield book.fact(
            "exchange" if is_exchanged else "settlement",
            movement.id,
            book.settled(movement.money, (movement.part or booked) if is_exchanged else None),
            of_key=movement.settles,
            occurred_at=movement.at,
            external_ids={"balance_transaction": movement.id},
        )
    yield from movement.own


def due(platform: str) -> list[date]:
    """The days that are over and not compared yet, oldest first, at most MOST_DAYS.

    They begin with the oldest day that was ever begun: a day that was compared by hand leaves those
    before it due. Without any, the last day that is over is due.
    """
    over = (_now() - LATE - timedelta(days=1)).astimezone(UTC).date()
    found = db.patiently(lambda: db.rows(_DUE, (platform, over, over, platform, MOST_DAYS)))
    return [row["day"] for row in found]


def _unbalanced(platform: str, most: date) -> date | None:
    """The last of the compared days until `most`, if the balance at its end is not compared."""
    row = db.call(_LAST_COMPARED, (platform, most))
    return row["day"] if row is not None and row["balance_compared_at"] is None else None


def _now() -> datetime:
    row = db.call("SELECT playalter_now() AS now", ())
    assert row is not None
    now: datetime = row["now"]
    return now


def _begin(platform: str, day: date, *, again: bool) -> str | None:
    row = db.call(_BEGIN, (platform, day, again, again))
    return None if row is None else row["cursor"]


def _note_progress(platform: str, day: date, cursor: str | None, number: int) -> None:
    db.call(_PROGRESS, (cursor, number, platform, day))


_DUE = """
SELECT due.day::date AS day
  FROM generate_series(
         coalesce((SELECT min(day) FROM ledger_days WHERE platform = %s), %s)::timestamp,
         %s::timestamp, interval '1 day') AS due (day)
 WHERE NOT EXISTS (SELECT FROM ledger_days AS d
                    WHERE d.platform = %s AND d.day = due.day::date AND d.completed_at IS NOT NULL)
 ORDER BY 1 LIMIT %s
"""
_BEGIN = """
INSERT INTO ledger_days AS d (platform, day) VALUES (%s, %s)
ON CONFLICT (platform, day) DO UPDATE SET
  cursor = CASE WHEN %s THEN NULL ELSE d.cursor END,
  movements = CASE WHEN %s THEN 0 ELSE d.movements END
RETURNING cursor
"""
_PROGRESS = """
UPDATE ledger_days SET cursor = %s, movements = movements + %s WHERE platform = %s AND day = %s
"""
_LAST_COMPARED = """
SELECT day, balance_compared_at FROM ledger_days
 WHERE platform = %s AND completed_at IS NOT NULL AND day <= %s ORDER BY day DESC LIMIT 1
"""
# The balance at the end of a day shows what was left out of the days before too.
_BALANCED = """
UPDATE ledger_days SET balance_compared_at = playalter_now()
 WHERE platform = %s AND day <= %s AND completed_at IS NOT NULL AND balance_compared_at IS NULL
"""
_DONE = "UPDATE ledger_days SET completed_at = playalter_now() WHERE platform = %s AND day = %s"
