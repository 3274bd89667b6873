"""Short forms for the tables of these tests."""

import struct
import sys
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from io import BytesIO
from types import FrameType
from typing import Any
from zoneinfo import ZoneInfo

from chains.schedules import zones
from chains.schedules.spec import InvalidSpec, Spec, read_spec
from chains.schedules.times import nominal_times

Calendars = Mapping[str, Collection[date]]


def cron(expression: str, zone: str = "UTC", **more: Any) -> Spec:
    """The spec of a cron expression."""
    return read_spec({"cron": expression, "time_zone": zone, **more}, {})


def at(text: str) -> datetime:
    """The instant of a text with an offset."""
    return datetime.fromisoformat(text).astimezone(UTC)


def faults_of(body: Any, calendars: Calendars | None = None) -> list[tuple[str, str]]:
    """The faults of a body; empty if it is accepted."""
    try:
        read_spec(body, calendars or {})
    except InvalidSpec as err:
        return err.faults
    return []


def day_of(spec: Spec, day: str) -> list[str]:
    """The runs on a local day, as times of day with the offset: `03:00+02:00`."""
    where = zones.zone(spec.time_zone)
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=where).astimezone(UTC)
    around = timedelta(hours=30)
    found = nominal_times(spec, noon - around, noon + around, 5000)
    shown = (each.astimezone(where) for each in found)
    return [f"{each:%H:%M}{each.isoformat()[-6:]}" for each in shown if f"{each:%Y-%m-%d}" == day]


def zone_of(rule: str) -> tzinfo:
    """A zone that always follows a rule of POSIX, such as "<+01>-1" (RFC 9636 tells the file)."""
    header = b"TZif2" + bytes(15)
    block = header + struct.pack(">6L", 0, 0, 0, 0, 1, 4) + struct.pack(">lBB", 0, 0, 0) + b"UTC\0"
    return ZoneInfo.from_file(BytesIO(block * 2 + f"\n{rule}\n".encode()), key="rule")


def calls_of(work: Callable[[], object]) -> int:
    """How many Python functions a piece of work calls: a measure that no slow machine changes."""
    count = 0

    def seen(_frame: FrameType, event: str, _more: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count
