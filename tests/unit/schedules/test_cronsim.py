"""What cronsim 2.8 does by itself in Europe/Berlin 2026, row by row, and what schedules do.

A new cronsim that behaves otherwise fails here, before a schedule runs otherwise.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile

import pytest
from cronsim import CronSim

from chains.schedules import zones
from chains.schedules.times import nominal_times
from tests.unit.schedules.specs import at, cron, day_of, faults_of

BERLIN = "Europe/Berlin"
LORD_HOWE = "Australia/Lord_Howe"
SPRING, AUTUMN = "2026-03-29", "2026-10-25"
REFUSED = "refused"
SIX_FIELDS = "six fields"

TABLE = [
    # zone, expression, day, what cronsim does from 00:00 to 05:00, what schedules do
    (BERLIN, "30 2 * * *", SPRING, "03:00+02:00", None),
    (BERLIN, "30 2 * * *", AUTUMN, "02:30+02:00", None),
    (BERLIN, "0 2-4 * * *", SPRING, "03:00+02:00 04:00+02:00", None),
    (BERLIN, "0 2-4 * * *", AUTUMN, "02:00+02:00 03:00+01:00 04:00+01:00", None),
    (BERLIN, "30 * * * *", SPRING, "00:30+01:00 01:30+01:00 03:30+02:00 04:30+02:00", None),
    (
        BERLIN,
        "30 * * * *",
        AUTUMN,
        "00:30+02:00 01:30+02:00 02:30+02:00 02:30+01:00 03:30+01:00 04:30+01:00",
        None,
    ),
    (BERLIN, "30 */2 * * *", SPRING, "00:30+01:00 04:30+02:00", REFUSED),
    (
        BERLIN,
        "30 */2 * * *",
        AUTUMN,
        "00:30+02:00 02:30+02:00 02:30+01:00 04:30+01:00",
        REFUSED,
    ),
    (BERLIN, "0 30 2 * * *", SPRING, "", SIX_FIELDS),
    (BERLIN, "0 30 2 * * *", AUTUMN, "02:30+02:00 02:30+01:00", SIX_FIELDS),
    (BERLIN, "*/30 2 * * *", SPRING, "", REFUSED),
    (
        BERLIN,
        "*/30 2 * * *",
        AUTUMN,
        "02:00+02:00 02:30+02:00 02:00+01:00 02:30+01:00",
        REFUSED,
    ),
    (BERLIN, "0,30 2 * * *", AUTUMN, "02:00+02:00 02:30+02:00", None),
    (LORD_HOWE, "15 2 * * *", "2026-10-04", "02:30+11:00", None),
    (LORD_HOWE, "45 1 * * *", "2026-04-05", "01:45+11:00", None),
]


@pytest.mark.parametrize(("zone", "expression", "day", "alone", "ours"), TABLE)
def test_each_row_of_the_table_of_cronsim(
    zone: str, expression: str, day: str, alone: str, ours: str | None
) -> None:
    assert _of_cronsim(expression, zones.zone(zone), day) == alone.split()
    faults = faults_of({"cron": expression, "time_zone": zone})
    if ours is None:
        early = [each for each in day_of(cron(expression, zone), day) if each < "05:00"]
        assert early == alone.split()
    elif ours == SIX_FIELDS:
        assert "has 6 fields; write five" in faults[0][1]
    else:
        assert "has two readings" in faults[0][1]


def test_a_doubled_time_of_day_is_not_returned_twice_by_cronsim_but_a_merged_one_may_be() -> None:
    # 02:00 and 02:30 both become 03:00; what cronsim returns twice, a schedule runs once.
    found = _of_cronsim("0,30 2 * * *", zones.zone(BERLIN), SPRING)
    assert set(found) == {"03:00+02:00"}
    assert day_of(cron("0,30 2 * * *", BERLIN), SPRING) == ["03:00+02:00"]


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("0 0 L * *", "2026-01-31"),
        ("0 0 LW * *", "2026-01-30"),
        ("0 0 * * 5L", "2026-01-30"),
        ("0 0 * * MON#2", "2026-01-12"),
        ("0 0 * * 7", "2026-01-04"),
        ("0 0 * jan,Feb sun", "2026-01-04"),
        ("0 0 5/10 * *", "2026-01-05"),
        ("0 0 13 * FRI", "2026-01-02"),
        ("0 0 */2 * FRI", "2026-01-09"),
        ("0 0 29 2 *", "2028-02-29"),
        ("0 0 * 2 MON#5", "2044-02-29"),
    ],
)
def test_days_are_read_as_debian_reads_them(expression: str, first: str) -> None:
    start = at("2026-01-01T00:00:01Z")
    assert f"{next(iter(_ours(expression, start))):%Y-%m-%d}" == first


def _ours(expression: str, start: datetime) -> list[datetime]:
    return nominal_times(cron(expression), start, at("2060-01-01T00:00Z"), 1)


def _of_cronsim(expression: str, where: tzinfo, day: str) -> list[str]:
    begin = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=where).astimezone(UTC)
    start = (begin - timedelta(seconds=1)).astimezone(where)
    end = datetime.fromisoformat(f"{day}T05:00").replace(tzinfo=where)
    found = takewhile(lambda each: each < end, CronSim(expression, start))
    return [f"{each:%H:%M}{each.isoformat()[-6:]}" for each in found]
