"""What a schedule's times are made of: plain frozen values, without behaviour of their own."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chains.schedules.calendars import Calendar

_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


@dataclass(frozen=True)
class Every:
    """An interval of absolute time: the instants epoch + n * seconds + phase_seconds."""

    seconds: int
    phase_seconds: int = 0


@dataclass(frozen=True)
class Spec:
    """The times of a schedule: exactly one of `cron`, `every` and `times` (sorted, UTC) is given.

    `starts_at` and `ends_at` (UTC) are inclusive bounds of the nominal times. `read_spec` makes
    and checks it; equal bodies and equal calendars give equal specs.
    """

    cron: str | None = None
    every: Every | None = None
    times: tuple[datetime, ...] = ()
    time_zone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    jitter_seconds: int = 0
    calendar: Calendar | None = None

    def as_body(self) -> dict[str, Any]:
        """A body that `read_spec` reads to an equal spec. Fields with defaults are left out."""
        body: dict[str, Any] = {}
        if self.cron is not None:
            body["cron"] = self.cron
        elif self.every is not None:
            body["every"] = _every_body(self.every)
        else:
            body["times"] = [_text(each) for each in self.times]
        if self.time_zone != "UTC":
            body["time_zone"] = self.time_zone
        for name, instant in (("starts_at", self.starts_at), ("ends_at", self.ends_at)):
            if instant is not None:
                body[name] = _text(instant)
        if self.jitter_seconds:
            body["jitter_seconds"] = self.jitter_seconds
        if self.calendar is not None:
            body["calendar"] = _calendar_body(self.calendar)
        return body


def _every_body(every: Every) -> dict[str, int]:
    name, size = next(unit for unit in _UNITS if every.seconds % unit[1] == 0)
    body = {name: every.seconds // size}
    return body | ({"phase_seconds": every.phase_seconds} if every.phase_seconds else {})


def _calendar_body(calendar: Calendar) -> dict[str, Any]:
    body: dict[str, Any] = {"name": calendar.name, "on_free_day": calendar.on_free_day}
    return body | ({"weekend": list(calendar.weekend)} if calendar.weekend else {})


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
